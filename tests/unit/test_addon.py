"""What the add-on puts into a project's settings."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.settings import BaseSettings, Settings
from scrapy.utils.misc import load_object
from scrapy.utils.spider import DefaultSpider

from lcl_spiders.base_spiders import WebsiteSpider
from lcl_spiders.extensions.run import RunExtension
from lcl_spiders.guests.pipeline import GuestPipeline
from lcl_spiders.guests.run import GuestRunExtension
from pipelines import IndexAddon
from pipelines.addon import DEFAULTS, PIPELINES
from pipelines.config import Config
from tests.support.guests import Picky


def filled(**given: str) -> Settings:
    settings = Settings(given)
    IndexAddon.update_pre_crawler_settings(settings)
    return settings


def test_settings_come_from_the_project_else_the_environment_else_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCL_CHUNK_SIZE", "700")
    monkeypatch.setenv("LCL_RECRAWL_AFTER", "1")
    settings = filled(LCL_RECRAWL_AFTER="2")
    named = ("LCL_CHUNK_SIZE", "LCL_RECRAWL_AFTER", "LCL_EMBEDDING_PROVIDER")
    assert [settings[name] for name in named] == ["700", "2", "local"]


@pytest.mark.parametrize("name", ["LCL_SEARCH_KEY", "LCL_PROXY_PASSWORD", "LCL_API_SECRET", "LCL_API_TOKEN"])
def test_secrets_stay_in_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "never to be seen")
    assert "never to be seen" not in str(filled().copy_to_dict())


class Theirs(Spider):
    """A spider of another project."""

    name = "theirs"


def wired(spider: type[Spider] = Theirs, *, crawls: bool = True, **given: Any) -> tuple[dict[Any, int], dict[Any, int]]:
    """Return the item pipelines and extensions that a spider's project has in the end."""
    crawler = Crawler(spider, given)
    crawler.spider = object.__new__(spider) if crawls else None
    IndexAddon.from_crawler(crawler).update_settings(crawler.settings)
    return crawler.settings.getdict("ITEM_PIPELINES"), crawler.settings.getdict("EXTENSIONS")


def test_own_spiders_get_the_five_pipelines_and_spiders_of_other_projects_one() -> None:
    assert wired(WebsiteSpider) == ({load_object(path): order for path, order in PIPELINES.items()}, {RunExtension: 0})
    assert wired() == ({GuestPipeline: 900}, {GuestRunExtension: 0})


def test_what_the_project_sets_stays() -> None:
    theirs = {"tests.support.guests.Picky": 950, "lcl_spiders.guests.pipeline.GuestPipeline": 30}
    extensions = {"scrapy.extensions.telnet.TelnetConsole": None}
    pipelines, found = wired(ITEM_PIPELINES=dict(theirs), EXTENSIONS=dict(extensions), LCL_CHUNK_SIZE=300)
    assert pipelines == theirs
    assert found == {**extensions, GuestRunExtension: 0}


def test_two_add_ons_compose_in_either_order() -> None:
    for order in (400, 600):
        crawler = Crawler(Theirs, {"ADDONS": {IndexAddon: 500, OtherAddon: order}})
        crawler.spider = Theirs()
        crawler.addons.load_settings(crawler.settings)
        assert crawler.settings.getdict("ITEM_PIPELINES") == {GuestPipeline: 900, Picky: 300}


class OtherAddon:
    def update_settings(self, settings: BaseSettings) -> None:
        settings.setdefault_in_component_priority_dict("ITEM_PIPELINES", Picky, 300)


def test_a_spider_alone_may_name_the_add_on() -> None:
    crawler = Crawler(Theirs)
    crawler.spider = Theirs()
    IndexAddon.from_crawler(crawler).update_settings(crawler.settings)
    assert Config.from_settings(crawler.settings).chunk_size == DEFAULTS["LCL_CHUNK_SIZE"]


def borrowed(module: str) -> type[Spider]:
    async def start(self: Spider) -> AsyncIterator[Any]:
        return
        yield

    start.__module__ = module
    return type("Borrowed", (Theirs,), {"start": start})


def test_nothing_is_added_where_nothing_is_crawled(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: tuple[dict[Any, int], dict[Any, int]] = ({}, {})
    assert wired(crawls=False) == nothing  # shell
    assert wired(DefaultSpider) == nothing
    assert wired(borrowed("scrapy.commands.fetch")) == wired(borrowed("scrapy.commands.parse")) == nothing
    assert wired(borrowed("theirs.spiders")) != nothing
    assert wired(LCL_INDEX_ENABLED="no") == nothing
    monkeypatch.setenv("SCRAPY_CHECK", "true")
    assert wired() == nothing


def test_the_switch_in_the_environment_is_overruled_by_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCL_INDEX_ENABLED", "false")
    assert wired() == ({}, {})
    assert wired(LCL_INDEX_ENABLED=True)[0] == {GuestPipeline: 900}
