"""What a run can tell only when everything it asked for has been answered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from db import pages
from db.pages import Savings
from lcl_spiders.base_spiders.stored import as_item
from lcl_spiders.items import Outcome, PageItem
from pipelines.trust import Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy import Request

    from db.pages import KnownPage
    from lcl_spiders.base_spiders.source import SourceSpider
    from pipelines.run import Run

BATCH = 500
HEIRS = 100


async def second_look(spider: SourceSpider) -> AsyncIterator[Request | PageItem]:
    """Yield what can only be judged now: pages taken on a liar's word, replaced ones, those that name others, heirs."""
    await spider.pending.settled()
    async for request in _taken_on_a_lie(spider):
        yield request
    await spider.pending.settled()
    async for item in _replaced(spider):
        yield item
    async for item in _parked(spider):
        yield item
    async for item in _heirs(spider):
        yield item
    await spider.pending.settled()


async def _replaced(spider: SourceSpider) -> AsyncIterator[PageItem]:
    """Yield known pages of whose text hardly anything is left; unknown are those that most of the site says now."""
    run = spider.run
    wall = set() if run.arguments.allow_mass_delete else spider.replaced.wall()
    items = spider.replaced.release()
    for item in (items[number] for number in wall):
        item.outcome, item.reason = Outcome.UNKNOWN, "same_text"
        item.message = f"answers the same text as {len(wall) - 1} others and stays as it was; see allow_mass_delete"
        if item.url in spider.starts:
            run.start_failure = f"it answers the same text as {len(wall) - 1} other pages"
    for item in spider.parked.park(items):
        yield item
    await spider.pending.settled()


async def _parked(spider: SourceSpider) -> AsyncIterator[PageItem]:
    """Yield pages that name another as canonical, each after the page that it names."""
    items = spider.parked.release()
    while items:
        waiting = {item.url for item in items}
        ready = [item for item in items if item.canonical not in waiting] or items  # all: they name each other
        judged = {item.url for item in ready}
        for item in ready:
            yield item
        await spider.pending.settled()
        items = [item for item in items if item.url not in judged]


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
            request = spider.ask_for(known.url, known=known, again=was_taken)
            if was_taken:
                take_back(run, known)
                run.count("pages/unasked", request is None)
            if request is not None:
                run.count("pages/asked_again")
                yield request
        if len(batch) < BATCH:
            return
        after = batch[-1].url
        await spider.pending.fallen_to(0)


def take_back(run: Run, known: KnownPage) -> None:
    """Uncount a page that was counted as unchanged on a signal's word."""
    check = known.check
    if check is None or check.signal is None:
        return
    by_sitemap = check.signal == Signal.SITEMAP_LASTMOD
    kind = "skipped_lastmod" if by_sitemap else "duplicate" if known.duplicate_of is not None else "not_modified"
    run.count(f"pages/{kind}", -1)
    run.save("lastmod" if by_sitemap else "not_modified", -Savings.of([known]), requests=-1 if by_sitemap else 0)


async def _heirs(spider: SourceSpider) -> AsyncIterator[PageItem]:
    """Yield duplicates whose original is gone or says something else now: their own text may be the only one left."""
    run = spider.run
    after = ""
    while run.known_pages:
        found = await run.runtime.use_connection(
            partial(
                pages.heirs,
                source_id=run.source.id,
                changed_since=run.started_at,
                gone=list(run.departures),
                after=after,
                limit=HEIRS,
            )
        )
        for page, original in found:
            if page.known.url not in run.departures:
                item = as_item(page)
                item.canonical = original
                yield item
        if len(found) < HEIRS:
            return
        after = found[-1][0].known.url
        await spider.pending.settled()
