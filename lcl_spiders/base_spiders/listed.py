"""What a site's lists (sitemaps, feeds) say of its pages, compared with the index before any page is asked for (C1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db import pages
from lcl_spiders.base_spiders.conditional import is_unmoved
from lcl_spiders.items import ListedPages
from lcl_spiders.validators import lastmod_period
from pipelines.trust import Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from db.pages import Standing
    from lcl_spiders.base_spiders.source import SourceSpider
    from lcl_spiders.extraction.feeds import Entry

SEVERAL = "several"  # the date of a page that is listed with more than one: no other is like it
BATCH = 2_000


class ListedUrls:
    """Takes in the entries of every list of a site, once at the beginning of a run.

    `new` are URLs that the index does not have (as many as a run may ask for). After `vouched_for`: `changed` are those
    of known pages that a believed list says have changed since, `skipped` the ids of the pages that need not be asked
    for. A page that is listed with several dates counts as changed.
    """

    def __init__(self, spider: SourceSpider) -> None:
        self._spider = spider
        self.new: dict[str, None] = {}
        self.changed: list[str] = []
        self.skipped: list[int] = []
        self._listed: dict[str, str | None] = {}

    async def take_in(self, entries: Sequence[Entry]) -> None:
        """Note the dates of known pages, and URLs that are new."""
        for at in range(0, len(entries), BATCH):
            await self._take_in(entries[at : at + BATCH])

    async def vouched_for(self) -> AsyncIterator[ListedPages]:
        """Yield the pages that need not be asked for."""
        known = list(self._listed)
        for at in range(0, len(known), BATCH):
            if listed := await self._vouched_for(known[at : at + BATCH]):
                yield ListedPages(f"{self._spider.start_url}#listed-{at}", listed)

    async def _take_in(self, entries: Sequence[Entry]) -> None:
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
        """Return whether a page is asked for before its next check: a believed list has another date for it."""
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
