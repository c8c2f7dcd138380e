"""When a site's pages are asked for again: when they are due, after a failure, as far as a run comes (A15, A17)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from db import sources
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import crawl, stats, statuses, succeeded
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy
from tests.support.site import html, prose, small_town, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

DAILY = {"env": {"LCL_RECRAWL_AFTER": "86400"}}


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


async def a_day_passes(connection: Connection, days: float = 1) -> None:
    """Move everything that was remembered into the past."""
    past = dt.timedelta(days=days)
    await connection.execute("UPDATE scraped_pages SET last_seen_at = last_seen_at - %s", (past,))
    await connection.execute("UPDATE page_checks SET next_check_at = next_check_at - %s", (past,))


async def test_pages_that_fail_for_ever_leave_room_for_the_others(database_url, connection):
    names = [f"/p{n}" for n in range(12)]
    with LocalSite({name: html(name, tale(name, 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        succeeded(site, database_url)
        for name in names[:6]:
            site[name] = Page("", status=500)
        for name in names[6:]:
            site[name] = html(name, ["An edition.", *tale(name, 2)])
        for _ in range(4):
            crawl(site, database_url, "max_pages=6", settings={"RETRY_TIMES": "0"})
        assert await value(connection, "SELECT count(*) FROM scraped_pages WHERE content LIKE '%%An edition%%'") == 6


async def test_a_clock_that_was_wrong_hides_no_page(site, database_url, connection):
    succeeded(site, database_url, **DAILY)
    await connection.execute("UPDATE scraped_pages SET last_seen_at = '2099-01-01'")
    await connection.execute("UPDATE page_checks SET next_check_at = '2099-01-01', fetched_at = '2099-01-01'")
    succeeded(site, database_url, **DAILY)
    assert (await stats(connection))["pages/unchanged"] == 4
    await connection.execute("UPDATE page_checks SET next_check_at = '2099-01-01'")
    await connection.execute("UPDATE scraped_pages SET last_seen_at = last_seen_at - interval '8 days'")
    succeeded(site, database_url, **DAILY)
    assert (await stats(connection))["pages/unchanged"] == 4


async def test_a_failed_page_is_asked_for_first_by_the_next_run_though_it_is_not_due(site, database_url, connection):
    succeeded(site, database_url, **DAILY)
    await a_day_passes(connection)
    site["/market"] = Page("", status=503)
    succeeded(site, database_url, settings={"RETRY_TIMES": "0"}, **DAILY)
    await connection.execute("UPDATE failed_pages SET next_retry_at = now()")
    site["/market"] = small_town()["/market"]
    site.reset()
    succeeded(site, database_url, **DAILY)
    assert set(statuses(site)) == {"/robots.txt", "/market"}
    assert await rows(connection, "SELECT url FROM failed_pages") == []


@pytest.mark.parametrize(("value", "minutes"), [("7200", 120), ("60", 15), ("9" * 30, 1440)])
async def test_a_site_that_says_when_to_come_again_is_not_asked_before(site, database_url, connection, value, minutes):
    succeeded(site, database_url)
    site["/market"] = Page("", status=503, headers={"Retry-After": value})
    site.reset()
    succeeded(site, database_url)
    assert statuses(site)["/market"] == [503]
    ((waits,),) = await rows(connection, "SELECT next_retry_at - last_failed_at FROM failed_pages")
    assert waits == dt.timedelta(minutes=minutes)


@pytest.mark.parametrize("value", ["1", "0", "soon", "-5"])
async def test_a_site_that_asks_for_a_moment_is_asked_again_in_the_same_run(site, database_url, connection, value):
    succeeded(site, database_url)
    site["/market"] = Page("", status=503, headers={"Retry-After": value})
    site.reset()
    succeeded(site, database_url, settings={"RETRY_TIMES": "1"})
    assert statuses(site)["/market"] == [503, 503]


async def test_a_reembedding_is_no_loss_and_no_check(database_url, connection):
    names = [f"/p{n}" for n in range(24)]
    with LocalSite({name: html(name, tale(name, 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        succeeded(site, database_url)
        query = "SELECT check_interval, checks_since_fetch, next_check_at FROM page_checks ORDER BY page_id"
        checks = await rows(connection, query)
        succeeded(site, database_url, "reembed=true", **DAILY)
        assert await rows(connection, query) == checks
        assert (await stats(connection))["pages/reembedded"] == 25
        for name in names[:10]:
            del site[name]
        succeeded(site, database_url, "reembed=true")
        found = await stats(connection)
        assert (found["pages/reembedded"], found["pages/gone"]) == (15, 10)


async def test_no_page_goes_longer_than_the_longest_staleness_without_a_download(site, database_url, connection):
    options = {"env": {"LCL_RECRAWL_AFTER": "86400", "LCL_MAX_STALENESS": str(4 * 86_400)}}
    for _ in range(8):
        succeeded(site, database_url, "force_rescrape=true", **options)
    query = "SELECT max(next_check_at - fetched_at), max(check_interval) FROM page_checks"
    ((wait, interval),) = await rows(connection, query)
    assert interval == dt.timedelta(days=4)
    assert wait <= dt.timedelta(days=3.6)


async def test_pages_that_were_checked_in_this_run_are_not_counted_as_checked_lately(site, database_url, connection):
    succeeded(site, database_url, **DAILY)
    await a_day_passes(connection)
    succeeded(site, database_url, **DAILY)
    found = await stats(connection)
    assert (found["pages/skipped_recent"], found["pages/unchanged"]) == (0, 4)


async def test_a_page_that_does_not_change_is_checked_less_and_less_often_and_one_that_does_more(
    site, database_url, connection
):
    await sources.add(connection, site.url("/"), slug="town", config={"max_check_interval": 3 * 86_400})
    query = "SELECT p.url LIKE '%%/harbour', extract(epoch FROM c.check_interval)::integer / 3600 FROM page_checks AS c"
    query += " JOIN scraped_pages AS p ON p.id = c.page_id ORDER BY 1"
    intervals = []
    for run in range(7):
        site["/harbour"] = html("Harbour", [f"Edition {run}", *prose("harbour")])
        assert run_scrapy("crawl", "town", "-a", "force_rescrape=true", database_url=database_url, **DAILY).code == 0
        found = await rows(connection, query)
        intervals.append((found[0][1], found[-1][1]))
    assert [unchanged for unchanged, _ in intervals] == [24, 33, 47, 65, 72, 72, 72]
    assert {changing for _, changing in intervals} == {24}


async def test_a_daily_run_asks_for_the_pages_that_are_due_and_force_rescrape_for_all(site, database_url, connection):
    for _ in range(3):
        succeeded(site, database_url, "force_rescrape=true", **DAILY)
    site["/harbour"] = html("Harbour", prose("harbour", 9))
    succeeded(site, database_url, "force_rescrape=true", **DAILY)
    await a_day_passes(connection, days=1.6)
    site.reset()
    succeeded(site, database_url, **DAILY)
    assert {path for path in statuses(site) if path in site} == {"/harbour"}
    assert (await stats(connection))["pages/skipped_recent"] == 3
    assert (await stats(connection))["saved/recent/requests"] == 3


async def test_a_run_that_is_limited_says_how_many_pages_it_did_not_come_to(site, database_url, connection):
    succeeded(site, database_url)
    succeeded(site, database_url, "max_pages=1")
    assert (await stats(connection))["pages/unasked"] == 3
