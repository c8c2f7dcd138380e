"""A source that is a feed: its entries are the pages, whatever they link to."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import last_job, paths, snapshot, stats, statuses
from tests.support.postgres import rows
from tests.support.scrapy import Completed, run_scrapy
from tests.support.site import html, prose, tale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONG_AGO = "2024-05-01T12:00:00Z"
TOPICS = ("harbour", "library", "market")
# feedparser takes time with the square of the depth: minutes.
ENDLESS = '<rss version="2.0"><channel><item>' + "<a>" * 600_000
SOON = {"env": {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "1000000"}}


@pytest.fixture
def site() -> Iterator[LocalSite]:
    town = {f"/{topic}": html(topic.title(), prose(topic), links=["/linked"]) for topic in TOPICS}
    with LocalSite({**town, "/linked": html("Linked", prose("linked"))}) as running:
        publish(running, dict.fromkeys(TOPICS))
        yield running


def publish(site: LocalSite, entries: Mapping[str, str | None], more: str = "", path: str = "/feed.xml") -> None:
    """Put an Atom feed on the site: topics with the time of their last change."""
    listed = "".join(
        f'<entry><link href="/{topic}"/>{f"<updated>{updated}</updated>" if updated else ""}</entry>'
        for topic, updated in entries.items()
    )
    body = f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">{more}{listed}</feed>'
    site[path] = Page(body, content_type="application/atom+xml")


def crawl(site: LocalSite, database_url: str, path: str = "/feed.xml", **options: Any) -> Completed:
    return run_scrapy("crawl", "feed", "-a", f"url={site.url(path)}", database_url=database_url, **options)


def succeeded(site: LocalSite, database_url: str, path: str = "/feed.xml", **options: Any) -> None:
    done = crawl(site, database_url, path, **options)
    assert done.code == 0, done.stderr


async def test_a_first_crawl_indexes_the_entries_and_nothing_that_they_link_to(site, database_url, connection):
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/harbour", "/library", "/market"}
    assert "/linked" not in statuses(site)
    found = await stats(connection)
    assert (found["pages/new"], found["feeds/entries"], found.get("feeds/other_domains")) == (3, 3, None)
    assert await rows(connection, "SELECT slug, spider FROM scraper_sources") == [
        (site.domain.replace(".", "-").replace(":", "-"), "feed")
    ]


async def test_a_refresh_reads_the_feed_again_takes_new_entries_and_keeps_those_that_have_left_it(
    site, database_url, connection
):
    succeeded(site, database_url)
    before = await snapshot(connection)
    succeeded(site, database_url)
    assert await snapshot(connection) == before
    assert (await stats(connection))["pages/unchanged"] == 3

    site["/pier"] = html("Pier", prose("pier"))
    publish(site, dict.fromkeys(("library", "pier")))
    del site["/library"]
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/harbour", "/market", "/pier"}
    found = await stats(connection)
    assert (found["pages/new"], found["pages/gone"], found["pages/unchanged"]) == (1, 1, 2)
    assert await pages.broken_pages(connection) == []


async def test_updated_spares_a_page_its_request_once_it_is_believed_and_calls_for_one_that_changed(
    site, database_url, connection
):
    publish(site, dict.fromkeys(TOPICS, LONG_AGO))
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site["/market"] = html("Market", tale("market"))
    publish(site, {**dict.fromkeys(TOPICS, LONG_AGO), "market": dt.datetime.now(dt.UTC).isoformat()})
    site.reset()
    succeeded(site, database_url, **SOON)
    assert [path for path in statuses(site) if path in {"/harbour", "/library", "/market"}] == ["/market"]
    found = await stats(connection)
    assert (found["pages/skipped_lastmod"], found["pages/changed"]) == (2, 1)


async def test_a_paged_feed_is_followed_within_the_limit_of_its_source(site, database_url, connection):
    for number, topic in enumerate(TOPICS, 1):
        path = "/feed.xml" if number == 1 else f"/feed-{number}.xml"
        publish(site, {topic: None}, f'<link rel="next" href="/feed-{number + 1}.xml"/>', path)
    limit = ("--spider", "feed", "--slug", "town", "--set", "max_listing_pages=2")
    added = run_scrapy("sources", "add", site.url("/feed.xml"), *limit, database_url=database_url)
    assert added.code == 0, added.stderr
    done = run_scrapy("crawl", "town", database_url=database_url)
    assert done.code == 0, done.stderr
    assert await paths(connection, site) == {"/harbour", "/library"}
    assert "/feed-3.xml" not in statuses(site)


async def test_json_feed_and_sitemap_index_are_feeds_too(site, database_url, connection):
    items = [{"id": "1", "url": site.url("/harbour")}, {"id": "2", "url": "https://elsewhere.example/x"}]
    site["/feed.json"] = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items})
    index = f"<sitemapindex><sitemap><loc>{site.url('/s.xml')}</loc></sitemap></sitemapindex>"
    site["/sitemap.xml"] = Page(index, content_type="application/xml")
    urlset = f"<urlset><url><loc>{site.url('/library')}</loc></url></urlset>"
    site["/s.xml"] = Page(urlset, content_type="application/xml")
    start_urls = f"start_urls={site.url('/sitemap.xml')}"
    added = run_scrapy(
        *("sources", "add", site.url("/feed.json"), "--spider", "feed", "--slug", "town", "--set", start_urls),
        database_url=database_url,
    )
    assert added.code == 0, added.stderr
    done = run_scrapy("crawl", "town", database_url=database_url)
    assert done.code == 0, done.stderr
    assert await paths(connection, site) == {"/harbour", "/library"}
    assert (await stats(connection))["feeds/other_domains"] == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Page("gone", status=404), "answered 404"),
        (Page("down", status=503), "answered 503"),
        (Page("<!doctype html><html><title>Log in</title><p>Please log in"), "is no feed: its root is <html>"),
        (Page(ENDLESS, content_type="application/rss+xml"), "cannot be read: given up after 1.0 s"),
    ],
    ids=["404", "503", "html", "endless"],
)
async def test_a_feed_that_cannot_be_read_fails_the_run_and_nothing_is_deleted(
    site, database_url, connection, answer, why
):
    succeeded(site, database_url)
    before = await snapshot(connection)
    site["/feed.xml"] = answer
    del site["/library"]
    site.reset()
    done = crawl(site, database_url, settings={"RETRY_TIMES": "0", "LCL_EXTRACTION_TIMEOUT": "1"})
    assert done.code == 1
    assert why in done.stderr
    assert await snapshot(connection) == before
    assert (await last_job(connection))["reason"] == "site_unreachable"
    assert "/harbour" not in statuses(site)


async def test_a_feed_of_another_site_says_whose_it_is(site, database_url, connection):
    entry = '<entry><link href="https://elsewhere.example/x"/></entry>'
    site["/feed.xml"] = Page(f'<feed xmlns="http://www.w3.org/2005/Atom">{entry}</feed>', content_type="text/xml")
    done = crawl(site, database_url)
    assert done.code == 1
    assert "elsewhere.example" in done.stderr
    assert (await stats(connection))["requests/sent"] == 0


async def test_a_site_that_is_known_as_one_kind_is_not_crawled_as_another(site, database_url):
    succeeded(site, database_url)
    done = run_scrapy("crawl", "listing", "-a", f"url={site.url('/feed.xml')}", database_url=database_url)
    assert done.code == 1
    assert "known already, as the feed" in done.stderr
