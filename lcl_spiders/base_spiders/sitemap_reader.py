"""What a site's sitemaps say of its pages, compared with the index before any page is asked for (C1)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from scrapy import Request

from db import pages
from lcl_spiders.base_spiders import sitemaps
from lcl_spiders.base_spiders.conditional import is_unmoved
from lcl_spiders.items import ListedPages
from lcl_spiders.validators import lastmod_period
from pipelines.trust import Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from db.pages import Standing
    from lcl_spiders.base_spiders.sitemaps import Entry
    from lcl_spiders.base_spiders.source import SourceSpider

MAX_SITEMAPS = 500
MAX_DEPTH = 5
SEVERAL = "several"  # the date of a page that is listed with more than one: no other is like it
BATCH = 2_000


class SitemapReader:
    """Reads every sitemap of a site, once at the beginning of a run.

    After `read`: `new` are URLs that the index does not have (as many as a run may ask for), `changed` those of known
    pages that a believed sitemap says have changed since, `skipped` the ids of the pages that need not be asked for.
    A page that is listed with several dates counts as changed.
    """

    def __init__(self, spider: SourceSpider) -> None:
        self._spider = spider
        self.new: dict[str, None] = {}
        self.changed: list[str] = []
        self.skipped: list[int] = []
        self._listed: dict[str, str | None] = {}

    async def read(self, robots_txt: bytes) -> AsyncIterator[ListedPages]:
        """Read the sitemaps that a robots.txt names, and yield the pages that one vouches for."""
        spider = self._spider
        waiting = [(url, 0) for url in sitemaps.named_in_robots(robots_txt, spider.start_url)]
        met: set[str] = set()
        while waiting and len(met) < MAX_SITEMAPS and spider.run.stop_reason is None:
            url, depth = waiting.pop(0)
            if url in met or depth > MAX_DEPTH:
                continue
            met.add(url)
            is_index, entries = await self._download(url)
            if is_index:
                waiting += [(entry.url, depth + 1) for entry in entries]
                continue
            for at in range(0, len(entries), BATCH):
                await self._take_in(entries[at : at + BATCH])
        known = list(self._listed)
        for at in range(0, len(known), BATCH):
            if listed := await self._vouched_for(known[at : at + BATCH]):
                yield ListedPages(f"{spider.start_url}#sitemaps-{at}", listed)

    async def _download(self, url: str) -> tuple[bool, list[Entry]]:
        """Return whether a URL's sitemap is an index, and its entries; none for one that cannot be read."""
        spider, run = self._spider, self._spider.run
        try:
            response = await spider.download(Request(url))
        except Exception as error:  # noqa: BLE001 - a crawl does without, whatever the reason
            run.count("sitemaps/failed")
            spider.logger.info("%s: %s: %s", url, type(error).__name__, error)
            return False, []
        if response.status != HTTPStatus.OK:
            run.count("sitemaps/failed")
            return False, []
        try:
            found = await asyncio.to_thread(sitemaps.parse, response.body)
        except sitemaps.BadSitemap as error:
            run.count("sitemaps/malformed")
            spider.logger.warning("%s is no sitemap: %s", response.url, error)
            return False, []
        run.count("sitemaps/read")
        return found

    async def _take_in(self, entries: Sequence[Entry]) -> None:
        """Note the dates of known pages, and URLs that are new."""
        spider, run = self._spider, self._spider.run
        listed = [entry for entry in entries if spider.frontier.is_in_scope(entry.url)]
        known: set[str] = set()
        if run.known_pages:
            known = await run.runtime.use_connection(
                lambda connection: pages.known_urls(connection, run.source.id, [entry.url for entry in listed])
            )
        for entry in listed:
            url, lastmod = entry.url, self._lastmod(entry)
            if url in known:
                differs = url in self._listed and self._listed[url] != lastmod
                self._listed[url] = SEVERAL if differs else lastmod
            elif len(self.new) < spider.config.max_pages:
                self.new[url] = None
                spider.reader.remember_lastmod(url, lastmod)

    async def _vouched_for(self, urls: Sequence[str]) -> list[Standing]:
        """Return those of the known pages that need not be asked for."""
        spider, run = self._spider, self._spider.run
        known = await run.runtime.use_connection(
            lambda connection: pages.standing(connection, run.source.id, urls, run.due)
        )
        vouched_for = []
        for page in known.values():
            lastmod = self._listed[page.url]
            spider.reader.remember_lastmod(page.url, lastmod)
            if self._is_vouched_for(page, lastmod):
                spider.frontier.meet(page.url)
                self.skipped.append(page.id)
                vouched_for.append(page)
            elif self._is_called(page, lastmod):
                self.changed.append(page.url)
        return vouched_for

    def _lastmod(self, entry: Entry) -> str | None:
        if entry.lastmod is None:
            return None
        try:
            lastmod_period(entry.lastmod)
        except ValueError:
            self._spider.run.count("sitemaps/bad_dates")
            return None
        return entry.lastmod

    def _is_vouched_for(self, page: Standing, lastmod: str | None) -> bool:
        arguments = self._spider.run.arguments
        return (
            self._is_believed
            and page.is_due
            and not (page.has_failed or arguments.force_rescrape or arguments.reembed)
            and is_unmoved(page.check, lastmod)
            and not self._spider.is_audit_due(page)
        )

    def _is_called(self, page: Standing, lastmod: str | None) -> bool:
        """Return whether a page is asked for before its next check: a believed sitemap has another date for it."""
        check = page.check
        return (
            self._is_believed
            and not page.is_due
            and page.is_free
            and lastmod is not None
            and check is not None
            and check.sitemap_lastmod not in {None, lastmod}
        )

    @property
    def _is_believed(self) -> bool:
        return self._spider.run.trust.believes(Signal.SITEMAP_LASTMOD)
