"""The life of a refresh, the same for every kind of source: what a run asks for, and in which order."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from scrapy.exceptions import CannotResolveHostError, DownloadConnectionRefusedError

from db import pages
from db.pages import Savings
from db.urls import canonical_url
from lcl_spiders.base_spiders.answers import kind_of
from lcl_spiders.base_spiders.listed import ListedUrls
from lcl_spiders.base_spiders.source import SourceSpider
from lcl_spiders.base_spiders.stored import stored_pages
from lcl_spiders.downloadermiddlewares.typed import RobotsUnavailable, TypedRobotsTxtMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from scrapy import Request

    from db.connection import Connection
    from db.pages import KnownPage, Standing
    from lcl_spiders.items import ListedPages, PageItem

BATCH = 500
FEW = 100
UNREACHABLE = (DownloadConnectionRefusedError, CannotResolveHostError)


class RefreshSpider(SourceSpider):
    """Asks for a source's first pages, failed pages, new pages, and known pages that are due.

    A kind says where its pages come from: what the site lists (`read_lists`), what it begins with (`first_requests`),
    and where pages lead that are not downloaded (`replay`).
    """

    @abstractmethod
    def first_requests(self) -> AsyncIterator[Request]:
        """Yield requests for the pages with which every run begins."""

    async def read_lists(self, listed: ListedUrls, robots_txt: bytes) -> None:
        """Take in what the site lists of its pages. A list without which nothing is known stops the run."""

    async def replay(self, skipped: Sequence[int]) -> AsyncIterator[Request]:
        """Yield requests for what only pages lead to that are not asked for: those not due, and those of `skipped`."""
        nothing: Sequence[Request] = ()
        for request in nothing:
            yield request

    def why_not_to_start(self, url: str) -> str | None:
        """Return why a start URL is no page to begin with, None when it is one."""
        if self.frontier.is_in_scope(url):
            return None
        return "its allow or deny patterns exclude it, it names a media file, or it is too long"

    async def find(self) -> AsyncIterator[Request | PageItem | ListedPages]:
        """Yield what the site vouches for, then requests: first pages, failed, new, called changed, due, led to."""
        run = self.run
        if not self._has_starts():
            return
        robots_txt = await self._robots_txt()
        if robots_txt is None:
            return
        fresh = Savings()
        if run.known_pages:  # before any page is checked in this run
            fresh = await run.runtime.use_connection(lambda connection: pages.fresh(connection, run.source.id, run.due))
            run.count("pages/skipped_recent", fresh.pages)
            run.save("recent", fresh, requests=fresh.pages)
        listed = ListedUrls(self)
        await self.read_lists(listed, robots_txt)
        if run.stop_reason is not None:
            return
        async for vouched_for in listed.vouched_for():
            yield vouched_for
        # Half of a limited run at most, lest pages that fail for ever leave nothing for the others.
        most = min(BATCH, max(1, self.frontier.room // 2))
        async for request in self.first_requests():
            yield request
        async for request in self._failed_pages(most):
            yield request
        async for request in self._new_pages(listed.new):
            yield request
        async for request in self._called(listed.changed):
            yield request
        if run.known_pages > fresh.pages + len(listed.skipped):
            async for request in self._known_pages():
                yield request
        if fresh.pages or listed.skipped:
            async for request in self.replay(listed.skipped):
                yield request
        if run.arguments.reembed:
            async for item in stored_pages(self):
                yield item

    def _has_starts(self) -> bool:
        """Find the start URLs; stop the run and return False when one of them is none of the source's pages."""
        starts = dict.fromkeys([self.start_url])
        for given in self.config.start_urls:
            try:
                starts[canonical_url(given)] = None
            except ValueError as error:
                self.run.stop("start_excluded", f"its start_urls name {given!r}, which is no URL: {error}")
                return False
        self.starts = list(starts)
        for url in self.starts:
            whose = "the source's own start URL" if url == self.start_url else f"{url}, one of its start_urls,"
            if not self.frontier.is_inside(url):
                why = f"it is of another domain than {self.domain}; add it as a source of its own"
            elif (found := self.why_not_to_start(url)) is not None:
                why = found
            else:
                continue
            self.run.stop("start_excluded", f"{whose} is out of its scope: {why}")
            return False
        return True

    async def _robots_txt(self) -> bytes | None:
        """Return the site's robots.txt, None when it cannot be read: then the run stops, and nothing is asked."""
        robots = self.crawler.get_downloader_middleware(TypedRobotsTxtMiddleware)
        if robots is None:
            return b""
        try:
            return await robots.read(self.start_url)
        except RobotsUnavailable as error:
            is_down = isinstance(error.__cause__, UNREACHABLE)
            self.run.start_kind = kind_of(error.__cause__ or error)
            reason = "site_unreachable" if is_down else "robots_unavailable"
            self.run.stop(reason, f"{error}. Nothing was asked for, and nothing is deleted (RFC 9309).")
            return None

    async def _failed_pages(self, most: int) -> AsyncIterator[Request]:
        """Yield requests for failed pages whose time has come."""
        run = self.run
        failed = await run.runtime.use_connection(
            lambda connection: pages.due_failures(connection, run.source.id, limit=most)
        )
        standing, known = await self.known_among(failed)
        for url in self.frontier.unmet(failed):
            if request := self.ask_for(url, known=known.get(url), is_due=True):
                if url in standing and not standing[url].is_due:
                    self.ask_before_its_time(known[url])
                yield request

    async def _new_pages(self, new: Iterable[str]) -> AsyncIterator[Request]:
        for number, url in enumerate(self.frontier.unmet(new), 1):
            if request := self.ask_for(url):
                yield request
            if number % BATCH == 0:
                await self.pending.fallen_to(FEW)

    async def _called(self, changed: Sequence[str]) -> AsyncIterator[Request]:
        """Yield requests for pages that a believed list says have changed."""
        run = self.run
        for at in range(0, len(changed), BATCH):
            known = await run.runtime.use_connection(
                partial(pages.known_by_url, source_id=run.source.id, urls=changed[at : at + BATCH])
            )
            for page in known.values():
                if request := self.ask_for(page.url, known=page):
                    self.ask_before_its_time(page)
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

    async def known_among(self, urls: Sequence[str]) -> tuple[dict[str, Standing], dict[str, KnownPage]]:
        """Return how the known ones of these pages stand, and what the index has of them, by URL."""
        run = self.run
        if not (urls and run.known_pages):
            return {}, {}

        async def look_up(connection: Connection) -> tuple[dict[str, Standing], dict[str, KnownPage]]:
            standing = await pages.standing(connection, run.source.id, urls, run.due)
            return standing, await pages.known_by_url(connection, run.source.id, urls)

        return await run.runtime.use_connection(look_up)

    def ask_before_its_time(self, known: KnownPage) -> None:
        """Uncount a page that was counted as checked lately."""
        self.run.count("pages/skipped_recent", -1)
        self.run.save("recent", -Savings.of([known]), requests=-1)
