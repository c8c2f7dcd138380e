"""The crawl behind `scrapy discover`: many candidates at a time, one request at a time to each host."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
from scrapy import Spider

from db.connection import connect
from db.errors import DatabaseProblem, one_line
from db.urls import domain_of
from lcl_spiders.discovery.config import DiscoveryConfig
from lcl_spiders.discovery.door import Decision, Door, Result, already_known
from lcl_spiders.discovery.probe import NothingThere, Probe, Tools
from lcl_spiders.discovery.scoring import judge
from lcl_spiders.downloadermiddlewares.typed import TypedRobotsTxtMiddleware
from lcl_spiders.extraction.config import ExtractionConfig
from lcl_spiders.extraction.pool import leased_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from scrapy import Request
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

    from db.discovery import Known
    from lcl_spiders.discovery.candidates import Candidate

MAX_REDIRECTS = 5


class DiscoverySpider(Spider):
    """Judges candidates and stores them as they are judged: whoever ends it early keeps what was done.

    It emits no items and runs without the index's pipelines and its run extension. `results` fills in the order in
    which candidates are judged; `failure` says why it stopped before its end.

    Args:
        candidates: each with the source that waits for a new judgement, or None.
        url: the database's connection URI.
        dry_run: store nothing.
        on_result: called with each result.
    """

    name = "discovery"

    def __init__(
        self,
        candidates: Sequence[tuple[Candidate, Known | None]],
        url: str,
        on_result: Callable[[Result], None],
        *,
        dry_run: bool = False,
    ) -> None:
        super().__init__()
        self._candidates = candidates
        self._url = url
        self._on_result = on_result
        self._dry_run = dry_run
        self.results: list[Result] = []
        self.failure: str | None = None

    @classmethod
    def update_settings(cls, settings: BaseSettings) -> None:
        """Leave out what belongs to the crawl of a source; be as patient and as polite as discovery's settings say."""
        super().update_settings(settings)
        config = DiscoveryConfig.from_settings(settings)
        own: dict[str, Any] = {
            "ADDONS": {**settings.getdict("ADDONS"), "pipelines.IndexAddon": None},
            "DOWNLOADER": "lcl_spiders.discovery.downloader.HostDownloader",
            "DOWNLOAD_DELAY": config.delay,
            "DOWNLOAD_TIMEOUT": config.timeout,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
            "CONCURRENT_REQUESTS": config.concurrency,
            "AUTOTHROTTLE_ENABLED": False,
            "REDIRECT_MAX_TIMES": MAX_REDIRECTS,
            "RETRY_TIMES": 1,
            "RETRY_GIVE_UP_LOG_LEVEL": "DEBUG",  # the candidate's reason says so
            "LCL_PROGRESS": False,
        }
        settings.setdict(own, priority="spider")

    async def start(self) -> AsyncIterator[Request]:
        """Judge all candidates. Nothing is left to the scheduler: the crawl ends with this."""
        try:
            await self._judge_all()
        except (psycopg.Error, DatabaseProblem) as error:
            self.failure = one_line(error)
        left: tuple[Request, ...] = ()
        for request in left:
            yield request

    async def _judge_all(self) -> None:
        settings = self.crawler.settings
        config, extraction = DiscoveryConfig.from_settings(settings), ExtractionConfig.from_settings(settings)
        robots = self.crawler.get_downloader_middleware(TypedRobotsTxtMiddleware)
        if robots is None:
            msg = "discovery needs TypedRobotsTxtMiddleware among the DOWNLOADER_MIDDLEWARES"
            raise RuntimeError(msg)
        async with (
            connect(self._url) as connection,
            leased_pool(extraction.workers, extraction.time_limit, extraction.memory_limit) as pool,
        ):
            tools = Tools(self._download, robots.read, pool, config)
            door = Door(connection, config, dry_run=self._dry_run)
            waiting = iter(self._candidates)
            await asyncio.gather(*(self._work(waiting, tools, door) for _ in range(config.concurrency)))

    async def _download(self, request: Request) -> Response:
        assert self.crawler.engine is not None  # noqa: S101 - it is there while a spider runs
        return await self.crawler.engine.download_async(request)

    async def _work(self, waiting: Iterator[tuple[Candidate, Known | None]], tools: Tools, door: Door) -> None:
        for candidate, again in waiting:
            if self.failure is not None:
                return
            try:
                result = await self._judge(candidate, again, tools, door)
            except (psycopg.Error, DatabaseProblem) as error:
                self.failure = one_line(error)
                return
            except Exception as error:  # one candidate must not end the others
                self.logger.exception("%s: an error that nobody foresaw", candidate.url)
                reason = f"{type(error).__name__}: {one_line(error)}"
                result = Result(candidate.url, candidate.origin, Decision.FAILED, reason=reason)
            self.results.append(result)
            self._on_result(result)

    async def _judge(self, candidate: Candidate, again: Known | None, tools: Tools, door: Door) -> Result:
        probe = Probe(candidate.url, tools)
        findings = probe.findings
        limit = tools.config.candidate_timeout
        deadline = asyncio.get_running_loop().time() + limit
        try:
            async with asyncio.timeout_at(deadline):
                await probe.first_page()
            if again is None and domain_of(findings.start_url) != domain_of(candidate.url):
                known = await door.known_as(findings.start_url)
                if known is not None:
                    return already_known(candidate, [known], leads_to=findings.start_url)
            async with asyncio.timeout_at(deadline):
                await probe.look_around()
        except NothingThere:
            pass
        except TimeoutError:
            if findings.status is None:
                findings.is_silent = True
                findings.failure = f"it gave no whole answer within {limit:g} s"
            findings.is_cut_short = True
        judgement = judge(findings, tools.config)
        return await door.settle(candidate, findings, judgement, again)
