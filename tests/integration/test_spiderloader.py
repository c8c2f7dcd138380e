"""Sources as spiders: `scrapy list`, and Scrapy's own commands beside ours."""

from __future__ import annotations

from db import sources
from lcl_spiders.local_site import LocalSite
from tests.support.scrapy import run_scrapy
from tests.support.site import small_town

IN_CODE = ["feed", "listing", "reference_manual", "source", "town_agenda", "website"]


async def test_every_source_is_listed_as_a_spider(database_url, connection):
    await sources.add(connection, "https://example.org/", slug="example")
    done = run_scrapy("list", database_url=database_url)
    assert done.stdout.split() == ["example", *IN_CODE]


async def test_without_a_database_the_spiders_in_code_are_listed_with_one_line_on_stderr():
    done = run_scrapy("list", database_url="postgresql://127.0.0.1:1/none")
    assert (done.code, done.stdout.split()) == (0, IN_CODE)
    assert len(done.stderr.strip().splitlines()) == 1


async def test_listing_never_starts_the_embedded_server(lcl_home):
    done = run_scrapy("list", home=lcl_home)
    assert (done.code, done.stdout.split()) == (0, IN_CODE)
    assert not (lcl_home / "postgres").exists()


async def test_a_page_can_be_fetched_and_looked_at_without_a_run(database_url):
    with LocalSite(small_town()) as site:
        done = run_scrapy("fetch", site.url("/harbour"), database_url=database_url)
    assert done.code == 0, done.stderr
    assert "<h1>Harbour</h1>" in done.stdout
