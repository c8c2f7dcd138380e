"""A worker: takes runs from the queue, several at a time, until it is told to stop, replaced, or has drained the queue.

Everything a crawl needs is kept for the worker's life: database pool, provider, extraction processes. A source
therefore costs milliseconds to start, where a process of its own pays a second or more for Python and the model.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import logging
import time
from contextlib import AsyncExitStack
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

import procrastinate
import psycopg

from db import models, queue
from db.connection import conninfo
from db.errors import DatabaseProblem, one_line
from lcl_spiders.extraction.config import ExtractionConfig
from lcl_spiders.extraction.pool import leased_pool
from lcl_spiders.fleet.crawls import Crawls
from lcl_spiders.fleet.process import preload, resident_memory
from lcl_spiders.fleet.taking import Taking
from pipelines import runtime
from pipelines.providers import ProviderError
from pipelines.tasks import end

if TYPE_CHECKING:
    from scrapy.settings import Settings

    from lcl_spiders.fleet.config import FleetConfig
    from pipelines.config import Config

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.25  # seconds between two looks at limits, and at an empty queue
INDEX_EVERY = 600.0  # seconds between two looks at the search indexes of a worker that is never idle
LATEST = 3_600  # seconds after its time within which a schedule that no worker saw is made good
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
            await (await leased.embedder(self._config.spec)).check()
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
            why = await self._work(app, leased, crawls)
            if why is End.DRAINED:
                await self._build_indexes(leased)
            return why

    async def _work(self, app: procrastinate.App, leased: runtime.Runtime, crawls: Crawls) -> End:
        loop = asyncio.get_running_loop()
        taking = Taking(app, self._fleet, [queue.QUEUE] if self._drain else [queue.QUEUE, queue.SCHEDULE])
        taken = loop.create_task(taking.run())
        watching = loop.create_task(self._watch(leased, crawls))
        for task in (taken, watching):
            task.add_done_callback(lambda _: self._finish(End.FAILED))
        measuring = loop.create_task(crawls.gate.watch())
        stopped = loop.create_task(self._wait_for_stop())
        await self._told.wait()
        taking.stop()
        await asyncio.wait({taken, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if self._stopped.is_set():
            await crawls.stop()
        await asyncio.wait({taken})
        await asyncio.gather(end(watching), end(measuring), end(stopped))
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

            @app.periodic(cron=self._fleet.cron)
            @app.task(name="refresh", queue=queue.SCHEDULE)
            async def refresh(timestamp: int) -> None:
                queued = await leased.use_connection(
                    lambda connection: queue.enqueue_due(connection, trigger="schedule", args={})
                )
                at = dt.datetime.fromtimestamp(timestamp, dt.UTC)
                logger.info("the schedule of %s UTC queued %d sources", f"{at:%Y-%m-%d %H:%M:%S}", len(queued))

        if not self._drain and self._config.embedding.by_batch:

            @app.periodic(cron=self._fleet.batch_cron)
            @app.task(name="batches", queue=queue.SCHEDULE)
            async def batches(timestamp: int) -> None:
                going = asyncio.get_running_loop().create_task(self._go_round(leased))
                stopped = asyncio.get_running_loop().create_task(self._wait_for_stop())
                await asyncio.wait({going, stopped}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.gather(end(going), end(stopped))

        return app

    async def _go_round(self, leased: runtime.Runtime) -> None:
        """Bring the provider's batches one round further; what goes wrong is tried again in the next."""
        from pipelines.batch_api.apis import Apis  # noqa: PLC0415 - 1 s of imports that most workers are spared
        from pipelines.batch_api.round import go_round  # noqa: PLC0415 - see above

        try:
            async with Apis(leased) as apis:
                done = await go_round(leased, apis)
        except (DatabaseProblem, ProviderError, psycopg.Error) as error:
            logger.warning("the batches cannot be looked after: %s", one_line(error))
            return
        for problem in done.problems:
            logger.warning("batches: %s", problem)
        if told := str(done):
            logger.info("batches: %s", told)

    async def _watch(self, leased: runtime.Runtime, crawls: Crawls) -> None:
        """Bring back what dead workers left, and end when a limit is reached or the queue is empty."""
        recovered = time.monotonic()
        loop = asyncio.get_running_loop()
        indexing = loop.create_task(self._keep_indexes(leased, crawls))
        try:
            while True:
                try:
                    if time.monotonic() - recovered >= self._fleet.heartbeat:
                        recovered = time.monotonic()
                        for lost in await leased.use_connection(lambda each: queue.recover(each, self._fleet.silence)):
                            logger.warning("%s: its worker died; the job is closed as lost, and made again", lost.slug)
                    if self._drain and not crawls.in_hand and not await leased.use_connection(queue.count_waiting):
                        self._finish(End.DRAINED)
                except (DatabaseProblem, psycopg.Error) as error:
                    logger.warning("the queue cannot be looked after: %s", one_line(error))
                if crawls.done >= self._fleet.max_jobs:
                    self._replace(f"{crawls.done} jobs done")
                elif crawls.done and (memory := resident_memory()) > self._fleet.max_memory:
                    self._replace(f"{memory // 2**20} MB of memory in use")
                await asyncio.sleep(LOOK_EVERY)  # the rhythm of the looks
        finally:
            await end(indexing)

    def _replace(self, reason: str) -> None:
        if self._end is None:
            logger.info("%s: a fresh process takes over when the crawls at work have ended", reason)
            self._finish(End.REPLACED)

    async def _keep_indexes(self, leased: runtime.Runtime, crawls: Crawls) -> None:
        """Build the search indexes when no crawl is at work: each page that is written meanwhile would cost more."""
        looked, seen = time.monotonic(), 0
        while True:
            await asyncio.sleep(LOOK_EVERY)  # the rhythm of the looks
            is_time = not crawls.in_hand or time.monotonic() - looked >= INDEX_EVERY
            if self._drain or crawls.done == seen or not is_time:
                continue
            looked, seen = time.monotonic(), crawls.done
            await self._build_indexes(leased)

    async def _build_indexes(self, leased: runtime.Runtime) -> None:
        try:
            model = await leased.use_connection(models.active)
            if model is not None:
                await leased.build_indexes(model)
        except (DatabaseProblem, psycopg.Error) as error:
            logger.warning("the search indexes were not built: %s", one_line(error))
