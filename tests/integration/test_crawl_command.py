"""What `scrapy crawl` can be told, and what it says of what it cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from db import sources
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import crawl, last_job, paths, succeeded
from tests.support.postgres import value
from tests.support.scrapy import run_scrapy
from tests.support.site import small_town

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


@pytest.mark.parametrize("argument", ["force_rescrape=ture", "force_rescrape=", "force_rescrap=true", "max_pages=some"])
async def test_a_mistyped_argument_ends_the_run_before_the_first_request(site, database_url, connection, argument):
    done = crawl(site, database_url, argument)
    assert done.code != 0
    assert argument.partition("=")[0] in done.stderr
    assert "Traceback" not in done.stderr
    assert site.requests == []


async def test_the_effective_arguments_are_in_the_record(site, database_url, connection):
    succeeded(site, database_url, "force_rescrape=1")
    assert (await last_job(connection))["args"] == {
        "force_rescrape": True,
        "reembed": False,
        "allow_mass_delete": False,
        "max_pages": None,
    }


async def test_a_source_is_crawled_by_slug_domain_and_id(site, database_url, connection):
    source, _ = await sources.add(connection, site.url("/"), slug="town")
    for name in ("town", site.domain, str(source.id)):
        done = run_scrapy("crawl", name, database_url=database_url)
        assert done.code == 0, done.stderr
    assert await value(connection, "SELECT count(*) FROM scrape_jobs WHERE status = 'succeeded'") == 3


async def test_the_settings_of_a_source_hold_for_its_crawl(site, database_url, connection):
    await sources.add(connection, site.url("/"), slug="town", config={"deny": ["/market"], "max_pages": 3})
    assert run_scrapy("crawl", "town", database_url=database_url).code == 0
    assert "/market" not in await paths(connection, site)


@pytest.mark.parametrize("name", ["nowhere", "%", "town_"])
async def test_an_unknown_source_is_one_clear_line(database_url, name):
    done = run_scrapy("crawl", name, database_url=database_url)
    assert done.code == 1
    assert f"no source is called '{name}'" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_bad_url_is_one_clear_line(database_url):
    done = run_scrapy("crawl", "website", "-a", "url=example", database_url=database_url)
    assert done.code == 1
    assert "'example' is no URL of a site" in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_embedded_database_starts_and_migrates_by_itself(site, lcl_home):
    done = run_scrapy("crawl", "website", "-a", f"url={site.url('/')}", home=lcl_home)
    assert done.code == 0, done.stderr
    again = run_scrapy("crawl", "website", "-a", f"url={site.url('/')}", home=lcl_home)
    assert again.code == 0, again.stderr


async def test_a_start_url_that_leads_to_another_site_says_which_to_register(site, database_url):
    with LocalSite({"/": Page("", status=301, headers={"Location": site.url("/")})}) as moved:
        done = crawl(moved, database_url)
    assert done.code == 1
    assert f"register that one, {site.url('/')}" in done.stderr


async def test_a_start_url_that_its_own_source_excludes_is_said_plainly(site, database_url, connection):
    await sources.add(connection, site.url("/"), slug="town", config={"deny": ["."]})
    done = run_scrapy("crawl", "town", database_url=database_url)
    assert done.code == 1
    assert "start_excluded" in done.stderr
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 0
