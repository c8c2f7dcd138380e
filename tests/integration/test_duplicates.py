"""One page under several URLs: indexed once, and none of them forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import paths, snapshot, stats, succeeded
from tests.support.postgres import rows, value
from tests.support.site import html, prose, small_town, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

LINKS = ["/harbour", "/library", "/market", "/pier"]


@pytest.fixture
def site() -> Iterator[LocalSite]:
    town = small_town()
    town["/"] = html("A small town", prose("town"), links=LINKS)
    town["/pier"] = town["/harbour"]
    with LocalSite(town) as running:
        yield running


async def indexed(connection: Connection, site: LocalSite) -> set[str]:
    """Return the paths that have embeddings."""
    query = "SELECT DISTINCT p.url FROM scraped_pages AS p JOIN page_embeddings AS e ON e.page_id = p.id"
    return {url.removeprefix(f"http://{site.domain}") for (url,) in await rows(connection, query)}


async def twins(connection: Connection, site: LocalSite) -> set[tuple[str, str]]:
    """Return the paths of duplicates with those of their originals."""
    query = "SELECT d.url, o.url FROM scraped_pages AS d JOIN scraped_pages AS o ON o.id = d.duplicate_of"
    prefix = f"http://{site.domain}"
    return {(d.removeprefix(prefix), o.removeprefix(prefix)) for d, o in await rows(connection, query)}


async def test_the_same_text_under_two_urls_is_indexed_once_and_both_are_remembered(site, database_url, connection):
    succeeded(site, database_url)
    assert {"/harbour", "/pier"} <= await paths(connection, site)
    assert len({"/harbour", "/pier"} & await indexed(connection, site)) == 1
    assert (await stats(connection))["pages/duplicate"] == 1
    assert await pages.broken_pages(connection) == []
    before = await snapshot(connection)
    succeeded(site, database_url)
    assert await snapshot(connection) == before
    assert (await stats(connection))["pages/duplicate"] == 1


async def test_a_twin_takes_the_place_of_an_original_that_goes_without_an_embedding(site, database_url, connection):
    succeeded(site, database_url)
    ((twin, original),) = await twins(connection, site)
    chunks = {row for (row,) in await rows(connection, "SELECT chunk_hash FROM page_embeddings")}
    del site[original]
    succeeded(site, database_url)
    assert twin in await indexed(connection, site)
    assert original not in await paths(connection, site)
    assert {row for (row,) in await rows(connection, "SELECT chunk_hash FROM page_embeddings")} == chunks
    assert (await stats(connection))["chunks/embedded"] == 0
    assert await pages.broken_pages(connection) == []


async def test_a_twin_keeps_the_text_when_the_original_changes(site, database_url, connection):
    succeeded(site, database_url)
    ((twin, original),) = await twins(connection, site)
    site[original] = html("Harbour", ["A new pier is being built.", *prose("harbour")])
    succeeded(site, database_url)
    assert await twins(connection, site) == set()
    assert {twin, original} <= await indexed(connection, site)
    assert (await stats(connection))["chunks/embedded"] <= 2
    assert await pages.broken_pages(connection) == []


async def test_a_twin_that_changes_is_a_page_of_its_own_and_one_that_changes_back_is_a_twin_again(
    site, database_url, connection
):
    succeeded(site, database_url)
    ((twin, original),) = await twins(connection, site)
    site[twin] = html("Pier", prose("pier"))
    succeeded(site, database_url)
    assert await twins(connection, site) == set()
    assert {twin, original} <= await indexed(connection, site)
    site[twin] = small_town()["/harbour"]
    succeeded(site, database_url)
    assert await twins(connection, site) == {(twin, original)}
    assert twin not in await indexed(connection, site)
    assert await pages.broken_pages(connection) == []


async def test_three_twins_lose_two_and_the_last_one_stands(site, database_url, connection):
    site["/quay"] = small_town()["/harbour"]
    site["/"] = html("A small town", prose("town"), links=[*LINKS, "/quay"])
    succeeded(site, database_url)
    for _ in range(2):
        gone = (await indexed(connection, site) & {"/harbour", "/pier", "/quay"}).pop()
        del site[gone]
        succeeded(site, database_url)
        assert await pages.broken_pages(connection) == []
    assert len(await indexed(connection, site) & {"/harbour", "/pier", "/quay"}) == 1


def printed(extra: str = "Printed on demand.") -> str:
    head = '<link rel="canonical" href="/harbour">'
    return html("Harbour", [*prose("harbour"), extra], head=head)


async def test_a_print_version_that_names_the_page_is_not_indexed(site, database_url, connection):
    site["/pier"] = printed()
    succeeded(site, database_url)
    assert await twins(connection, site) == {("/pier", "/harbour")}
    assert (await stats(connection))["pages/duplicate"] == 1
    assert await pages.broken_pages(connection) == []


async def test_a_print_version_is_indexed_when_the_page_that_it_names_goes(site, database_url, connection):
    site["/pier"] = printed()
    succeeded(site, database_url)
    del site["/harbour"]
    succeeded(site, database_url)
    assert "/pier" in await indexed(connection, site)
    assert await value(connection, "SELECT count(*) FROM page_embeddings WHERE content LIKE '%%Printed on demand%%'")
    assert await pages.broken_pages(connection) == []


async def test_a_print_version_is_indexed_when_the_page_that_it_names_says_something_else(
    site, database_url, connection
):
    site["/pier"] = printed()
    succeeded(site, database_url)
    site["/harbour"] = html("Shipyard", tale("shipyard"))
    succeeded(site, database_url)
    assert {"/pier", "/harbour"} <= await indexed(connection, site)
    assert await pages.broken_pages(connection) == []
    succeeded(site, database_url)
    before = await snapshot(connection)
    succeeded(site, database_url)
    assert await snapshot(connection) == before


@pytest.mark.parametrize("named", ["/library", "/gone", "https://elsewhere.example/", "http://[", "/harbour?page=2"])
async def test_a_canonical_that_names_another_text_or_none_is_not_believed(site, database_url, connection, named):
    site["/pier"] = html("Pier", tale("pier"), head=f'<link rel="canonical" href="{named}">')
    succeeded(site, database_url)
    assert "/pier" in await indexed(connection, site)
    found = await stats(connection)
    assert found.get("canonicals/not_believed", 0) + found.get("canonicals/malformed", 0) == 1


async def test_two_pages_that_name_each_other_are_not_lost(site, database_url, connection):
    site["/pier"] = html("Pier", prose("pier"), head='<link rel="canonical" href="/market">')
    site["/market"] = html("Pier", prose("pier"), head='<link rel="canonical" href="/pier">')
    succeeded(site, database_url)
    assert len(await indexed(connection, site) & {"/pier", "/market"}) == 1


async def test_tracking_parameters_and_session_ids_make_no_new_page(site, database_url, connection):
    session = "0123456789abcdef0123456789abcdef"
    links = [
        "/harbour?utm_source=home",
        f"/library;jsessionid={session}",
        f"/market?PHPSESSID={session}",
        "/pier?fbclid=x",
    ]
    site["/"] = html("A small town", prose("town"), links=links)
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library", "/market", "/pier"}


async def test_a_trailing_slash_that_serves_the_same_page_is_a_twin(site, database_url, connection):
    site["/harbour/"] = small_town()["/harbour"]
    site["/"] = html("A small town", prose("town"), links=["/harbour", "/harbour/"])
    succeeded(site, database_url)
    assert len(await indexed(connection, site) & {"/harbour", "/harbour/"}) == 1


@pytest.mark.parametrize("named", ["/harbour/", "/harbour/index.html"])
async def test_a_known_page_that_names_another_spelling_of_itself_is_never_stale(site, database_url, connection, named):
    succeeded(site, database_url)
    for word in ("first", "second"):
        body = [f"The {word} edition.", *tale("harbour")]
        site["/harbour"] = site[named] = html("Harbour", body, head=f'<link rel="canonical" href="{named}">')
        succeeded(site, database_url)
        query = "SELECT count(*) FROM page_embeddings WHERE content LIKE %s"
        assert await value(connection, query, f"%{word} ed%") == 1
        query = "SELECT count(*) FROM scraped_pages WHERE url = %s AND content NOT LIKE %s"
        assert not await value(connection, query, site.url("/harbour"), f"%{word}%")
        assert len(await indexed(connection, site) & {"/harbour", named}) == 1
        assert await pages.broken_pages(connection) == []


async def test_a_print_version_is_not_lost_when_the_run_ends_between_the_change_and_the_second_look(
    site, database_url, connection
):
    site["/pier"] = printed()
    succeeded(site, database_url)
    site["/harbour"] = html("Shipyard", tale("shipyard"))
    # All that a run that dies there has left behind.
    succeeded(site, database_url)
    await connection.execute(
        "UPDATE scraped_pages SET duplicate_of = (SELECT id FROM scraped_pages WHERE url = %s), chunk_hashes = '{}', "
        "content_hash = '', body_hash = NULL, etag = NULL WHERE url = %s",
        (site.url("/harbour"), site.url("/pier")),
    )
    await connection.execute(
        "DELETE FROM page_embeddings WHERE page_id = (SELECT id FROM scraped_pages WHERE url = %s)",
        (site.url("/pier"),),
    )
    await connection.execute("UPDATE page_checks SET next_check_at = '-infinity'")
    succeeded(site, database_url)
    assert "/pier" in await indexed(connection, site)
    assert await pages.broken_pages(connection) == []


async def test_texts_that_move_among_pages_are_each_indexed_once(site, database_url, connection):
    for path in ("/harbour", "/library", "/market", "/pier"):
        site[path] = html("Page", tale(path))
    site["/pier"] = site["/library"]
    succeeded(site, database_url)
    moved = site["/library"]
    site["/library"] = html("Page", tale("something new"))
    site["/harbour"] = site["/market"] = moved
    succeeded(site, database_url)
    query = "SELECT count(*) FROM scraped_pages WHERE cardinality(chunk_hashes) > 0 GROUP BY content_hash"
    assert {count for (count,) in await rows(connection, query)} == {1}
    assert await pages.broken_pages(connection) == []


async def test_an_empty_page_is_nobodys_twin(site, database_url, connection):
    for path in ("/pier", "/market"):
        site[path] = Page("<html><head><title>Shell</title></head><body></body></html>")
    succeeded(site, database_url)
    assert await twins(connection, site) == set()
