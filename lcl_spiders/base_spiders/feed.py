"""A feed: a document of the site (RSS, Atom, JSON Feed, sitemap) that lists its pages."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from scrapy import Request

from db.errors import one_line
from db.urls import domain_of
from lcl_spiders.base_spiders import sitemaps
from lcl_spiders.base_spiders.answers import charset, kind_of
from lcl_spiders.base_spiders.frontier import MAX_URL
from lcl_spiders.base_spiders.refresh import RefreshSpider
from lcl_spiders.base_spiders.sitemap_reader import read_sitemaps
from lcl_spiders.base_spiders.sitemaps import BadSitemap
from lcl_spiders.downloadermiddlewares.typed import RobotsForbidden
from lcl_spiders.extraction import BadFeed, ExtractionError
from lcl_spiders.extraction.feeds import Feed, is_sitemap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from scrapy.http import HtmlResponse, Response

    from lcl_spiders.base_spiders.listed import ListedUrls
    from lcl_spiders.extraction import ExtractedPage
    from lcl_spiders.extraction.feeds import Entry
    from lcl_spiders.items import PageItem


@dataclass(frozen=True, slots=True)
class Index:
    """A sitemap index: it lists sitemaps, no pages."""

    sitemaps: Sequence[Entry]


class Unreadable(Exception):
    """A feed that gave no entries; `reason` is the run's, should the run depend on it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class FeedSpider(RefreshSpider):
    """Index the pages that a feed lists: RSS, Atom, JSON Feed, or a sitemap. No links are followed.

    The feed itself is read in every run and is no page of the index. A page that has left the feed stays in the index
    for as long as it is there. `scrapy crawl feed -a url=https://…` registers a feed and crawls it.
    """

    name = "feed"

    def ways_of_reading(self) -> list[str]:
        """Return what decides what is read: a feed's pages keep no links."""
        return [*super().ways_of_reading(), "feed"]

    @property
    def front_page(self) -> str:
        """The site's home: the feed is no page."""
        return urljoin(self.start_url, "/")

    def why_not_to_start(self, url: str) -> str | None:
        """Return why a URL can be no feed: allow and deny are for its entries."""
        return "it is too long" if len(url) > MAX_URL else None

    async def read_lists(self, listed: ListedUrls, robots_txt: bytes) -> None:
        """Take in the feed, its further pages, and the sitemaps that it is an index of; without it the run stops."""
        others: Counter[str] = Counter()
        entries = 0
        try:
            for start in self.starts:
                async for feed in self._pages_of(start):
                    if isinstance(feed, Index):
                        await read_sitemaps(self, listed, [entry.url for entry in feed.sitemaps])
                        continue
                    entries += len(feed.entries)
                    others.update(domain_of(e.url) for e in feed.entries if not self.frontier.is_inside(e.url))
                    await listed.take_in(feed.entries)
        except Unreadable as error:
            self.run.stop(error.reason, f"{error}. Nothing was asked for, and nothing is deleted.")
            return
        self.run.count("feeds/entries", entries)
        self.run.count("feeds/other_domains", others.total())
        if entries and entries == others.total():
            most = others.most_common(1)[0][0]
            self.run.start_failure = (
                f"{self.start_url} lists {entries} pages, none of them of {self.domain}; most are of {most}: add the "
                "feed's address there, or that site, as a source"
            )

    async def _pages_of(self, start: str) -> AsyncIterator[Feed | Index]:
        """Yield a feed and its further pages (RFC 5005). Raises `Unreadable` for the first, which is not to miss."""
        url: str | None = start
        read: set[str] = set()
        while url is not None and url not in read and len(read) < self.config.max_listing_pages:
            read.add(url)
            self.frontier.meet(url)
            try:
                feed = await self._read_feed(url)
            except Unreadable as error:
                if url == start:
                    raise
                self.run.count("feeds/failed")
                self.logger.warning("%s; the pages of the feed after it are left to the next run", error)
                return
            self.run.count("feeds/read")
            yield feed
            following = feed.next_page if isinstance(feed, Feed) else None
            url = following if following and self.frontier.is_inside(following) else None
        if url is not None and url not in read:
            self.logger.warning("%s: the feed goes on after %d pages (max_listing_pages)", self.slug, len(read))

    async def _read_feed(self, url: str) -> Feed | Index:
        try:
            response = await self.download(Request(url))
        except RobotsForbidden as error:
            msg = f"robots.txt forbids the feed {url}"
            raise Unreadable("robots_forbidden", msg) from error
        except Exception as error:  # whatever it is, there is no feed
            self.run.start_kind = kind_of(error.__cause__ or error)
            msg = f"the feed {url} gave no answer: {type(error).__name__}: {one_line(error)}"
            raise Unreadable("site_unreachable", msg) from error
        if response.status != HTTPStatus.OK:
            msg = f"the feed {url} answered {response.status}"
            raise Unreadable("site_unreachable", msg)
        try:
            return await self._parsed(response)
        except (BadFeed, BadSitemap) as error:
            msg = f"{url} is no feed: {error}"
            raise Unreadable("site_unreachable", msg) from error
        except ExtractionError as error:
            msg = f"the feed {url} cannot be read: {error}"
            raise Unreadable("site_unreachable", msg) from error

    async def _parsed(self, response: Response) -> Feed | Index:
        """Return what a document lists. Raises `ExtractionError` or `BadSitemap`."""
        if is_sitemap(response.body):
            is_index, entries = await asyncio.to_thread(sitemaps.parse, response.body)
            return Index(entries) if is_index else Feed(entries)
        return await self.pool.read_feed(response.body, response.url, charset(response))

    async def first_requests(self) -> AsyncIterator[Request]:
        """Yield nothing: a run begins with what the feed lists."""
        nothing: Sequence[Request] = ()
        for request in nothing:
            yield request

    def links(self, response: HtmlResponse, page: ExtractedPage) -> Sequence[str]:
        """Return the links to other domains: an entry leads nowhere."""
        return [url for url in page.outlinks if not self.frontier.is_inside(url)]

    async def lead_on(self, response: Response, item: PageItem) -> list[Request]:
        """Return a request for the page that an entry names as its canonical one, nothing else."""
        named = [item.canonical] if item.canonical is not None else []
        return await self.follow(named, response.meta["page_depth"] + 1)
