"""A whole website: from its start URL, its sitemaps, and what the index knows of it already."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from scrapy import Request, signals

from db import pages
from lcl_spiders.base_spiders import sitemaps
from lcl_spiders.base_spiders.source import SourceSpider
from lcl_spiders.base_spiders.stored import stored_pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy.http import Response
    from twisted.python.failure import Failure

    from db.pages import KnownPage
    from lcl_spiders.items import PageItem

BATCH = 500
MAX_SITEMAPS = 500
MAX_SITEMAP_DEPTH = 5


class WebsiteSpider(SourceSpider):
    """Crawl a website: its start URL, the sitemaps that its robots.txt names, and links within its domain.

    `scrapy crawl website -a url=https://…` registers a site and crawls it; a registered one is crawled by its slug.
    """

    name = "website"
    _sitemaps_asked = 0

    async def find(self) -> AsyncIterator[Request | PageItem]:
        """Yield the start URL, sitemaps, due failed pages, due known pages, and links of pages that stay unread."""
        run = self.run
        fresh = 0
        if run.known_pages:
            fresh = await run.runtime.use_connection(
                lambda connection: pages.count_fresh(connection, run.source.id, run.seen_before)
            )
        failed = await run.runtime.use_connection(lambda connection: pages.due_failures(connection, run.source.id))
        self.has_fresh_pages = bool(fresh)
        if not self.frontier.is_in_scope(self.start_url):
            why = "its allow or deny patterns exclude it, it names a media file, or it is too long"
            run.stop("start_excluded", f"the source's own start URL is out of its scope: {why}")
            return
        for url in self.frontier.unmet([self.start_url]):
            is_fresh = self.has_fresh_pages and await self.fresh_among([url])
            if not is_fresh and (request := self.ask_for(url, is_start=True)):
                yield request
        if self.config.sitemaps:
            yield self._robots_request()
        for url in self.frontier.unmet(failed):
            if request := self.ask_for(url, is_due=True):
                yield request
        async for request in self._known_pages():
            yield request
        if fresh:
            async for result in self._fresh_pages(fresh):
                yield result

    async def _known_pages(self) -> AsyncIterator[Request]:
        """Yield requests for due pages, a batch whenever the scheduler has run dry: memory does not grow with them.

        Read by key, because a server-side cursor would hold a transaction open for the whole crawl.
        """
        run = self.run
        last: KnownPage | None = None
        while run.known_pages and not self.frontier.is_exhausted:
            batch = await run.runtime.use_connection(
                partial(pages.due, source_id=run.source.id, seen_before=run.seen_before, after=last, limit=BATCH)
            )
            for known in batch:
                if self.frontier.is_in_scope(known.url) and (request := self.ask_for(known.url, known=known)):
                    yield request
            if len(batch) < BATCH:
                return
            last = batch[-1]
            await self.crawler.signals.wait_for(signals.scheduler_empty)

    async def _fresh_pages(self, fresh: int) -> AsyncIterator[Request | PageItem]:
        """Skip pages verified lately (A15), but not the pages that only they lead to, nor a re-embedding."""
        run = self.run
        run.count("pages/skipped_recent", fresh)
        links = await run.runtime.use_connection(
            lambda connection: pages.unknown_outlinks_of_fresh(
                connection,
                run.source.id,
                seen_before=run.seen_before,
                prefixes=[f"http://{self.domain}/", f"https://{self.domain}/"],
                limit=self.config.max_pages,
            )
        )
        for url in self.frontier.unmet(links):
            if request := self.ask_for(url):
                yield request
        if run.arguments.reembed:
            async for item in stored_pages(run, self.crawler):
                yield item

    def _robots_request(self) -> Request:
        return Request(
            urljoin(self.start_url, "/robots.txt"),
            callback=self.parse_robots,
            errback=self.sitemap_failed,
            dont_filter=True,
            meta={"dont_obey_robotstxt": True},
            priority=10,
        )

    async def parse_robots(self, response: Response) -> AsyncIterator[Request]:
        """Ask for the sitemaps that robots.txt names."""
        if response.status == HTTPStatus.OK:
            for url in sitemaps.named_in_robots(response.body, response.url):
                if request := self._sitemap_request(url, depth=0):
                    yield request

    def _sitemap_request(self, url: str, depth: int) -> Request | None:
        if self._sitemaps_asked >= MAX_SITEMAPS or depth > MAX_SITEMAP_DEPTH or not self.frontier.meet(url):
            return None
        self._sitemaps_asked += 1
        return Request(
            url,
            callback=self.parse_sitemap,
            errback=self.sitemap_failed,
            dont_filter=True,
            meta={"sitemap_depth": depth},
            priority=10,
        )

    async def parse_sitemap(self, response: Response) -> AsyncIterator[Request]:
        """Ask for the pages and further sitemaps that a sitemap lists."""
        if response.status != HTTPStatus.OK:
            self.run.count("sitemaps/failed")
            return
        try:
            is_index, entries = await asyncio.to_thread(sitemaps.parse, response.body)
        except sitemaps.BadSitemap as error:
            self.run.count("sitemaps/malformed")
            self.logger.warning("%s is no sitemap: %s", response.url, error)
            return
        self.run.count("sitemaps/read")
        if is_index:
            for entry in entries:
                if request := self._sitemap_request(entry.url, response.meta["sitemap_depth"] + 1):
                    yield request
        else:
            for request in await self.follow((entry.url for entry in entries), depth=0):
                yield request

    def sitemap_failed(self, failure: Failure) -> None:
        """Go on without a sitemap or robots.txt that gave no answer."""
        self.run.count("sitemaps/failed")
        self.logger.info("%s: %s", failure.request.url, failure.getErrorMessage())  # type: ignore[attr-defined]
