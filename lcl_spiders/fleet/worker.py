"""A worker: takes runs from the queue, several at a time, until it is told to stop, replaced, or has drained the queue.

Everything a crawl needs is kept for the worker's life: database pool, provider, extraction processes. A source
therefore costs milliseconds to start, where a process of its own pays a second or more for Python and the model.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import AsyncExitStack
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import procrastinate

from db import queue
from db.connection import conninfo
from db.errors import one_line
from lcl_spiders.extraction.config import ExtractionConfig
from lcl_spiders.extraction.pool import leased_pool
from lcl_spiders.fleet import batches, schedule
from lcl_spiders.fleet.crawls import Crawls
from lcl_spiders.fleet.process import preload, resident_memory
from lcl_spiders.fleet.schedule import LATEST
from lcl_spiders.fleet.taking import Taking
from lcl_spiders.fleet.upkeep import Upkeep
from pipelines import index_model, runtime
from pipelines.tasks import end

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from scrapy.settings import Settings

    from lcl_spiders.fleet.config import FleetConfig
    from pipelines.config import Config

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.25  # seconds between two looks at limits, and at an empty queue
CHATTY = ("scrapy.addons", "scrapy.core.engine", "scrapy.crawler", "scrapy.middleware", "procrastinate")
QUIET = {"STATS_DUMP": False, "LOGSTATS_INTERVAL": 0}  # a line at the end of each run says it all
GC_THRESHOLD = (20_000, 10, 10)


class End(Enum):
    """Why a worker ended."""

    STOPPED = "stopped"
    DRAINED = "drained"
    REPLACED = "replaced"
    FAILED = "failed"


class WorkerMisconfigured(Exception):
    """A worker could not do a single job with these settings. Raised by `Worker.run`."""


class Worker:
    """One worker process. `run` works until the end and says why it came."""

    def __init__(self, settings: Settings, config: Config, fleet: FleetConfig, *, drain: bool) -> None:
        self._settings = settings
        self._config = config
        self._fleet = fleet
        self._drain = drain
        self._end: End | None = None
        self._told = asyncio.Event()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Take no more jobs and end the crawls at work; their sources go back to the queue."""
        self._end = End.STOPPED
        self._told.set()
        self._stopped.set()

    def finish(self) -> None:
        """Take no more jobs, and end when those that were taken have ended."""
        self._finish(End.DRAINED)

    async def run(self) -> End:
        """Work. Raises `DatabaseProblem`, `ProviderError` or `WorkerMisconfigured` when it cannot begin."""
        async with AsyncExitStack() as stack:
            leased = await runtime.lease(self._config)
            stack.push_async_callback(runtime.give_back, leased)
            await index_model.check(leased)
            preload(self._settings)
            extraction = ExtractionConfig.from_settings(self._settings)
            await stack.enter_async_context(
                leased_pool(extraction.workers, extraction.time_limit, extraction.memory_limit)
            )
            crawls = Crawls(self._settings, self._fleet, leased)
            app = self._app(leased, crawls)
            await stack.enter_async_context(app.open_async())
            if (memory := resident_memory()) > self._fleet.max_memory:
                msg = (
                    f"LCL_WORKER_MEMORY is {self._fleet.max_memory:,} bytes, and a worker takes {memory:,} before its "
                    "first job: raise it"
                )
                raise WorkerMisconfigured(msg)
            gc.freeze()  # the model and the modules live as long as the worker
            gc.set_threshold(*GC_THRESHOLD)
            upkeep = Upkeep(leased, self._fleet, crawls)
            why = await self._work(app, crawls, upkeep)
            if why is End.DRAINED:
                await self._unless_stopped(upkeep.build_indexes())
            return why

    async def _work(self, app: procrastinate.App, crawls: Crawls, upkeep: Upkeep) -> End:
        loop = asyncio.get_running_loop()
        taking = Taking(app, self._fleet, [queue.QUEUE] if self._drain else [queue.QUEUE, queue.SCHEDULE])
        taken = loop.create_task(taking.run())
        watching = loop.create_task(self._watch(upkeep, crawls))
        for task in (taken, watching):
            task.add_done_callback(lambda _: self._finish(End.FAILED))
        stopped = loop.create_task(self._wait_for_stop())
        others = [watching, stopped]
        others += [loop.create_task(each) for each in (crawls.gate.watch(), upkeep.keep_history())]
        if not self._drain:
            others.append(loop.create_task(upkeep.keep_indexes()))
        await self._told.wait()
        taking.stop()
        await asyncio.wait({taken, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if self._stopped.is_set():
            await crawls.stop()
        await asyncio.wait({taken})
        await asyncio.gather(*(end(task) for task in others))
        for task in (taken, watching):
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.error("the worker cannot go on: %s: %s", type(error).__name__, one_line(error))
        return self._end or End.FAILED

    async def _wait_for_stop(self) -> None:
        await self._stopped.wait()

    def _finish(self, why: End) -> None:
        if self._end is None:
            self._end = why
            self._told.set()

    def _app(self, leased: runtime.Runtime, crawls: Crawls) -> procrastinate.App:
        app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=conninfo(leased.direct_url), min_size=1, max_size=2),
            periodic_defaults={"max_delay": LATEST},
        )

        @app.task(name=queue.CRAWL, queue=queue.QUEUE)
        async def crawl(job_id: str) -> None:
            await crawls.carry_out(UUID(job_id))

        if not self._drain:
            schedule.put_on(app, leased, self._fleet.cron)
            if self._config.embedding.by_batch:
                batches.put_on(app, leased, self._fleet.batch_cron, self._unless_stopped)
        return app

    async def _watch(self, upkeep: Upkeep, crawls: Crawls) -> None:
        """Bring back what dead workers left, and end when a limit is reached or the queue is empty."""
        while True:
            await upkeep.bring_back()
            if self._drain and await upkeep.is_drained():
                self._finish(End.DRAINED)
            if crawls.done >= self._fleet.max_jobs:
                self._replace(f"{crawls.done} jobs done")
            elif crawls.done and (memory := resident_memory()) > self._fleet.max_memory:
                self._replace(f"{memory // 2**20} MB of memory in use")
            await asyncio.sleep(LOOK_EVERY)  # the rhythm of the looks

    def _replace(self, reason: str) -> None:
        if self._end is None:
            logger.info("%s: a fresh process takes over when the crawls at work have ended", reason)
            self._finish(End.REPLACED)

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that may be left undone, and leave it when the worker is told to stop."""
        doing, stopped = asyncio.create_task(work), asyncio.create_task(self._wait_for_stop())
        await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(end(doing), end(stopped))
