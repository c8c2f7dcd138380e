"""The extension that owns a run: checks, domain lock, fence, job record, verdict, backoff, release.

Handlers of one signal run concurrently, so all of it is in this one; each await is bounded by a time-out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
from itemadapter import ItemAdapter
from psycopg_pool import PoolTimeout
from scrapy import signals
from scrapy.exceptions import CloseSpider
from scrapy.http import Response

from db import history, jobs, models, page_rows, page_writes, pages, sources
from db import signals as source_signals
from db.errors import AmbiguousSource, DatabaseProblem, FenceLost, InvalidSource, SourceNotFound, one_line
from db.locks import DomainLock
from lcl_spiders import ledger
from lcl_spiders.base_spiders import SourceSpider
from lcl_spiders.extensions.alerts import Alert, alerts
from lcl_spiders.extensions.closing import see_to_the_end
from lcl_spiders.extensions.politeness import PolitenessExtension
from lcl_spiders.extensions.report import report
from lcl_spiders.extensions.summary import summarise
from lcl_spiders.extensions.verdict import Verdict, excused, judge, may_be_excused
from lcl_spiders.network import NETWORK
from lcl_spiders.rendering.chromium import BrowserUnavailable
from lcl_spiders.rendering.config import ENABLED, RenderingConfig
from pipelines import covering, index_model, runtime
from pipelines.arguments import RunArguments
from pipelines.config import Config
from pipelines.index_model import Named
from pipelines.outcome import Outcome
from pipelines.providers import ProviderError
from pipelines.run import Run
from pipelines.tasks import end
from pipelines.trust import Trust

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from scrapy import Spider
    from scrapy.crawler import Crawler
    from twisted.python.failure import Failure

    from db.connection import Connection

logger = logging.getLogger(__name__)

OPEN_TIMEOUT = 120
CLOSE_TIMEOUT = 60
INDEX_TIMEOUT = 3600


class RunExtension:
    """Opens a run before the first request and closes it in every case.

    After the crawl, `verdict` says how the run ended.
    """

    verdict: Verdict | None = None

    def __init__(self, crawler: Crawler, run: Run) -> None:
        self.run = run
        self._crawler = crawler
        self._named = Named.from_settings(crawler.settings)
        self._price = ledger.price(crawler.settings)
        self._made = time.monotonic()
        self._has_asked = False
        self._refusal: Verdict | None = None
        self._lock: DomainLock | None = None
        self._watches: list[asyncio.Task[None]] = []
        self._leased: runtime.Runtime | None = None
        self._unforeseen: list[page_rows.Failure] = []
        self._alerts: list[Alert] = []
        self._browser = AsyncExitStack()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Check settings and arguments. Raises `ValueError` (which ends the crawl with exit code 1)."""
        config = Config.from_settings(crawler.settings)
        arguments = RunArguments.parse(cls.given(crawler.spider))
        extension = cls(crawler, Run(crawler, config, arguments))
        crawler.signals.connect(extension.spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(extension.first_request, signal=signals.request_reached_downloader)
        crawler.signals.connect(extension.first_response, signal=signals.response_received)
        crawler.signals.connect(extension.spider_idle, signal=signals.spider_idle)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        crawler.signals.connect(extension.item_error, signal=signals.item_error)
        crawler.signals.connect(extension.spider_error, signal=signals.spider_error)
        return extension

    @staticmethod
    def given(spider: Spider | None) -> Mapping[str, Any]:
        """Return the arguments of the run, as they came from a command line or scrapyd."""
        return getattr(spider, "run_arguments", {})

    async def find_source(self, connection: Connection, spider: Spider) -> sources.Source:
        """Return the source that a spider crawls. Raises `SourceNotFound`, `AmbiguousSource` or `InvalidSource`."""
        return await sources.get(connection, getattr(spider, "slug", spider.name))

    def judge(self, reason: str) -> Verdict:
        """Return the verdict over a run that was opened and was closed for this reason."""
        return judge(self.run, reason)

    async def spider_opened(self, spider: Spider) -> None:
        """Make everything ready for the first request, or close the spider with the reason why not.

        Every error becomes a `CloseSpider`: any other would only be logged, and the crawl would go on unlocked.
        """
        try:
            # A provider may take its own time-out to answer, which is no sign of anything else being wrong.
            async with asyncio.timeout(OPEN_TIMEOUT + self.run.config.embedding.timeout):
                await self._open(spider)
        except CloseSpider:
            raise
        except DatabaseProblem as error:
            raise self._refuse(error.reason, str(error)) from error
        except (psycopg.Error, PoolTimeout, TimeoutError, OSError) as error:
            raise self._refuse("database_unavailable", f"{type(error).__name__}: {one_line(error)}") from error
        except ProviderError as error:
            raise self._refuse(error.reason, str(error)) from error
        except BrowserUnavailable as error:
            raise self._refuse("browser_unavailable", f"{error}. Nothing was asked for.") from error
        except (SourceNotFound, AmbiguousSource) as error:
            raise self._refuse("unknown_source", str(error)) from error
        except InvalidSource as error:
            raise self._refuse("invalid_source", str(error)) from error
        except Exception as error:  # left alone, it would only be logged, and the crawl go on unlocked
            logger.exception("the run could not be opened")
            raise self._refuse("internal_error", f"{type(error).__name__}: {one_line(error)}") from error

    async def _open(self, spider: Spider) -> None:
        run = self.run
        run.runtime = self._leased = await runtime.lease(run.config)
        run.source = await run.runtime.use_connection(lambda connection: self.find_source(connection, spider))
        if self._politeness is not None:
            self._politeness.remember(urlsplit(run.source.start_url).hostname or "", run.source.politeness)
        if isinstance(spider, SourceSpider):
            run.check_bounds = spider.config.check_bounds(run.config.recrawl_after, run.config.max_staleness)
        await self._take_domain()
        async with self._domain_held():
            await self._start_browser(spider)
            run.model, run.embedder = await index_model.prepare(run.runtime, by_batch=run.embeds_by_batch)
            run.building = await covering.prepare(run)
        if other := self._named.unlike(run.model):
            logger.warning("%s: %s", run.source.slug, other)
        await run.runtime.use_connection(self._begin)
        loop = asyncio.get_running_loop()
        watches = (self._watch_lock(), report(run), see_to_the_end(self._crawler))
        self._watches = [loop.create_task(watch) for watch in watches]
        logger.info("%s: run %s, %d known pages, %s", run.source.slug, run.job_id, run.known_pages, run.arguments)

    @property
    def _politeness(self) -> PolitenessExtension | None:
        """What keeps to the site's own limits; None where it is switched off."""
        return self._crawler.get_extension(PolitenessExtension)

    async def _take_domain(self) -> None:
        run = self.run
        self._lock = DomainLock(run.runtime.direct_url, run.source.domain)
        if not await self._lock.acquire():
            message = (
                f"another run holds the domain {run.source.domain}; nothing was done. Try again when it has ended."
            )
            raise self._refuse("domain_locked", message)

    @asynccontextmanager
    async def _domain_held(self) -> AsyncIterator[None]:
        """Keep the lock's session alive while a browser or a provider takes its time to answer."""
        assert self._lock is not None  # noqa: S101 - taken in _take_domain
        watch = asyncio.get_running_loop().create_task(self._lock.watch())
        try:
            yield
        finally:
            await end(watch)

    async def _start_browser(self, spider: Spider) -> None:
        """Start the browser of a source whose pages are rendered, before any page depends on it."""
        if not self._crawler.settings.getbool(ENABLED):
            return
        # Not before it is needed: a plain crawl does without Playwright, which takes a third of a second to import.
        from lcl_spiders.rendering import browser  # noqa: PLC0415 - see above

        shared = browser.lease(RenderingConfig.from_settings(self._crawler.settings).browser)
        self._browser.push_async_callback(browser.give_back, shared)
        await shared.running()

    async def _begin(self, connection: Connection) -> None:
        run = self.run
        started_at = await self._start_job(connection)
        if started_at is None:
            if await jobs.is_cancelled(connection, run.job_id):
                raise self._refuse("cancelled", "the job was cancelled before it began; nothing was done")
            raise self._refuse("lock_lost", "the domain lock was lost before the run began; nothing was done")
        run.started_at = started_at
        assert self._lock is not None  # noqa: S101 - taken in _take_domain
        run.fence = await self._lock.raise_fence(run.job_id)
        if lost := await jobs.close_lost(connection, domain=run.source.domain, keep=run.job_id):
            logger.warning("%s: %d earlier runs died and were closed as lost", run.source.slug, len(lost))
        run.known_pages = await pages.count_known(connection, run.source.id)
        records = await source_signals.of_source(connection, run.source.id)
        run.trust = Trust(records, run.config.trust_after)
        run.usual_yield = await history.usual_yield(connection, run.source.id)

    async def _start_job(self, connection: Connection) -> dt.datetime | None:
        run = self.run
        if not hasattr(run, "job_id"):
            queued = self._crawler.settings.get("LCL_JOB_ID")
            run.job_id = UUID(queued) if queued else uuid4()
        return await jobs.start(
            connection,
            run.job_id,
            source_id=run.source.id,
            trigger="scrapyd" if "_job" in self.given(self._crawler.spider) else "manual",
            args=run.arguments.as_json(),
            worker=f"{socket.gethostname()}:{os.getpid()}",
        )

    async def _watch_lock(self) -> None:
        assert self._lock is not None  # noqa: S101 - taken in _take_domain
        try:
            why = await self._lock.watch()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody watches any more
            why = f"{type(error).__name__}: {one_line(error)}"
        self.run.stop("lock_lost", f"the connection that held the lock of {self.run.source.domain} is lost: {why}")

    def _refuse(self, reason: str, message: str) -> CloseSpider:
        self._refusal = Verdict.refusal(reason, message)
        log = logger.warning if self._refusal.status == "skipped" else logger.error
        log("%s: %s: %s", self._crawler.spider and self._crawler.spider.name, reason, message)
        return CloseSpider(reason)

    def first_request(self) -> None:
        """Note what it took from taking the job to the first request, robots.txt: the start-up cost of a source."""
        if self._has_asked:  # to disconnect in the middle of a signal would pass over its next receiver
            return
        self._has_asked = True
        taken = self._crawler.settings.getfloat("LCL_JOB_TAKEN") or self._made
        self.run.count("start/milliseconds", round((time.monotonic() - taken) * 1000))

    def first_response(self, response: Response) -> None:
        """Note that the network is there."""
        self._crawler.signals.disconnect(self.first_response, signal=signals.response_received)
        NETWORK.heard(urlsplit(response.url).hostname or "")

    def spider_idle(self) -> None:
        """Note that everything that was asked for has been answered."""
        self.run.is_complete = True

    def item_error(self, item: Any, failure: Failure) -> None:
        """Remember a page that a pipeline could not take for a reason nobody foresaw: nothing is lost in silence.

        Pages that a sitemap vouches for are no failed page: they stay due, for the next run.
        """
        page = ItemAdapter(item)
        is_page = page["outcome"] != Outcome.LISTED
        self.remember(page["url"] if is_page else "", failure.value)

    def spider_error(self, failure: Failure, response: Response | Failure | None) -> None:
        """Remember a page on which the spider itself failed."""
        self.remember(response.url if isinstance(response, Response) else "", failure.value)

    def remember(self, url: str, error: BaseException | None) -> None:
        """Count a page that failed for a reason nobody foresaw, and record it at the end; "" has no page of its own."""
        self.run.count("pages/failed")
        message = f"{type(error).__name__}: {one_line(error)}"[:500] if error is not None else None
        if url:
            self._unforeseen.append(page_rows.Failure(url, "internal_error", None, message))

    async def spider_closed(self, reason: str) -> None:
        """Record how the run ended and undo in reverse what `spider_opened` did, as far as it came."""
        for watch in self._watches:
            await end(watch)
        run = self.run
        self.verdict = self._refusal or self.judge(reason)
        if may_be_excused(run, self.verdict):
            await self._attempt("look at the network", self._look_at_network(self.verdict))
        verdict = self.verdict
        if self._leased is not None and hasattr(run, "source"):
            self._alerts = alerts(run.counters(), verdict)
            for alert in self._alerts:
                logger.warning("%s: alert %s: %s", run.source.slug, alert["name"], alert["message"])
            if not await self._attempt("record the run", self._record(verdict)) and verdict.status == "succeeded":
                message = "the run could not be recorded; what it committed stays, and the next run closes its job"
                self.verdict = Verdict.failure("database_unavailable", message)
            logger.info("%s: %s: %s", run.source.slug, self.verdict.status, summarise(run.counters(), self._price))
        await self._attempt("give the browser back", self._browser.aclose())
        if self._lock is not None:
            await self._attempt("release the domain lock", self._lock.release())
        is_alone = not self._crawler.settings.get("LCL_JOB_ID")  # a worker builds them when it has nothing else to do
        if self.verdict.status == "succeeded" and is_alone:
            await self._attempt("build the search indexes", self._build_indexes(), timeout=INDEX_TIMEOUT)
        if self._leased is not None:
            await self._attempt("close the database pool", runtime.give_back(self._leased))

    async def _look_at_network(self, verdict: Verdict) -> None:
        """Excuse the source where it is this machine that reaches nobody."""
        if await NETWORK.is_cut_off(urlsplit(self.run.source.start_url).hostname or ""):
            self.verdict = excused(verdict)

    async def _record(self, verdict: Verdict) -> None:
        run = self.run
        if self._unforeseen and hasattr(run, "fence"):
            with suppress(FenceLost):
                await run.runtime.use_connection(self._record_unforeseen)
        await run.runtime.use_connection(lambda connection: self._finish_job(connection, verdict))

    async def _record_unforeseen(self, connection: Connection) -> None:
        async with page_writes.write(connection, self.run.source.domain, self.run.fence):
            await page_writes.record_failures(connection, self.run.source.id, self._unforeseen)

    async def _finish_job(self, connection: Connection, verdict: Verdict) -> None:
        run = self.run
        async with connection.transaction():
            if self._refusal is not None:
                await self._start_job(connection)
            is_first_time = await jobs.finish(
                connection,
                run.job_id,
                status=verdict.status,
                reason=verdict.reason,
                error=verdict.message,
                stats={**run.counters(), "alerts": self._alerts},
            )
            if self._refusal is not None or not is_first_time or verdict.reason == "lock_lost":
                return
            if self._politeness is not None and (learned := self._politeness.learned) is not None:
                await sources.record_politeness(connection, run.source.id, learned)
            until = await sources.record_run(connection, run.source.id, success=verdict.blame)
        if until is not None:
            logger.warning("%s: too many failures in a row, waiting until %s", run.source.slug, until)

    async def _build_indexes(self) -> None:
        model = await self.run.runtime.use_connection(models.active)
        if model is not None:
            await self.run.runtime.build_indexes(model)

    async def _attempt(self, what: str, action: Coroutine[Any, Any, None], timeout: float = CLOSE_TIMEOUT) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await action
        except DatabaseProblem as error:
            logger.error("cannot %s: %s", what, error)
            return False
        except Exception:  # what comes after it, the lock's release above all, must run in every case
            logger.exception("cannot %s", what)
            return False
        return True
