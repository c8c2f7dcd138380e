"""Lets a crawl end that is closed while an item of its `start()` is in the pipelines.

Scrapy 2.19 asks whether its scraper may close whenever a response has been dealt with (`Scraper.enqueue_scrape`), but
not when an item that came of no response has been: if such a one is the last, the crawl would never end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

EVERY = 0.5  # seconds


async def see_to_the_end(crawler: Crawler) -> None:
    """Close the scraper as soon as it may be, once that was asked for. Runs until cancelled."""
    while True:
        await asyncio.sleep(EVERY)  # there is no signal for it
        slot = crawler.engine.scraper.slot if crawler.engine is not None else None
        if slot is None or slot.closing is None or slot.closing.called or not slot.is_idle():
            continue
        assert crawler.spider is not None  # noqa: S101 - it was opened, or nothing would be closing
        slot.closing.callback(crawler.spider)
