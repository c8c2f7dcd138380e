"""Pages from the index itself, for a re-embedding: their text is known, no site is asked."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from scrapy import signals

from db import pages
from lcl_spiders.items import Outcome, PageItem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy.crawler import Crawler

    from db.pages import StoredPage
    from pipelines.run import Run

BATCH = 100


async def stored_pages(run: Run, crawler: Crawler) -> AsyncIterator[PageItem]:
    """Yield every page that this run does not ask for, a batch whenever the one before has been dealt with.

    Scrapy takes items from a spider's start as fast as they come; a provider does not.
    """
    settled = _Settled(crawler)
    last: StoredPage | None = None
    while True:
        after = last.known.url if last is not None else ""
        batch = await run.runtime.use_connection(
            partial(pages.stored, source_id=run.source.id, due=run.due, after=after, limit=BATCH)
        )
        for page in batch:
            yield as_item(page)
        if len(batch) < BATCH:
            return
        last = batch[-1]
        await settled.wait_for(len(batch))


class _Settled:
    """Counts items that have left the pipelines, however they ended."""

    def __init__(self, crawler: Crawler) -> None:
        self._count = 0
        self._changed = asyncio.Event()
        for signal in (signals.item_scraped, signals.item_dropped, signals.item_error):
            crawler.signals.connect(self._settle, signal=signal)

    def _settle(self) -> None:
        self._count += 1
        self._changed.set()

    async def wait_for(self, more: int) -> None:
        """Return when this many items more than at the last call have been dealt with."""
        while self._count < more:
            self._changed.clear()
            await self._changed.wait()
        self._count -= more


def as_item(page: StoredPage) -> PageItem:
    """Return a page as the index has it, as if it had just been read; it was not seen now."""
    known = page.known
    return PageItem(
        url=known.url,
        outcome=Outcome.PRESENT,
        title=page.title,
        language=page.language,
        content=page.content,
        structured=page.structured,
        body_hash=known.body_hash,
        etag=known.etag,
        last_modified=known.last_modified,
        outlinks=known.outlinks,
        known=known,
        seen_at=known.last_seen_at,
    )
