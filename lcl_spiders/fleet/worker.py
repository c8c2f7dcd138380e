"""A worker: takes runs from the queue, several at a time, until it is told to stop, replaced, or has drained the queue.

Everything a crawl needs is kept for the worker's life: database pool, provider, extraction processes. A source
therefore costs milliseconds to start, where a process of its own pays a second or more for Python and the model.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
import time
from contextlib import AsyncExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import procrastinate
import psycopg
from procrastinate.exceptions import ConnectorException
from scrapy.utils.misc import load_object

from db import models, queue
from db.connection import conninfo
from db.errors import DatabaseProblem, DatabaseUnavailable, one_line
from lcl_spiders.extraction.config import ExtractionConfig
from lcl_spiders.extraction.pool import leased_pool
from lcl_spiders.fleet.crawls import Crawls
from pipelines import runtime
from pipelines.tasks import end

if TYPE_CHECKING:
    from scrapy.settings import Settings

    from lcl_spiders.fleet.config import FleetConfig
    from pipelines.config import Config

logger = logging.getLogger(__name__)

SCHEDULE = "schedule"
LOOK_EVERY = 0.25  # seconds between two looks at limits, and at an empty queue
INDEX_EVERY = 600.0  # seconds between two looks at the search indexes of a worker that is never idle
POLL_EVERY = 1.0  # seconds; a job whose domain has become free is announced by nobody
STEADY = 60.0  # seconds after which a failure of the queue is a new one
MAX_FAILURES = 6  # in a row: some two minutes
CHATTY = ("scrapy.addons", "scrapy.core.engine", "scrapy.crawler", "scrapy.middleware", "procrastinate")
QUIET = {"STATS_DUMP": False, "LOGSTATS_INTERVAL": 0}  # a line at the end of each run says it all
GC_THRESHOLD = (20_000, 10, 10)


class End(Enum):
    """Why a worker ended."""

    STOPPED = "stopped"
    DRAINED = "drained"
    REPLACED = "replaced"
    FAILED = "failed"


class Worker:
    """One worker process. `run` works until the end and says why it came."""

    def __init__(self, settings: Settings, config: Config, fleet: FleetConfig, *, drain: bool) -> None:
        self._settings = settings
        self._config = config
        self._fleet = fleet
        self._drain = drain
        self._end: End | None = None
        self._told = asyncio.Event()

    def stop(self) -> None:
        """Take no more jobs and end the crawls at work; their sources go back to the queue."""
        self._finish(End.STOPPED)

    async def run(self) -> End:
        """Work. Raises `DatabaseProblem` or `ProviderError` when it cannot begin."""
        async with AsyncExitStack() as stack:
            leased = await runtime.lease(self._config)
            stack.push_async_callback(runtime.give_back, leased)
            await leased.check_provider()
            _preload(self._settings)
            extraction = ExtractionConfig.from_settings(self._settings)
            await stack.enter_async_context(
                leased_pool(extraction.workers, extraction.time_limit, extraction.memory_limit)
            )
            crawls = Crawls(self._settings, self._fleet, leased)
            app = self._app(leased, crawls)
            await stack.enter_async_context(app.open_async())
            gc.freeze()  # the model and the modules live as long as the worker
            gc.set_threshold(*GC_THRESHOLD)
            return await self._work(app, leased, crawls)

    async def _work(self, app: procrastinate.App, leased: runtime.Runtime, crawls: Crawls) -> End:
        loop = asyncio.get_running_loop()
        taking = loop.create_task(self._take(app))
        taking.add_done_callback(lambda _: self._finish(End.FAILED))
        measuring = loop.create_task(crawls.gate.watch())
        watching = loop.create_task(self._watch(leased, crawls))
        await self._told.wait()
        taking.cancel()
        if self._end is End.STOPPED:
            await crawls.stop()
        await asyncio.gather(end(watching), end(measuring), asyncio.wait([taking]))
        if self._end is End.FAILED and not taking.cancelled() and (error := taking.exception()) is not None:
            logger.error("the worker cannot go on: %s: %s", type(error).__name__, one_line(error))
        return self._end or End.FAILED

    async def _take(self, app: procrastinate.App) -> None:
        """Take jobs until cancelled, also after the database was away for a while.

        Raises what keeps it from the queue for longer.
        """
        failures = 0
        while True:
            began = time.monotonic()
            reason = "its side tasks ended"
            try:
                await app.run_worker_async(
                    queues=[queue.QUEUE] if self._drain else [queue.QUEUE, SCHEDULE],
                    name=f"{os.uname().nodename}:{os.getpid()}",
                    concurrency=self._fleet.sources_at_a_time,
                    fetch_job_polling_interval=POLL_EVERY,
                    delete_jobs="always",
                    install_signal_handlers=False,
                    update_heartbeat_interval=self._fleet.heartbeat,
                    stalled_worker_timeout=self._fleet.silence.total_seconds(),
                )
            except (ConnectorException, psycopg.Error) as error:
                reason = f"{type(error).__name__}: {one_line(error.__cause__ or error)}"
            failures = 1 if time.monotonic() - began > STEADY else failures + 1
            if failures > MAX_FAILURES:
                msg = f"the queue cannot be reached: {reason}"
                raise DatabaseUnavailable(msg)
            wait = min(2.0**failures, 30.0)
            logger.warning("the queue was lost (%s); taking jobs again in %.0f s", reason, wait)
            await asyncio.sleep(wait)  # exponential backoff

    def _finish(self, end: End) -> None:
        if self._end is None:
            self._end = end
            self._told.set()

    def _app(self, leased: runtime.Runtime, crawls: Crawls) -> procrastinate.App:
        app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=conninfo(leased.direct_url), min_size=1, max_size=2)
        )

        @app.task(name=queue.CRAWL, queue=queue.QUEUE)
        async def crawl(job_id: str) -> None:
            await crawls.carry_out(UUID(job_id))

        if not self._drain:

            @app.periodic(cron=self._fleet.cron)
            @app.task(name="refresh", queue=SCHEDULE)
            async def refresh(timestamp: int) -> None:
                queued = await leased.use_connection(
                    lambda connection: queue.enqueue_due(connection, trigger="schedule", args={})
                )
                logger.info("the schedule queued %d sources", len(queued))

        return app

    async def _watch(self, leased: runtime.Runtime, crawls: Crawls) -> None:
        """Bring back what dead workers left, and end when a limit is reached or the queue is empty."""
        recovered = indexed = time.monotonic()
        seen = 0
        while True:
            now = time.monotonic()
            try:
                if now - recovered >= self._fleet.heartbeat:
                    recovered = now
                    for lost in await leased.use_connection(lambda each: queue.recover(each, self._fleet.silence)):
                        logger.warning("%s: its worker died; the job is closed as lost, and made again", lost.slug)
                is_idle = not crawls.running
                if crawls.done > seen and (is_idle or now - indexed >= INDEX_EVERY):
                    indexed, seen = now, crawls.done
                    await self._build_indexes(leased)
                if self._drain and is_idle and await leased.use_connection(queue.is_drained):
                    self._finish(End.DRAINED)
            except (DatabaseProblem, psycopg.Error) as error:
                logger.warning("the queue cannot be looked after: %s", one_line(error))
            if crawls.done >= self._fleet.max_jobs:
                logger.info("%d jobs done: a fresh process takes over", crawls.done)
                self._finish(End.REPLACED)
            elif (memory := resident_memory()) > self._fleet.max_memory:
                logger.warning("%d MB of memory in use: a fresh process takes over", memory // 2**20)
                self._finish(End.REPLACED)
            await asyncio.sleep(LOOK_EVERY)  # the rhythm of the looks

    async def _build_indexes(self, leased: runtime.Runtime) -> None:
        """Build the search indexes when no crawl is at work: each page that is written meanwhile would cost more."""
        model = await leased.use_connection(models.active)
        if model is not None:
            await leased.build_indexes(model)


def _preload(settings: Settings) -> None:
    """Import what Scrapy would import when the first source begins: two thirds of a second."""
    for name in ("DOWNLOAD_HANDLERS", "DOWNLOADER_MIDDLEWARES", "EXTENSIONS", "SPIDER_MIDDLEWARES"):
        for key, value in settings.getwithbase(name).items():
            part = value if name == "DOWNLOAD_HANDLERS" else key
            if value is not None and isinstance(part, str):
                load_object(part)
    for name in ("DOWNLOADER", "DUPEFILTER_CLASS", "SCHEDULER", "SCHEDULER_MEMORY_QUEUE", "STATS_CLASS"):
        load_object(settings[name])


def resident_memory() -> int:
    """Return how many bytes of memory this process occupies; its peak where the system tells no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize()


def replace_process() -> None:
    """Start this command afresh in this very process: its id stays, whoever watches over it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line, as it was given


def handle_signals(worker: Worker) -> None:
    """Stop on the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def handle(number: signal.Signals) -> None:
        logger.info("%s: ending the crawls at work; once more ends at once", number.name)
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        worker.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, handle, number)
