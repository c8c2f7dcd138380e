"""How the URLs of a site end a run: moved, missing, ill, or not due (C4, C5, A13, A17)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from db import pages, sources
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import crawl, last_job, paths, snapshot, stats, statuses, succeeded
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy
from tests.support.site import html, prose, small_town, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

DAILY = {"env": {"LCL_RECRAWL_AFTER": "86400"}}
TEMPLATE = html(
    "Not found", ["The page that you asked for does not exist. Perhaps it was moved, perhaps it never was."]
)


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


async def tombstones(connection: Connection, site: LocalSite) -> list[tuple[str, str]]:
    found = await rows(connection, "SELECT url, reason FROM page_tombstones ORDER BY url")
    return [(url.removeprefix(f"http://{site.domain}"), reason) for url, reason in found]


async def a_day_passes(connection: Connection, days: float = 1) -> None:
    """Move everything that was remembered into the past."""
    past = dt.timedelta(days=days)
    await connection.execute("UPDATE scraped_pages SET last_seen_at = last_seen_at - %s", (past,))
    await connection.execute("UPDATE page_checks SET next_check_at = next_check_at - %s", (past,))


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_robots_txt_that_fails_ends_the_run_and_nothing_is_asked_or_deleted(
    site, database_url, connection, status
):
    succeeded(site, database_url)
    del site["/market"]
    site["/robots.txt"] = Page("", status=status)
    site.reset()
    done = crawl(site, database_url, settings={"RETRY_TIMES": "0"})
    assert done.code == 1
    assert (await last_job(connection))["reason"] == "robots_unavailable"
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 1
    assert set(statuses(site)) == {"/robots.txt"}
    assert len(await paths(connection, site)) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_robots_txt_that_is_not_there_allows_everything(site, database_url, connection, status):
    site["/robots.txt"] = Page("User-agent: *\nDisallow: /\n", status=status, content_type="text/plain")
    succeeded(site, database_url)
    assert len(await paths(connection, site)) == 4


async def test_robots_txt_is_read_once(site, database_url):
    succeeded(site, database_url)
    assert len(statuses(site)["/robots.txt"]) == 1


async def test_a_page_that_turns_into_the_not_found_template_is_gone(site, database_url, connection):
    succeeded(site, database_url)
    del site["/market"]
    site.not_found = Page(TEMPLATE)
    site["/"] = html("A small town", prose("town"), links=["/harbour", "/library", "/market", "/never"])
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library"}
    assert await tombstones(connection, site) == [("/market", "soft_404")]


async def test_a_not_found_template_is_not_indexed_by_a_first_crawl(site, database_url, connection):
    site.not_found = Page(TEMPLATE)
    site["/"] = html("A small town", prose("town"), links=["/harbour", "/never", "/nor/this"])
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour"}


@pytest.mark.parametrize("missing", [200, 404])
async def test_a_site_under_maintenance_that_answers_200_everywhere_loses_nothing(
    site, database_url, connection, missing
):
    succeeded(site, database_url)
    before = await snapshot(connection)
    maintenance = html("Maintenance", ["We are improving our site for you. Please come back tomorrow, we are sorry."])
    for path in small_town():
        site[path] = maintenance
    site.not_found = Page(maintenance, status=missing)
    assert crawl(site, database_url).code == 1
    assert await snapshot(connection) == before
    assert (await last_job(connection))["reason"] == "site_unreachable"
    assert set(await rows(connection, "SELECT kind FROM failed_pages")) == {("same_text",)}


async def test_what_most_pages_say_now_is_believed_when_an_operator_says_so(site, database_url, connection):
    succeeded(site, database_url)
    for path in small_town():
        site[path] = html("Moved", ["All of our pages are elsewhere now, and none of them will come back here."])
    succeeded(site, database_url, "allow_mass_delete=true")
    assert await value(connection, "SELECT count(*) FROM scraped_pages WHERE title = 'Moved'") == 4


async def test_a_template_of_one_folder_is_recognised_there(site, database_url, connection):
    items = [f"/shop/item{n}" for n in range(3)]
    for item in items:
        site[item] = html(item, tale(item))
    site["/"] = html("A small town", prose("town"), links=["/harbour", "/library", "/market", *items])
    site.not_found = lambda path: Page(TEMPLATE) if path.startswith("/shop/") else Page("", status=404)
    succeeded(site, database_url)
    for item in items[:2]:
        del site[item]
    succeeded(site, database_url)
    assert {path for path in await paths(connection, site) if path.startswith("/shop/")} == {items[2]}
    assert await tombstones(connection, site) == [(item, "soft_404") for item in items[:2]]


@pytest.mark.parametrize("known", [True, False])
async def test_a_folder_that_serves_its_own_page_for_what_it_does_not_have_keeps_that_page(
    site, database_url, connection, known
):
    landing = html("German", tale("deutsch"), links=["/de/a"])
    site["/de/"], site["/de/a"] = landing, html("A", tale("eins"))
    site["/"] = html("A small town", prose("town"), links=["/harbour", "/library", "/market", "/de/"])
    if known:
        succeeded(site, database_url)
        landing = site["/de/"] = html("German", [*tale("deutsch"), "Something new."], links=["/de/a"])
    site.not_found = lambda path: Page(landing) if path.startswith("/de/") else Page("", status=404)
    succeeded(site, database_url)
    assert {"/de/", "/de/a"} <= await paths(connection, site)


async def test_a_wall_that_links_to_a_log_in_for_each_page_replaces_nothing(site, database_url, connection):
    succeeded(site, database_url)
    before = await snapshot(connection)
    wall = tale("consent", 2)
    for path in small_town():
        site[path] = html("Consent", wall, links=[f"/login?next={path}", f"/consent?back={path}"])
        for new in (f"/login?next={path}", f"/consent?back={path}"):
            site[new] = html("Consent", wall)
    assert crawl(site, database_url).code == 1
    stored = {row[1]: row for row in (await snapshot(connection))[1]}
    assert all(stored[row[1]] == row for row in before[1])


async def test_a_source_of_one_page_may_rewrite_it(database_url, connection):
    with LocalSite({"/": html("One", tale("one"))}) as site:
        succeeded(site, database_url)
        site["/"] = html("Two", tale("two"))
        succeeded(site, database_url)
        assert await value(connection, "SELECT title FROM scraped_pages") == "Two"


async def test_a_redesign_of_many_pages_is_written_as_it_comes(database_url, connection):
    names = [f"/p{n}" for n in range(70)]
    with LocalSite({name: html(name, tale(name, 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        succeeded(site, database_url)
        for name in names:
            site[name] = html(name, tale(f"new {name}", 2))
        succeeded(site, database_url)
        assert (await stats(connection))["pages/changed"] == 70


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


async def test_a_site_that_forbids_itself_says_so(site, database_url, connection):
    succeeded(site, database_url)
    site["/robots.txt"] = Page("User-agent: *\nDisallow: /\n", content_type="text/plain")
    assert crawl(site, database_url).code == 1
    assert (await last_job(connection))["reason"] == "robots_forbidden"
    assert len(await paths(connection, site)) == 4


async def test_a_site_that_serves_its_start_page_for_unknown_paths_may_change_it(site, database_url, connection):
    site.not_found = Page(small_town()["/"])
    succeeded(site, database_url)
    redesigned = html("Our town", tale("town"), links=["/harbour", "/library", "/market"])
    site["/"] = redesigned
    site.not_found = Page(redesigned)
    succeeded(site, database_url)
    assert await value(connection, "SELECT title FROM scraped_pages WHERE url = %s", site.url("/")) == "Our town"
    assert len(await paths(connection, site)) == 4


@pytest.mark.parametrize("text", ["Log in to read on.", "We are improving our site for you, come back tomorrow."])
async def test_a_day_on_which_everything_is_redirected_to_one_page_deletes_nothing(
    site, database_url, connection, text
):
    succeeded(site, database_url)
    for path in ("/library", "/market"):
        site[path] = Page("", status=302, headers={"Location": "/wall"})
    site["/wall"] = html("Welcome", [text])
    site.not_found = Page("", status=302, headers={"Location": "/wall"})
    succeeded(site, database_url)
    assert set(small_town()) <= await paths(connection, site)


async def test_a_temporary_redirect_to_another_site_that_answers_404_deletes_nothing(site, database_url, connection):
    succeeded(site, database_url)
    with LocalSite({}) as other:
        site["/market"] = Page("", status=302, headers={"Location": other.url("/gone")})
        succeeded(site, database_url)
    assert "/market" in await paths(connection, site)


async def test_a_page_that_leads_where_missing_pages_lead_is_gone(site, database_url, connection):
    succeeded(site, database_url)
    site["/oops"] = TEMPLATE
    site["/market"] = Page("", status=302, headers={"Location": "/oops"})
    site["/library"] = Page("", status=302, headers={"Location": "/harbour"})
    site.not_found = Page("", status=302, headers={"Location": "/oops"})
    succeeded(site, database_url)
    assert {"/harbour", "/library"} <= await paths(connection, site)
    assert await tombstones(connection, site) == [("/market", "soft_404")]


async def test_a_page_that_leads_to_one_that_is_gone_is_gone(site, database_url, connection):
    succeeded(site, database_url)
    site["/market"] = Page("", status=302, headers={"Location": "/oops"})
    succeeded(site, database_url)
    assert await tombstones(connection, site) == [("/market", "http_404")]


@pytest.mark.parametrize("status", [301, 308])
async def test_a_page_that_moved_for_good_costs_no_embedding(site, database_url, connection, status):
    succeeded(site, database_url)
    site["/bazaar"] = small_town()["/market"]
    site["/market"] = Page("", status=status, headers={"Location": "/bazaar"})
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library", "/bazaar"}
    assert (await stats(connection))["chunks/embedded"] == 0
    assert await pages.broken_pages(connection) == []


async def test_a_page_that_moved_to_one_that_is_ill_but_known_is_gone(site, database_url, connection):
    succeeded(site, database_url)
    site["/market"] = Page("", status=301, headers={"Location": "/harbour"})
    site["/harbour"] = Page("", status=503)
    succeeded(site, database_url, settings={"RETRY_TIMES": "0"})
    assert await paths(connection, site) == {"/", "/harbour", "/library"}


async def test_a_page_that_moved_to_one_that_is_ill_and_unknown_stays(site, database_url, connection):
    succeeded(site, database_url)
    site["/market"] = Page("", status=301, headers={"Location": "/bazaar"})
    site["/bazaar"] = Page("", status=503)
    succeeded(site, database_url, settings={"RETRY_TIMES": "0"})
    assert "/market" in await paths(connection, site)


async def test_many_pages_that_move_to_one_are_a_loss_and_wait_for_an_operator(database_url, connection):
    names = [f"/p{n}" for n in range(14)]
    with LocalSite({name: html(name, prose(name, 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        succeeded(site, database_url)
        site["/login"] = html("Log in", prose("login"))
        for name in names:
            site[name] = Page("", status=301, headers={"Location": f"/login?next={name}"})
        assert crawl(site, database_url).code == 1
        assert (await last_job(connection))["reason"] == "mass_delete_refused"
        assert set(names) <= await paths(connection, site)


@pytest.mark.parametrize("location", [None, "", "http://[", "http:///market", "//"])
async def test_a_malformed_redirect_is_counted_and_deletes_nothing(site, database_url, connection, location):
    succeeded(site, database_url)
    site["/market"] = Page("", status=301, headers={} if location is None else {"Location": location})
    succeeded(site, database_url, settings={"RETRY_TIMES": "0"})
    assert "/market" in await paths(connection, site)
    assert await rows(connection, "SELECT kind FROM failed_pages") == [("http_301",)]
    assert (await stats(connection))["redirects/malformed"] == 1


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


async def test_new_pages_do_not_outweigh_the_loss_of_the_known_ones(database_url, connection):
    names = [f"/p{n}" for n in range(14)]
    with LocalSite({name: html(name, prose(name, 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        succeeded(site, database_url)
        new = [f"/new{n}" for n in range(30)]
        for name in names:
            del site[name]
        for name in new:
            site[name] = html(name, tale(name, 2))
        site["/"] = html("All", prose("all"), links=new)
        assert crawl(site, database_url).code == 1
        assert set(names) <= await paths(connection, site)


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


async def test_a_page_that_asks_not_to_be_indexed_leaves_by_its_header_alone(site, database_url, connection):
    succeeded(site, database_url)
    site["/market"] = Page(small_town()["/market"], headers={"X-Robots-Tag": "noindex"})
    succeeded(site, database_url)
    assert await tombstones(connection, site) == [("/market", "noindex")]
