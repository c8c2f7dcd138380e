"""The extension that owns a run: checks, domain lock, fence, job record, verdict, backoff, release.

Handlers of one signal run concurrently, so all of it is in this one; each await is bounded by a time-out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Any, Self

import psycopg
from itemadapter import ItemAdapter
from psycopg_pool import PoolTimeout
from scrapy import signals
from scrapy.exceptions import CloseSpider

from db import indexes, jobs, models, pages, sources
from db.errors import AmbiguousSource, DatabaseProblem, SourceNotFound, one_line
from db.locks import DomainLock
from lcl_spiders.extensions.summary import summarise
from lcl_spiders.extensions.verdict import Verdict, judge
from pipelines import runtime
from pipelines.arguments import RunArguments
from pipelines.chunker import Chunker
from pipelines.config import Config
from pipelines.providers import ProviderError, checked
from pipelines.providers.base import PROBE
from pipelines.run import Run

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from scrapy import Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

logger = logging.getLogger(__name__)

OPEN_TIMEOUT = 60
CLOSE_TIMEOUT = 60


class RunExtension:
    """Opens a run before the first request and closes it in every case.

    After the crawl, `verdict` says how the run ended.
    """

    verdict: Verdict | None = None

    def __init__(self, crawler: Crawler, config: Config) -> None:
        self._crawler = crawler
        self._config = config
        self._run: Run | None = None
        self._refusal: Verdict | None = None
        self._lock: DomainLock | None = None
        self._watch: asyncio.Task[None] | None = None
        self._leased: runtime.Runtime | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Check settings and arguments. Raises `ValueError` (which ends the crawl with exit code 1)."""
        config = Config.from_settings(crawler.settings)
        extension = cls(crawler, config)
        assert crawler.spider is not None  # noqa: S101 - Scrapy makes the spider before the extensions
        arguments = RunArguments.parse(getattr(crawler.spider, "run_arguments", {}))
        extension._run = Run(crawler, config, arguments)
        crawler.signals.connect(extension.spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        crawler.signals.connect(extension.item_error, signal=signals.item_error)
        crawler.signals.connect(extension.spider_error, signal=signals.spider_error)
        return extension

    @property
    def run(self) -> Run:
        """The run that this extension owns."""
        assert self._run is not None  # noqa: S101 - set by from_crawler
        return self._run

    async def spider_opened(self, spider: Spider) -> None:
        """Make everything ready for the first request, or close the spider with the reason why not.

        Every error becomes a `CloseSpider`: any other would only be logged, and the crawl would go on unlocked.
        """
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await self._open(spider)
        except CloseSpider:
            raise
        except DatabaseProblem as error:
            raise self._refuse(error.reason, str(error)) from error
        except (psycopg.Error, PoolTimeout, TimeoutError, OSError) as error:
            raise self._refuse("database_unavailable", f"{type(error).__name__}: {one_line(error)}") from error
        except ProviderError as error:
            raise self._refuse("provider_unavailable", str(error)) from error
        except (SourceNotFound, AmbiguousSource) as error:
            raise self._refuse("unknown_source", str(error)) from error
        except Exception as error:
            logger.exception("the run could not be opened")
            raise self._refuse("internal_error", f"{type(error).__name__}: {error}") from error

    async def _open(self, spider: Spider) -> None:
        run = self.run
        run.runtime = self._leased = await runtime.lease(self._config)
        async with run.runtime.pool.connection() as connection:
            run.source = await sources.get(connection, getattr(spider, "slug", spider.name))
        async with run.runtime.pool.connection() as connection:
            run.model = await self._checked_model(run, connection)
            await self._take_domain(run)
            run.job_id, run.started_at = await jobs.start(
                connection,
                source_id=run.source.id,
                trigger=_trigger(),
                args=run.arguments.as_json(),
                worker=f"{socket.gethostname()}:{os.getpid()}",
            )
            run.fence = await self._held_lock().raise_fence(run.job_id)
            if lost := await jobs.close_lost(connection, domain=run.source.domain, keep=run.job_id):
                logger.warning("%s: %d earlier runs died and were closed as lost", run.source.slug, len(lost))
            run.known_pages = await pages.count_known(connection, run.source.id)
        self._watch = asyncio.get_running_loop().create_task(self._watch_lock(run))
        logger.info("%s: run %s, %d known pages, %s", run.source.slug, run.job_id, run.known_pages, run.arguments)

    async def _checked_model(self, run: Run, connection: Any) -> models.Model:
        provider = await run.runtime.load_provider()
        probe = await provider.embed([PROBE])
        dimensions = self._config.embedding_dimensions or probe.vectors.shape[-1]
        checked(probe, [PROBE], dimensions)
        return await models.ensure_active(
            connection,
            provider=provider.name,
            name=provider.model,
            dimensions=dimensions,
            chunker_version=Chunker(self._config.chunk_size).version,
        )

    async def _take_domain(self, run: Run) -> None:
        self._lock = DomainLock(self._config.lock_database_url or run.runtime.url, run.source.domain)
        if await self._lock.acquire():
            return
        message = f"another run holds the domain {run.source.domain}; nothing was done. Try again when it has ended."
        raise self._refuse("domain_locked", message)

    def _held_lock(self) -> DomainLock:
        assert self._lock is not None  # noqa: S101 - taken in _take_domain
        return self._lock

    async def _watch_lock(self, run: Run) -> None:
        why = await self._held_lock().watch()
        run.stop("lock_lost", f"the connection that held the lock of {run.source.domain} is lost: {why}")

    def _refuse(self, reason: str, message: str) -> CloseSpider:
        self._refusal = Verdict.refusal(reason, message)
        log = logger.warning if self._refusal.status == "skipped" else logger.error
        log("%s: %s: %s", self._crawler.spider and self._crawler.spider.name, reason, message)
        return CloseSpider(reason)

    async def item_error(self, item: Any, failure: Failure) -> None:
        """Record a page that a pipeline could not take for a reason nobody foresaw: nothing is lost in silence."""
        await self._attempt("record a failed page", self._record_failure(ItemAdapter(item)["url"], failure.value))

    async def spider_error(self, failure: Failure, response: Response) -> None:
        """Record a page on which the spider itself failed."""
        await self._attempt("record a failed page", self._record_failure(response.url, failure.value))

    async def _record_failure(self, url: str, error: BaseException | None) -> None:
        self.run.count("pages/failed")
        message = f"{type(error).__name__}: {one_line(error)}"[:500] if error is not None else None
        failed = pages.Failure(url, "internal_error", None, message)
        source = self.run.source
        await self.run.runtime.use_connection(lambda connection: pages.record_failures(connection, source.id, [failed]))

    async def spider_closed(self, reason: str) -> None:
        """Record how the run ended and undo in reverse what `spider_opened` did, as far as it came."""
        if self._watch is not None:
            self._watch.cancel()
        run = self.run
        self.verdict = self._refusal or judge(run, reason)
        if self._refusal is None:
            logger.info("%s: %s: %s", run.source.slug, self.verdict.status, summarise(run.counters()))
        await self._attempt("record the run", self._record(run, self.verdict))
        if self._lock is not None:
            await self._attempt("release the domain lock", self._lock.release())
        if self.verdict.status == "succeeded":
            await self._attempt("build the search indexes", self._build_indexes(run), timeout=None)
        if self._leased is not None:
            await self._attempt("close the database pool", runtime.give_back(self._leased))

    async def _record(self, run: Run, verdict: Verdict) -> None:
        if self._leased is None or not hasattr(run, "source"):
            return
        stats = run.counters()
        async with self._leased.pool.connection(timeout=10) as connection:
            if not hasattr(run, "job_id"):
                run.job_id, _ = await jobs.start(
                    connection,
                    source_id=run.source.id,
                    trigger=_trigger(),
                    args=run.arguments.as_json(),
                    worker=f"{socket.gethostname()}:{os.getpid()}",
                )
            await jobs.finish(
                connection,
                run.job_id,
                status=verdict.status,
                reason=verdict.reason,
                error=verdict.message,
                stats=stats,
            )
            if verdict.status != "skipped":
                until = await sources.record_run(connection, run.source.id, success=verdict.blame)
                if until is not None:
                    logger.warning("%s: too many failures in a row, waiting until %s", run.source.slug, until)

    async def _build_indexes(self, run: Run) -> None:
        async with run.runtime.pool.connection() as connection:
            built = await indexes.ensure(connection, run.model, min_chunks=self._config.index_min_chunks)
        if built:
            logger.info("built %s", ", ".join(built))

    async def _attempt(
        self, what: str, action: Coroutine[Any, Any, None], timeout: float | None = CLOSE_TIMEOUT
    ) -> None:
        try:
            async with asyncio.timeout(timeout):
                await action
        except Exception:
            logger.exception("cannot %s", what)


def _trigger() -> str:
    return "scrapyd" if os.environ.get("SCRAPY_JOB") else "manual"
