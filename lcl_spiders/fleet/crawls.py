"""The crawls of one worker: several sources in one process and one event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from scrapy import signals
from scrapy.crawler import Crawler

from db import jobs, queue, recovery, sources
from db.errors import InvalidSource, SourceNotFound, one_line
from db.recovery import MAX_RETRIES, Again
from lcl_spiders.extensions.run import RunExtension
from lcl_spiders.extensions.verdict import Verdict
from lcl_spiders.fleet.gate import Gate
from lcl_spiders.fleet.outage import REASON, Outage
from lcl_spiders.spiderloader import SourceSpiderLoader
from pipelines import index_model

if TYPE_CHECKING:
    from uuid import UUID

    from scrapy.settings import Settings

    from db.queue import Request
    from lcl_spiders.fleet.config import FleetConfig
    from pipelines.runtime import Runtime

logger = logging.getLogger(__name__)

MOMENT = 0.02
LONGEST_BEGINNING = 10.0  # seconds in which no other crawl of the worker begins
_TROUBLES = {
    "domain_locked": "its domain is held from outside the queue",
    "database_unavailable": "the database did not answer",
    "network_unavailable": "this machine had no network",
    "provider_unavailable": "the embedding provider did not answer",
}
SHUTDOWN = Verdict.failure("shutdown", "the worker was told to stop before the crawl began; nothing was done")


class Crawls:
    """Carries out queued runs, each as a crawl of its own, and stops them together."""

    def __init__(self, settings: Settings, config: FleetConfig, runtime: Runtime) -> None:
        self.done = 0
        self.in_hand = 0
        self._settings = settings
        self._config = config
        self._runtime = runtime
        self._loader = SourceSpiderLoader.from_settings(settings)
        self._crawlers: set[Crawler] = set()
        self.gate = Gate(lambda: self.running)
        self._stopping = asyncio.Event()
        self._outage = Outage(partial(index_model.check, runtime))

    @property
    def running(self) -> int:
        """How many crawls are at work."""
        return len(self._crawlers)

    async def carry_out(self, job_id: UUID) -> None:
        """Run one queued job to its end, and queue it again where it must be made again.

        Raises `DatabaseUnavailable` when that could not be recorded: whoever looks after the queue makes it again.
        """
        self.in_hand += 1
        try:
            request = await self._runtime.use_connection(lambda connection: queue.request(connection, job_id))
            if request is None:
                logger.info("job %s: its source was removed; nothing was done", job_id)
                return
            verdict = await self._crawl(request)
            if verdict is not None:
                await self._finish(request, verdict)
        finally:
            self.in_hand -= 1
            self.done += 1

    async def _finish(self, request: Request, verdict: Verdict) -> None:
        # A crawl that could not even begin has recorded nothing of it.
        await self._runtime.use_connection(
            lambda connection: jobs.finish(
                connection, request.id, status=verdict.status, reason=verdict.reason, error=verdict.message, stats={}
            )
        )
        await self._again(request, verdict)

    async def stop(self) -> None:
        """End all crawls early; what they committed stays, and their sources go back to the queue."""
        self._stopping.set()
        await asyncio.gather(*(self._stop(crawler) for crawler in self._crawlers))

    async def _stop(self, crawler: Crawler) -> None:
        """End a crawl as soon as it has begun: while it makes itself ready, Scrapy would pass over the request."""
        while crawler in self._crawlers:
            with suppress(RuntimeError):  # it has no engine yet
                if crawler.engine.running:
                    await crawler.stop_async()
                    return
            await asyncio.sleep(MOMENT)  # there is no signal for it

    async def _crawl(self, request: Request) -> Verdict | None:
        """Crawl a source and return how that ended; None when there is no such source any more."""
        async with self.gate.admission():
            why = await self._outage.over(self._stopping)
            if self._stopping.is_set():
                return SHUTDOWN
            if why is not None:
                return Verdict.failure(REASON, why)
            try:
                crawler = await self._make(request)
            except SourceNotFound:
                logger.info("%s: removed while it waited; nothing was done", request.slug)
                return None
            if isinstance(crawler, Verdict):
                return crawler
            if self._stopping.is_set():
                return SHUTDOWN
            self._crawlers.add(crawler)
            crawl = asyncio.create_task(self._run(crawler, request))
            await _begun(crawler, crawl)
        verdict = await crawl
        if verdict.reason == REASON:
            self._outage.begin()
        return verdict

    async def _make(self, request: Request) -> Crawler | Verdict:
        """Return the crawler of a source, or why it has none. Raises `SourceNotFound`."""
        taken = time.monotonic()
        source = await self._runtime.use_connection(lambda connection: sources.get(connection, str(request.source_id)))
        if not source.enabled:
            return Verdict.refusal("disabled", f"{request.slug} was disabled while it waited; nothing was done")
        try:
            crawler = Crawler(self._loader.spider_of(vars(source)), self._settings)
            crawler.settings.update({"LCL_JOB_ID": str(request.id), "LCL_JOB_TAKEN": taken}, priority="cmdline")
        except (InvalidSource, KeyError) as error:
            wrong = f"there is no kind of spider called {error}" if isinstance(error, KeyError) else str(error)
            logger.error("%s: cannot be crawled as it is stored: %s", request.slug, wrong)
            return Verdict.refusal("invalid_source", wrong)
        return crawler

    async def _run(self, crawler: Crawler, request: Request) -> Verdict:
        arguments = {name: value for name, value in request.args.items() if value is not None}
        try:
            await crawler.crawl_async(**arguments)
        except Exception as error:  # one source must not end its neighbours, whatever it is
            logger.exception("%s: the crawl could not begin", request.slug)
            return Verdict.failure("internal_error", f"{type(error).__name__}: {one_line(error)}")
        finally:
            self._crawlers.discard(crawler)
        extension = crawler.get_extension(RunExtension)
        if extension is None or extension.verdict is None:
            return Verdict.failure("internal_error", "the crawl ended without a verdict")
        return extension.verdict

    async def _again(self, request: Request, verdict: Verdict) -> None:
        if verdict.reason in recovery.HINDERED:
            delay = self._config.retry_delay(request.attempt)
            told = f"{_TROUBLES[verdict.reason]}; retry {request.attempt}/{MAX_RETRIES} in {delay}"
            given_up = f"{_TROUBLES[verdict.reason]}, still; it is left for the next round"
        elif verdict.reason in recovery.INTERRUPTED:
            delay, told = None, f"the run was interrupted ({verdict.reason}) and is queued again"
            given_up = f"the run was interrupted too often ({verdict.reason}); it is left for the next round"
        else:
            return
        result = await self._runtime.use_connection(lambda connection: recovery.again(connection, request, delay=delay))
        elsewhere = "this worker was taken for dead meanwhile, and another process saw to the run"
        logger.warning(
            "%s: %s",
            request.slug,
            {Again.QUEUED: told, Again.GIVEN_UP: given_up, Again.ELSEWHERE: elsewhere}[result],
        )


async def _begun(crawler: Crawler, crawl: asyncio.Task[Verdict]) -> None:
    """Return when a crawl has sent its first request, has ended without one, or takes too long to keep others waiting.

    That is the case where a provider or a browser does not answer: a run gives them up after a minute or two.
    """
    first = asyncio.Event()
    crawler.signals.connect(first.set, signal=signals.request_reached_downloader)
    waiting = asyncio.create_task(first.wait())
    await asyncio.wait({crawl, waiting}, timeout=LONGEST_BEGINNING, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    crawler.signals.disconnect(first.set, signal=signals.request_reached_downloader)
