"""Which source a spider of another project has."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Spider
from scrapy.settings import Settings
from scrapy.spiders import SitemapSpider

from lcl_spiders.guests.source import Wanted, slug_of_name, wanted


def spider(base: type[Spider] = Spider, name: str = "town", **attributes: Any) -> Spider:
    return type("Made", (base,), {"name": name, **attributes})()


@pytest.mark.parametrize(
    ("attributes", "url"),
    [
        ({"start_urls": ["http://example.org:8080/a?utm_source=x", "https://b.example/"]}, "http://example.org:8080/a"),
        ({"start_urls": ["file:///tmp/a.html", "https://example.org"]}, "https://example.org/"),
        ({"start_urls": ["data:,"], "allowed_domains": ["example.org"]}, "https://example.org/"),
        ({"start_urls": ("https://example.org/",)}, "https://example.org/"),
        ({"allowed_domains": ["example.org"]}, "https://example.org/"),
        ({"allowed_domains": "example.org"}, "https://example.org/"),
        ({"base": SitemapSpider, "sitemap_urls": ["http://example.org/deep/sitemap.xml"]}, "http://example.org/"),
    ],
)
def test_the_site_is_that_of_the_first_address_that_the_spider_has(attributes: dict[str, Any], url: str) -> None:
    assert wanted(spider(**attributes), Settings()) == Wanted("town", url, "town")


@pytest.mark.parametrize(
    "attributes", [{}, {"start_urls": []}, {"start_urls": ["/a", None]}, {"allowed_domains": [""]}]
)
def test_without_an_address_the_spider_is_named_and_the_setting(attributes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"which site the spider town crawls.*Set LCL_SOURCE_URL"):
        wanted(spider(**attributes), Settings())


def test_settings_overrule_what_is_derived() -> None:
    given = Settings({"LCL_SOURCE": "other", "LCL_SOURCE_URL": "https://example.org/other"})
    assert wanted(spider(start_urls=["https://example.org/"]), given) == Wanted(
        "other", "https://example.org/other", "town"
    )


@pytest.mark.parametrize(
    ("name", "slug"), [("town", "town"), ("town_news", "town-news"), ("Town.News 2", "town-news-2"), ("_x_", "x")]
)
def test_a_spiders_name_becomes_a_slug(name: str, slug: str) -> None:
    assert slug_of_name(name) == slug


@pytest.mark.parametrize("name", ["website", "Source", "町", "__"])
def test_a_name_that_makes_no_slug_asks_for_one(name: str) -> None:
    with pytest.raises(ValueError, match="set LCL_SOURCE to a name for it"):
        wanted(spider(name=name, start_urls=["https://example.org/"]), Settings())
