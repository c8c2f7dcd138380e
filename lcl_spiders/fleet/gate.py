"""Admission: a worker begins another crawl only while its event loop keeps up with those it has.

More crawls than the processor can bear finish no sooner together; each of them only waits longer for everything. Polite
crawls hardly touch the loop, so that all that are allowed run side by side.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TICK = 0.02  # seconds between two measurements
MOST = 0.02  # seconds by which a measurement may be late
FADE = 0.8  # of the largest delay seen, each tick


class Gate:
    """Lets crawls begin one after the other. `running` says how many are at work; one always may."""

    def __init__(self, running: Callable[[], int]) -> None:
        self._running = running
        self._lag = 0.0
        self._beginning = asyncio.Lock()

    async def watch(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(TICK)  # what is measured is how much longer it takes
            self._lag = max(loop.time() - before - TICK, self._lag * FADE)

    @asynccontextmanager
    async def admission(self) -> AsyncIterator[None]:
        """Wait for the turn to begin, and hold it until the block is left."""
        async with self._beginning:
            while self._running() and self._lag > MOST:  # noqa: ASYNC110 - the next measurement comes in a tick
                await asyncio.sleep(TICK)  # the rhythm of the measurements
            yield
