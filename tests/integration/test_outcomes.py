"""How the URLs of a site end a run: moved, gone, forbidden or ill (C4, A13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import crawl, last_job, paths, stats, statuses, succeeded, tombstones
from tests.support.postgres import rows, value
from tests.support.site import html, prose, small_town, tale

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


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


async def test_a_site_that_forbids_itself_says_so(site, database_url, connection):
    succeeded(site, database_url)
    site["/robots.txt"] = Page("User-agent: *\nDisallow: /\n", content_type="text/plain")
    assert crawl(site, database_url).code == 1
    assert (await last_job(connection))["reason"] == "robots_forbidden"
    assert len(await paths(connection, site)) == 4


async def test_a_temporary_redirect_to_another_site_that_answers_404_deletes_nothing(site, database_url, connection):
    succeeded(site, database_url)
    with LocalSite({}) as other:
        site["/market"] = Page("", status=302, headers={"Location": other.url("/gone")})
        succeeded(site, database_url)
    assert "/market" in await paths(connection, site)


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


async def test_a_page_that_asks_not_to_be_indexed_leaves_by_its_header_alone(site, database_url, connection):
    succeeded(site, database_url)
    site["/market"] = Page(small_town()["/market"], headers={"X-Robots-Tag": "noindex"})
    succeeded(site, database_url)
    assert await tombstones(connection, site) == [("/market", "noindex")]
