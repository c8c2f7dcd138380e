"""Pages from the index itself, for a re-embedding: their text is known, no site is asked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from db import pages
from lcl_spiders.items import Outcome, PageItem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from db.pages import StoredPage
    from lcl_spiders.base_spiders.source import SourceSpider

BATCH = 100


async def stored_pages(spider: SourceSpider) -> AsyncIterator[PageItem]:
    """Yield every page that this run does not ask for, a batch whenever the one before has been dealt with.

    Scrapy takes items from a spider's start as fast as they come; a provider does not.
    """
    run = spider.run
    after = ""
    while True:
        await spider.pending.settled()
        batch = await run.runtime.use_connection(
            partial(
                pages.stored,
                source_id=run.source.id,
                due=run.due,
                started_at=run.started_at,
                after=after,
                limit=BATCH,
            )
        )
        for page in batch:
            yield as_item(page)
        if len(batch) < BATCH:
            return
        after = batch[-1].known.url


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
