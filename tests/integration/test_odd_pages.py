"""Pages that are odd, broken or made to hurt: each is read for what it is, or recorded, and takes no other with it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from db import pages
from db.connection import connect
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import paths, snapshot, succeeded
from tests.support.postgres import rows, value
from tests.support.site import html, prose, small_town

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


async def test_a_body_cut_short_is_not_taken_for_the_page(site, database_url, connection):
    succeeded(site, database_url)
    before = await snapshot(connection)
    site["/market"] = Page(small_town()["/market"], truncate_at=900)
    succeeded(site, database_url, settings={"RETRY_TIMES": "0"})
    assert await snapshot(connection) == before
    assert await rows(connection, "SELECT kind FROM failed_pages") == [("body_cut_short",)]


async def test_a_page_that_cannot_be_read_is_recorded_and_its_old_version_stays(site, database_url, connection):
    succeeded(site, database_url)
    before = await snapshot(connection)
    site["/market"] = Page(b"\x89PNG\r\n\x1a\n" + bytes(2000))
    succeeded(site, database_url)
    assert await snapshot(connection) == before
    ((kind, message),) = await rows(connection, "SELECT kind, message FROM failed_pages")
    assert kind
    assert message


async def test_pages_in_odd_encodings_keep_their_text(site, database_url, connection):
    words = "Žluťoučký kůň úpěl ďábelské ódy"
    page = html("Odd", [words, *prose("odd")]).replace('<meta charset="utf-8">', "")
    site["/market"] = Page(page.encode("iso-8859-2"), content_type="text/html; charset=iso-8859-2")
    succeeded(site, database_url)
    assert await value(connection, "SELECT count(*) FROM scraped_pages WHERE content LIKE %s", f"%{words}%") == 1


async def test_text_with_a_nul_byte_is_stored_without_it(site, database_url, connection):
    site["/market"] = html("Nul", ["before\0after", *prose("nul")])
    succeeded(site, database_url)
    assert "/market" in await paths(connection, site)
    async with connect(database_url) as other:
        assert await pages.broken_pages(other) == []


async def test_a_page_whose_url_scrapy_would_spell_otherwise_is_indexed(site, database_url, connection):
    site["/market"] = html("Market", prose("market"), ["/a[1]", "/b|c", "/d%20e", "/f?x=[2]"])
    for path, topic in (("/a%5B1%5D", "apple"), ("/a[1]", "apple"), ("/b|c", "bread"), ("/b%7Cc", "bread")):
        site[path] = html(topic, prose(topic))
    site["/d%20e"] = html("D", prose("door"))
    site["/f?x=[2]"] = site["/f?x=%5B2%5D"] = html("F", prose("fire"))
    succeeded(site, database_url)
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 8


async def test_a_known_page_that_is_no_web_page_any_more_is_recorded(site, database_url, connection):
    succeeded(site, database_url)
    site["/market"] = Page(b"%PDF-1.7 ...", content_type="application/pdf")
    succeeded(site, database_url)
    assert "/market" in await paths(connection, site)
    assert await rows(connection, "SELECT kind FROM failed_pages") == [("other_type",)]


async def test_a_redirect_loop_and_a_bomb_are_named_for_what_they_are(site, database_url, connection):
    site["/market"] = Page("", status=302, headers={"Location": "/market2"})
    site["/market2"] = Page("", status=302, headers={"Location": "/market"})
    site["/library"] = Page(gzip.compress(bytes(20_000_000)), headers={"Content-Encoding": "gzip"})
    succeeded(site, database_url)
    assert await rows(connection, "SELECT url, kind FROM failed_pages ORDER BY kind") == [
        (site.url("/market"), "redirect_loop"),
        (site.url("/library"), "too_large"),
    ]


async def test_a_known_page_that_lost_its_text_keeps_its_old_version(site, database_url, connection):
    succeeded(site, database_url)
    before = await snapshot(connection)
    site["/market"] = "<html><head><title>Market</title></head><body><div id=app></div></body></html>"
    succeeded(site, database_url)
    assert await snapshot(connection) == before
    assert await rows(connection, "SELECT kind FROM failed_pages") == [("no_text",)]


async def test_a_compressed_body_cut_short_is_not_taken_for_the_page(site, database_url, connection):
    succeeded(site, database_url)
    before = await snapshot(connection)
    whole = gzip.compress(html("Market", prose("stall", 40)).encode())
    site["/market"] = Page(whole[:300], headers={"Content-Encoding": "gzip"})
    site["/harbour"] = Page(gzip.compress(small_town()["/harbour"].encode()), headers={"Content-Encoding": "gzip"})
    succeeded(site, database_url)
    assert await rows(connection, "SELECT kind FROM failed_pages") == [("body_cut_short",)]
    assert (await snapshot(connection))[0] == before[0]
