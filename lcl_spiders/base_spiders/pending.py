"""What a spider still waits for: requests it made and items it yielded."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from scrapy import signals

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

LOOK_EVERY, QUIET_LOOKS = 1.0, 10
MOMENT = 0.002


class Pending:
    """Counts requests until their callback has ended, and items until they have left the pipelines.

    Scrapy tells a spider that it is idle only after its `start` has ended, when it can yield no more items.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._count = 0
        self._changed = asyncio.Event()
        for signal in (signals.item_scraped, signals.item_dropped, signals.item_error, signals.request_dropped):
            crawler.signals.connect(self.remove, signal=signal)

    def add(self) -> None:
        """Wait for one more."""
        self._count += 1

    def remove(self) -> None:
        """Wait for one less."""
        self._count -= 1
        self._changed.set()

    async def settled(self) -> None:
        """Return when nothing is waited for any more."""
        await self.fallen_to(0)
        # Scrapy tells of an item before it has let go of it, and looks for what to do next only every five seconds.
        while self._is_busy() and self._count <= 0:  # noqa: ASYNC110 - there is no signal for it
            await asyncio.sleep(MOMENT)  # there is no signal for it

    async def fallen_to(self, limit: int) -> None:
        """Return when at most `limit` requests and items are waited for.

        Also when the engine has had nothing to do for ten seconds: a request that was lost must not hold a run up.
        """
        quiet = 0
        while self._count > limit:
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_EVERY)
            quiet = 0 if self._changed.is_set() or self._is_busy() else quiet + 1
            if quiet >= QUIET_LOOKS:
                logger.error("%d requests or items were never answered; the run goes on without them", self._count)
                self._count = 0

    def _is_busy(self) -> bool:
        engine = self._crawler.engine
        if engine is None or engine.scraper.slot is None:
            return False
        return bool(engine.downloader.active) or not engine.scraper.slot.is_idle()
