"""An outage of the embedding provider: it holds the crawls of a worker up together, instead of failing each of them.

A run that begins in an outage takes half a minute to find that out, and has four attempts. Of a hundred sources, most
would have used theirs up while the provider was away for some minutes, and be left for the next day.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from db.errors import DatabaseProblem
from pipelines.providers import ProviderError, ProviderMisconfigured
from pipelines.tasks import end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

REASON = ProviderError.reason
HELD_FOR = 300.0  # seconds of an outage in which no crawl begins; after them they fail, and are tried again later
TOLD_FOR = 15.0  # seconds for which what one crawl was told is told to the others, too
LOOK_EVERY = 5.0  # seconds


class Outage:
    """Whether the provider is away, for one worker. `check` raises a `ProviderError` while it is."""

    def __init__(self, check: Callable[[], Awaitable[object]]) -> None:
        self._check = check
        self._since: float | None = None
        self._told: tuple[float, str] | None = None

    def begin(self) -> None:
        """Note that a run has ended because the provider did not answer."""
        if self._since is None:
            self._since = time.monotonic()
            logger.warning("the embedding provider is away: no crawl begins until it answers, %.0f s at most", HELD_FOR)

    async def over(self, stopping: asyncio.Event) -> str | None:
        """Return None when a crawl may begin: at once, unless there is an outage. Otherwise why none is begun.

        Returns early when the worker is told to stop.
        """
        if self._since is None:
            return None
        if self._told is not None and time.monotonic() - self._told[0] < TOLD_FOR:
            return self._told[1]
        waiting = [asyncio.create_task(self._wait(self._since)), asyncio.create_task(stopping.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*(end(task) for task in waiting))
        if waiting[0].cancelled():
            return None
        why = waiting[0].result()
        if why is None:
            self._since = self._told = None
            logger.warning("the embedding provider answers again")
            return None
        self._told = time.monotonic(), str(why)
        return str(why)

    async def _wait(self, since: float) -> ProviderError | None:
        """Return when the provider answers, or with what it answers when it has been away for too long."""
        while True:
            try:
                await self._check()
            except DatabaseProblem:  # which the crawl will name
                return None
            except ProviderError as error:
                if isinstance(error, ProviderMisconfigured) or time.monotonic() - since > HELD_FOR:
                    return error
            else:
                return None
            await asyncio.sleep(LOOK_EVERY)  # a check that is not made before its time fails at once
