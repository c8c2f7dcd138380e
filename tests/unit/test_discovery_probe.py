"""One candidate's probe, with a network that stops at will."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, Response

from lcl_spiders.discovery.config import DiscoveryConfig
from lcl_spiders.discovery.findings import Listed
from lcl_spiders.discovery.probe import NothingThere, Probe, Tools
from lcl_spiders.discovery.scoring import judge
from lcl_spiders.extraction.extract import extract_page
from lcl_spiders.extraction.feeds import Feed, parse_feed
from lcl_spiders.extraction.page import ExtractedPage
from tests.support.site import html, prose

URL = "https://example.org/"


class Pool:
    """Extraction without processes."""

    async def extract(self, body: bytes, url: str, encoding: str | None) -> ExtractedPage:
        return extract_page(body, url, encoding)

    async def read_feed(self, body: bytes, url: str, encoding: str | None) -> Feed:
        return parse_feed(body, url, encoding)


class Network:
    """Answers with the pages that there are; `stalled` is set when a page is asked for that never answers."""

    def __init__(self, pages: dict[str, Response], silent: str = "") -> None:
        self.pages = pages
        self.silent = silent
        self.stalled = asyncio.Event()
        self.asked: list[str] = []

    async def download(self, request: Request) -> Response:
        self.asked.append(request.url)
        if request.url == self.silent:
            self.stalled.set()
            await asyncio.Event().wait()
        return self.pages.get(request.url, Response(request.url, status=404))

    async def robots_txt(self, url: str) -> bytes:
        return b""

    def probe(self, url: str = URL) -> Probe:
        pool: Any = Pool()
        return Probe(url, Tools(self.download, self.robots_txt, pool, DiscoveryConfig()))


def page(path: str, text: str, links: tuple[str, ...] = (), answers: str | None = None) -> HtmlResponse:
    return HtmlResponse(answers or f"{URL}{path}", body=html(text, prose(text), links=links).encode(), encoding="utf-8")


async def test_what_was_seen_before_the_time_was_over_is_judged() -> None:
    pages = {URL: page("", "town", links=("/a", "/b")), f"{URL}a": page("a", "harbour")}
    network = Network(pages, silent=f"{URL}b")
    probe = network.probe()
    await probe.first_page()
    looking = asyncio.create_task(probe.look_around())
    await network.stalled.wait()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    probe.findings.is_cut_short = True

    judged = judge(probe.findings, DiscoveryConfig())

    assert [each.url for each in probe.findings.pages] == [URL, f"{URL}a"]
    assert 0 < judged.score < 0.55  # the page that did not answer in time has no text
    assert "the time for this candidate was over" in (judged.reason or "")


async def test_a_sitemap_shows_pages_where_nothing_links_to_them() -> None:
    entries = f"<urlset><url><loc>{URL}a</loc></url><url><loc>https://other.example/</loc></url></urlset>"
    pages = {
        URL: page("", "town"),
        f"{URL}sitemap.xml": Response(f"{URL}sitemap.xml", body=entries.encode()),
        f"{URL}a": page("a", "harbour"),
    }
    probe = Network(pages).probe()
    await probe.first_page()
    await probe.look_around()
    assert probe.findings.sitemap == Listed(f"{URL}sitemap.xml", count=1, total=2)
    assert [each.url for each in probe.findings.samples] == [f"{URL}a"]


FEED = "<rss version='2.0'><channel><item><title>No link</title></item><item><link>/a</link></item></channel></rss>"
SITEMAP = f"<urlset><url><loc>{URL}a</loc></url></urlset>"


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        (FEED.encode(), Listed(f"{URL}rss.xml", count=1, total=1)),
        (FEED.encode("utf-16"), Listed(f"{URL}rss.xml", count=1, total=1)),
        (b"<rss version='2.0'><channel></channel></rss>", Listed(f"{URL}rss.xml", count=0, total=0)),
        (SITEMAP.encode(), False),
        (f"{URL}a\n".encode(), False),
    ],
    ids=["feed", "utf-16", "empty", "sitemap", "list"],
)
async def test_the_first_of_the_usual_places_that_has_a_feed_counts_and_a_sitemap_is_none(
    body: bytes, listed: Listed | bool
) -> None:
    pages = {
        URL: page("", "town"),
        f"{URL}feed": page("feed", "nothing here"),
        f"{URL}rss.xml": Response(f"{URL}rss.xml", body=body),
    }
    probe = Network(pages).probe()
    await probe.first_page()
    await probe.look_around()
    assert probe.findings.feed == listed


def xml(body: str) -> Network:
    return Network({URL: Response(URL, body=body.encode(), headers={"Content-Type": "text/xml"})})


async def test_a_candidate_may_be_a_feed_itself() -> None:
    probe = xml(FEED).probe()
    await probe.first_page()
    assert (probe.findings.is_feed, probe.findings.feed) == (True, Listed(URL, count=1, total=1))


async def test_a_candidate_that_is_a_sitemap_is_no_page() -> None:
    with pytest.raises(NothingThere, match="no page"):
        await xml(SITEMAP).probe().first_page()


@pytest.mark.parametrize(
    ("leads_to", "reason"), [("https://www.facebook.com/x", "noise"), ("https://sedo.com/x", "parked")]
)
async def test_a_candidate_that_leads_to_what_is_no_source_is_given_up(leads_to: str, reason: str) -> None:
    network = Network({URL: page("", "town", answers=leads_to)})
    probe = network.probe()
    with pytest.raises(NothingThere, match=reason):
        await probe.first_page()
    assert network.asked == [URL]
