"""Pages that are missing though the site answers 200, and walls in front of pages that are not missing (C5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import crawl, last_job, paths, snapshot, stats, succeeded, tombstones
from tests.support.postgres import rows, value
from tests.support.site import html, prose, small_town, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATE = html(
    "Not found", ["The page that you asked for does not exist. Perhaps it was moved, perhaps it never was."]
)


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


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


async def test_a_page_that_leads_where_missing_pages_lead_is_gone(site, database_url, connection):
    succeeded(site, database_url)
    site["/oops"] = TEMPLATE
    site["/market"] = Page("", status=302, headers={"Location": "/oops"})
    site["/library"] = Page("", status=302, headers={"Location": "/harbour"})
    site.not_found = Page("", status=302, headers={"Location": "/oops"})
    succeeded(site, database_url)
    assert {"/harbour", "/library"} <= await paths(connection, site)
    assert await tombstones(connection, site) == [("/market", "soft_404")]
