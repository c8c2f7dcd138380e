"""What a run can tell only when everything it asked for has been answered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from db import pages
from db.pages import Savings
from lcl_spiders.base_spiders.stored import as_item
from pipelines.trust import Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy import Request

    from db.pages import KnownPage
    from lcl_spiders.base_spiders.source import SourceSpider
    from lcl_spiders.items import PageItem
    from pipelines.run import Run

BATCH = 500


async def second_look(spider: SourceSpider) -> AsyncIterator[Request | PageItem]:
    """Yield pages that were taken on a liar's word, then those that name another page as canonical, then heirs."""
    await spider.pending.settled()
    async for request in _taken_on_a_lie(spider):
        yield request
    await spider.pending.settled()
    # Those that name a page which waits itself come last, so that it has been judged before them.
    waiting = {item.url for item in spider.parked}
    for item in sorted(spider.parked, key=lambda item: item.canonical in waiting):
        if item.canonical in waiting:
            await spider.pending.settled()
        yield item
    spider.parked.clear()
    await spider.pending.settled()
    async for item in _heirs(spider.run):
        yield item
    await spider.pending.settled()


async def _taken_on_a_lie(spider: SourceSpider) -> AsyncIterator[Request]:
    """Yield requests for the pages that were judged by a signal that lied, in this run or before (C6)."""
    run = spider.run
    after = ""
    while run.trust.has_lies:
        batch = await run.runtime.use_connection(
            partial(pages.distrusted, source_id=run.source.id, after=after, limit=BATCH)
        )
        for known in batch:
            was_taken = known.last_seen_at >= run.started_at
            if request := spider.ask_for(known.url, known=known, again=was_taken):
                if was_taken:
                    _take_back(run, known)
                run.count("pages/asked_again")
                yield request
        if len(batch) < BATCH:
            return
        after = batch[-1].url
        await spider.pending.fallen_to(0)


def _take_back(run: Run, known: KnownPage) -> None:
    """Uncount a page that was counted as unchanged on a signal's word."""
    check = known.check
    if check is None or check.signal is None:
        return
    by_sitemap = check.signal == Signal.SITEMAP_LASTMOD
    kind = "skipped_lastmod" if by_sitemap else "duplicate" if known.duplicate_of is not None else "not_modified"
    run.count(f"pages/{kind}", -1)
    run.save("lastmod" if by_sitemap else "not_modified", -Savings.of([known]), requests=-1 if by_sitemap else 0)


async def _heirs(run: Run) -> AsyncIterator[PageItem]:
    """Yield duplicates whose original is gone or says something else now: their own text may be the only one left."""
    if not run.known_pages:
        return
    found = await run.runtime.use_connection(
        lambda connection: pages.heirs(
            connection, run.source.id, changed_since=run.started_at, gone=list(run.departures)
        )
    )
    for page, original in found:
        if page.known.url in run.departures:
            continue
        item = as_item(page)
        item.canonical = original
        yield item
