"""What a worker does beside its crawls: lost runs come back, search indexes are built, old records of runs go."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from db import history, models, queue, recovery
from db.errors import DatabaseProblem, one_line

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from uuid import UUID

    from lcl_spiders.fleet.config import FleetConfig
    from lcl_spiders.fleet.crawls import Crawls
    from pipelines.runtime import Runtime

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_EVERY = 0.25  # seconds between two looks
THIN_AFTER = 60.0  # seconds after a worker's start
THIN_EVERY = 86_400.0  # seconds
INDEX_EVERY = 600.0  # seconds between two looks at the search indexes of a worker that is never idle


class Upkeep:
    """Looks after the queue and the index for one worker. While the database is away it waits, and says so once."""

    def __init__(self, runtime: Runtime, fleet: FleetConfig, crawls: Crawls) -> None:
        self._runtime = runtime
        self._fleet = fleet
        self._crawls = crawls
        self._recovered = time.monotonic()
        self._is_away = False

    async def bring_back(self) -> None:
        """Queue again what dead workers left, once a heartbeat."""
        if time.monotonic() - self._recovered >= self._fleet.heartbeat:
            await self._asking(self._recover())

    async def is_drained(self) -> bool:
        """Return whether this worker has nothing in hand, and the queue nothing left."""
        return not self._crawls.in_hand and bool(await self._asking(self._is_drained()))

    async def _is_drained(self) -> bool:
        if not await self._runtime.use_connection(queue.is_drained):
            return False
        await self._recover()  # a run whose end could not be recorded looks as if it were still at work
        return await self._runtime.use_connection(queue.is_drained)

    async def _asking(self, question: Coroutine[Any, Any, T]) -> T | None:
        """Return the answer, None while the database is away."""
        try:
            answer = await question
        except (DatabaseProblem, psycopg.Error) as error:
            if not self._is_away:
                logger.warning("the queue cannot be looked after: %s", one_line(error))
            self._is_away = True
            return None
        if self._is_away:
            logger.warning("the queue can be looked after again")
        self._is_away = False
        return answer

    async def _recover(self) -> None:
        self._recovered = time.monotonic()
        for lost in await self._runtime.use_connection(lambda each: recovery.recover(each, self._fleet.silence)):
            logger.warning("%s: its worker could not see to it; the run is made again", lost.slug)

    async def keep_history(self) -> None:
        """Delete the records of runs that are too old, a while after the start and then daily, until cancelled."""
        await asyncio.sleep(THIN_AFTER)  # what a worker is started for comes first
        while True:
            await self._asking(self._thin())
            await asyncio.sleep(THIN_EVERY)  # the rhythm of the thinning

    async def _thin(self) -> None:
        if (keep := self._fleet.keep_jobs) is None:
            return
        place: UUID | None = history.FIRST
        total = 0
        while place is not None:
            gone, place = await self._runtime.use_connection(partial(history.thin, keep=keep, after=place))
            total += gone
        if total:
            logger.info("the records of %d runs older than %d days were deleted", total, keep.days)

    async def keep_indexes(self) -> None:
        """Build the search indexes when no crawl is at work, until cancelled: writing meanwhile would cost more."""
        looked, seen = time.monotonic(), 0
        while True:
            await asyncio.sleep(LOOK_EVERY)  # the rhythm of the looks
            is_time = not self._crawls.in_hand or time.monotonic() - looked >= INDEX_EVERY
            if self._crawls.done == seen or not is_time:
                continue
            looked, seen = time.monotonic(), self._crawls.done
            await self.build_indexes()

    async def build_indexes(self) -> None:
        """Build the search indexes that the active model lacks, if it is large enough and no run is at work."""
        try:
            model = await self._runtime.use_connection(models.active)
            if model is not None:
                await self._runtime.build_indexes(model)
        except (DatabaseProblem, psycopg.Error) as error:
            logger.warning("the search indexes were not built: %s", one_line(error))
