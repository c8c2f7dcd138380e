"""A whole website: from its start URL, its sitemaps, and what the index knows of it already."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scrapy import Request
from scrapy.exceptions import CannotResolveHostError, DownloadConnectionRefusedError

from db import pages
from db.pages import Savings
from lcl_spiders.base_spiders.sitemap_reader import SitemapReader
from lcl_spiders.base_spiders.source import SourceSpider
from lcl_spiders.base_spiders.stored import stored_pages
from lcl_spiders.downloadermiddlewares.typed import RobotsUnavailable, TypedRobotsTxtMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from db.connection import Connection
    from db.pages import KnownPage, Standing
    from lcl_spiders.items import ListedPages, PageItem

BATCH = 500
FEW = 100
UNREACHABLE = (DownloadConnectionRefusedError, CannotResolveHostError)


class WebsiteSpider(SourceSpider):
    """Crawl a website: its start URL, the sitemaps that its robots.txt names, and links within its domain.

    `scrapy crawl website -a url=https://…` registers a site and crawls it; a registered one is crawled by its slug.
    """

    name = "website"

    async def find(self) -> AsyncIterator[Request | PageItem | ListedPages]:
        """Yield the start URL, failed pages, new pages of sitemaps, due known pages, and links of pages left unread."""
        run = self.run
        if not self.frontier.is_in_scope(self.start_url):
            why = "its allow or deny patterns exclude it, it names a media file, or it is too long"
            run.stop("start_excluded", f"the source's own start URL is out of its scope: {why}")
            return
        robots_txt = await self._robots_txt()
        if robots_txt is None:
            return
        fresh = Savings()
        if run.known_pages:  # before any page is checked in this run
            fresh = await run.runtime.use_connection(lambda connection: pages.fresh(connection, run.source.id, run.due))
            run.count("pages/skipped_recent", fresh.pages)
            run.save("recent", fresh, requests=fresh.pages)
        reader = SitemapReader(self)
        if self.config.sitemaps:
            async for listed in reader.read(robots_txt):
                yield listed
        async for request in self._first_pages(reader.new):
            yield request
        async for request in self._called(reader.changed):
            yield request
        if run.known_pages > fresh.pages + len(reader.skipped):
            async for request in self._known_pages():
                yield request
        if fresh.pages or reader.skipped or run.arguments.reembed:
            async for result in self._pages_left_unread(reader.skipped):
                yield result

    async def _robots_txt(self) -> bytes | None:
        """Return the site's robots.txt, None when it cannot be read: then the run stops, and nothing is asked."""
        robots = self.crawler.get_downloader_middleware(TypedRobotsTxtMiddleware)
        if robots is None:
            return b""
        try:
            return await robots.read(self.start_url)
        except RobotsUnavailable as error:
            is_down = isinstance(error.__cause__, UNREACHABLE)
            reason = "site_unreachable" if is_down else "robots_unavailable"
            self.run.stop(reason, f"{error}. Nothing was asked for, and nothing is deleted (RFC 9309).")
            return None

    async def _first_pages(self, new: Iterable[str]) -> AsyncIterator[Request]:
        """Yield the start URL unless it was checked lately, failed pages whose time has come, and new pages."""
        run = self.run
        # Half of a limited run at most, lest pages that fail for ever leave nothing for the others.
        most = min(BATCH, max(1, self.frontier.room // 2))
        failed = await run.runtime.use_connection(
            lambda connection: pages.due_failures(connection, run.source.id, limit=most)
        )
        first = [self.start_url, *failed]
        standing, known = await run.runtime.use_connection(lambda connection: self._known_among(connection, first))
        for url in self.frontier.unmet([self.start_url]):
            if url in standing and not standing[url].is_due:
                continue
            if request := self.ask_for(url, known=known.get(url), is_start=True):
                yield request
        for url in self.frontier.unmet(failed):
            if request := self.ask_for(url, known=known.get(url), is_due=True):
                if url in standing and not standing[url].is_due:
                    self._ask_before_its_time(known[url])
                yield request
        for number, url in enumerate(self.frontier.unmet(new), 1):
            if request := self.ask_for(url):
                yield request
            if number % BATCH == 0:
                await self.pending.fallen_to(FEW)

    async def _known_among(
        self, connection: Connection, urls: Sequence[str]
    ) -> tuple[dict[str, Standing], dict[str, KnownPage]]:
        source_id = self.run.source.id
        standing = await pages.standing(connection, source_id, urls, self.run.due)
        return standing, await pages.known_by_url(connection, source_id, urls)

    async def _called(self, changed: Sequence[str]) -> AsyncIterator[Request]:
        """Yield requests for pages that a believed sitemap says have changed."""
        run = self.run
        for at in range(0, len(changed), BATCH):
            known = await run.runtime.use_connection(
                partial(pages.known_by_url, source_id=run.source.id, urls=changed[at : at + BATCH])
            )
            for page in known.values():
                if request := self.ask_for(page.url, known=page):
                    self._ask_before_its_time(page)
                    yield request
            await self.pending.fallen_to(FEW)

    async def _known_pages(self) -> AsyncIterator[Request]:
        """Yield requests for due pages, a batch whenever few are left of the one before: memory does not grow.

        Read by key, because a server-side cursor would hold a transaction open for the whole crawl.
        """
        run = self.run
        place = pages.FIRST
        while not self.frontier.is_exhausted:
            batch, place = await run.runtime.use_connection(
                partial(pages.due, source_id=run.source.id, due=run.due, after=place, limit=BATCH)
            )
            for known in batch:
                if self.frontier.is_in_scope(known.url) and (request := self.ask_for(known.url, known=known)):
                    yield request
            if len(batch) < BATCH:
                return
            await self.pending.fallen_to(FEW)

    def _ask_before_its_time(self, known: KnownPage) -> None:
        """Uncount a page that was counted as checked lately."""
        self.run.count("pages/skipped_recent", -1)
        self.run.save("recent", -Savings.of([known]), requests=-1)

    async def _pages_left_unread(self, skipped: Sequence[int]) -> AsyncIterator[Request | PageItem]:
        """Skip pages that are not due (A15), but neither what only they lead to (C3) nor a re-embedding.

        `skipped`: ids of pages that were due, and that a sitemap vouches for.
        """
        run = self.run
        links = await run.runtime.use_connection(
            lambda connection: pages.unknown_outlinks(
                connection,
                run.source.id,
                due=run.due,
                page_ids=skipped,
                prefixes=self.frontier.prefixes,
                limit=self.config.max_pages,
            )
        )
        for at in range(0, len(links), BATCH):
            for request in await self.follow(links[at : at + BATCH], depth=1):
                yield request
            await self.pending.fallen_to(FEW)
        if run.arguments.reembed:
            async for item in stored_pages(self):
                yield item
