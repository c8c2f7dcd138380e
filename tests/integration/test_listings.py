"""A source that is a listing: its pages lead to items and to the next page, whether they were downloaded or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import paths, snapshot, stats, statuses
from tests.support.postgres import rows, value
from tests.support.scrapy import Completed, run_scrapy
from tests.support.site import html, prose, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

PER_PAGE = 3
SOON = {"env": {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "1000000"}}
LISTINGS = ("/agenda", "/agenda?page=2", "/agenda?page=3")


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite({"/about": html("About", prose("about"))}) as running:
        publish(running, range(1, 8))
        yield running


def publish(site: LocalSite, events: range) -> None:
    """Put an agenda on the site, some events on a page, and a page for each event."""
    numbers = list(events)
    count = -(-len(numbers) // PER_PAGE)
    for page in range(1, count + 1):
        onward = f'<a class="next" href="/agenda?page={page + 1}">Volgende</a>' if page < count else ""
        shown = numbers[(page - 1) * PER_PAGE : page * PER_PAGE]
        site["/agenda" if page == 1 else f"/agenda?page={page}"] = agenda(shown, onward)
    for number in numbers:
        links = ["/agenda", "/about", f"/event/{number + 100}", "https://tickets.example/buy"]
        site[f"/event/{number}"] = html(f"Evening {number}", tale(f"event{number}"), links=links)


def agenda(events: list[int], onward: str) -> str:
    cards = "".join(
        f'<li class="card"><h3><a href="/event/{number}">Evening {number}</a></h3>'
        f"<p>{tale(f'card{number}', 1)[0]}</p></li>"
        for number in events
    )
    return (
        '<!doctype html><html lang="nl"><head><meta charset="utf-8"><title>Agenda</title></head><body>'
        '<nav><a href="/about">About</a></nav><main><h1>Agenda</h1><p>See also <a href="/about">about us</a>.</p>'
        f'<ul>{cards}</ul><p>{onward}</p></main><a href="https://elsewhere.example/">Partner</a></body></html>'
    )


def crawl(site: LocalSite, database_url: str, **options: Any) -> Completed:
    return run_scrapy("crawl", "listing", "-a", f"url={site.url('/agenda')}", database_url=database_url, **options)


def succeeded(site: LocalSite, database_url: str, **options: Any) -> None:
    done = crawl(site, database_url, **options)
    assert done.code == 0, done.stderr


def of(events: range) -> set[str]:
    return {*LISTINGS, *(f"/event/{number}" for number in events)}


async def test_a_first_crawl_indexes_the_pages_of_the_listing_and_its_items_and_nothing_else(
    site, database_url, connection
):
    succeeded(site, database_url)
    assert await paths(connection, site) == of(range(1, 8))
    asked = statuses(site)
    assert "/about" not in asked
    assert "/event/101" not in asked
    query = "SELECT outlinks FROM scraped_pages WHERE url = %s"
    items = [site.url(f"/event/{number}") for number in (1, 2, 3)]
    onward = [site.url("/agenda"), site.url("/agenda?page=2"), "https://elsewhere.example/"]
    assert await value(connection, query, site.url("/agenda")) == [*items, *onward]
    assert await value(connection, query, site.url("/event/1")) == ["https://tickets.example/buy"]
    assert await pages.broken_pages(connection) == []


async def test_a_refresh_takes_new_items_deletes_those_that_are_gone_and_leaves_the_rest_alone(
    site, database_url, connection
):
    succeeded(site, database_url)
    before = await snapshot(connection)
    succeeded(site, database_url)
    assert await snapshot(connection) == before

    publish(site, range(2, 10))
    del site["/event/1"]
    succeeded(site, database_url)
    assert await paths(connection, site) == of(range(2, 10))
    found = await stats(connection)
    assert (found["pages/new"], found["pages/gone"], found["pages/changed"]) == (2, 1, 3)


async def test_a_new_item_on_the_third_page_is_found_behind_two_pages_that_answer_304(site, database_url, connection):
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    publish(site, range(1, 9))
    site.reset()
    succeeded(site, database_url, **SOON)
    asked = statuses(site)
    assert [asked[path] for path in LISTINGS] == [[304], [304], [200]]
    assert asked["/event/8"] == [200]
    assert await paths(connection, site) == of(range(1, 9))


async def test_listing_pages_are_asked_for_before_their_time_but_not_when_they_were_checked_lately(
    site, database_url, connection
):
    succeeded(site, database_url)
    await connection.execute("UPDATE page_checks SET next_check_at = now() + interval '1 day'")
    await connection.execute("UPDATE scraped_pages SET last_seen_at = now() - interval '1 hour'")
    publish(site, range(1, 9))
    site.reset()
    succeeded(site, database_url, env={"LCL_RECRAWL_AFTER": "60"})
    assert {path for path in statuses(site) if path in of(range(1, 9))} == {*LISTINGS, "/event/8"}
    assert (await stats(connection))["pages/skipped_recent"] == 7

    await connection.execute("DELETE FROM scraped_pages WHERE url LIKE '%/event/8'")
    site.reset()
    succeeded(site, database_url, env={"LCL_RECRAWL_AFTER": "86400"})
    assert {path for path in statuses(site) if path in of(range(1, 9))} == {"/event/8"}


async def test_an_endless_calendar_ends_at_the_limit_in_every_run(site, database_url, connection):
    def month(path: str) -> Page:
        number = path.removeprefix("/month/")
        if not number.isdigit():
            return Page("not found", status=404)
        onward = f'<a href="/month/{int(number) + 1}" aria-label="Next month">›</a>'
        return Page(agenda([int(number) * 3 + each for each in range(3)], onward))

    site.not_found = month
    months = {f"/month/{number}" for number in range(100)}
    options = ("--spider", "listing", "--slug", "months", "--set", "max_listing_pages=4")
    added = run_scrapy("sources", "add", site.url("/month/1"), *options, database_url=database_url)
    assert added.code == 0, added.stderr
    for _ in range(2):
        done = run_scrapy("crawl", "months", database_url=database_url)
        assert done.code == 0, done.stderr
        assert {path for path in statuses(site) if path in months} == {f"/month/{n}" for n in range(1, 5)}
        assert (await stats(connection))["listings/left"] == 1


async def test_selectors_say_what_is_an_item_and_changing_them_reads_every_page_anew(site, database_url, connection):
    succeeded(site, database_url)
    config = """{"item_links": "main > p", "next_page": ".none", "start_urls": ["/agenda?page=3"]}"""
    await connection.execute(
        "UPDATE scraper_sources SET config = %s::jsonb", (config.replace('"/agenda', f'"{site.url("/agenda")}'),)
    )
    site.reset()
    succeeded(site, database_url, **SOON)
    assert statuses(site)["/about"] == [200]
    query = "SELECT url, outlinks FROM scraped_pages WHERE url LIKE '%%/agenda%%' ORDER BY url"
    stored = {url.removeprefix(f"http://{site.domain}"): links for url, links in await rows(connection, query)}
    assert site.url("/about") in stored["/agenda"]
    assert site.url("/event/7") not in stored["/agenda?page=3"]


async def test_a_start_url_of_another_domain_ends_the_run_and_says_why(site, database_url, connection):
    add = ("sources", "add", site.url("/agenda"), "--spider", "listing", "--slug", "town")
    assert run_scrapy(*add, database_url=database_url).code == 0
    # By hand: the command refuses it.
    await connection.execute("""UPDATE scraper_sources SET config = '{"start_urls": ["https://elsewhere.example/"]}'""")
    done = run_scrapy("crawl", "town", database_url=database_url)
    assert done.code == 1
    assert "start_excluded" in done.stderr
    assert (
        "https://elsewhere.example/, one of its start_urls, is out of its scope: it is of another domain" in done.stderr
    )
    assert site.requests == []


async def test_a_website_begins_with_each_of_its_start_urls(site, database_url, connection):
    add = ("sources", "add", site.url("/about"), "--slug", "town", "--set", f"start_urls={site.url('/event/1')}")
    assert run_scrapy(*add, database_url=database_url).code == 0
    assert run_scrapy("crawl", "town", database_url=database_url).code == 0
    assert await paths(connection, site) >= {"/about", "/event/1", "/agenda"}
    site["/event/1"] = Page("", status=503)
    done = run_scrapy("crawl", "town", database_url=database_url, settings={"RETRY_TIMES": "0"})
    assert done.code == 1
    assert "/event/1 answered 503" in done.stderr
