"""The state of one run: made by the run extension, read by the spider and the pipelines.

The extension fills it in `spider_opened`; before that (`open_spider` of the pipelines comes earlier) only `stats`,
`config` and `arguments` may be used.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import weakref
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from db import pages
from db.jobs import PRESENT
from db.page_rows import Schedule
from db.pages import Due
from pipelines.batching import Batcher
from pipelines.budget import Purse
from pipelines.schedule import LONGEST_INTERVAL, SLACK, bounds, patience

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from scrapy.crawler import Crawler
    from scrapy.statscollectors import StatsCollector

    from db.models import Model
    from db.page_rows import Departure
    from db.pages import KnownPage, Savings
    from db.sources import Source
    from pipelines.arguments import RunArguments
    from pipelines.config import Config
    from pipelines.embedder import Embedder
    from pipelines.runtime import Runtime
    from pipelines.trust import Trust

logger = logging.getLogger(__name__)

LEDGER = (
    "pages/new",
    "pages/changed",
    "pages/unchanged",
    "pages/not_modified",
    "pages/gone",
    "pages/unknown",
    "pages/failed",
    "pages/duplicate",
    "pages/pending",
    "pages/skipped_recent",
    "pages/skipped_lastmod",
    "chunks/total",
    "chunks/reused",
    "chunks/embedded",
    "tokens/embedded",
    "tokens/saved",
    "requests/sent",
    "requests/other",
)
LOOKUP_LINGER = 0.005


class Run:
    """One crawl of one source, from the checks before it to its summary."""

    source: Source
    job_id: UUID
    fence: int
    model: Model
    embedder: Embedder
    runtime: Runtime
    started_at: dt.datetime
    known_pages: int
    trust: Trust
    check_bounds: tuple[dt.timedelta, dt.timedelta]

    def __init__(self, crawler: Crawler, config: Config, arguments: RunArguments) -> None:
        self.config = config
        self.arguments = arguments
        self.stop_reason: str | None = None
        self.stop_message: str | None = None
        self.start_failure: str | None = None
        self.start_reason = "site_unreachable"
        self.start_kind: str | None = None
        self.is_complete = False
        self.departures: dict[str, Departure] = {}
        self.check_bounds = bounds(config.recrawl_after, LONGEST_INTERVAL, config.max_staleness)
        self.usual_yield: float | None = None
        self.building: list[tuple[Model, Embedder]] = []
        self.purse = Purse(config.limits.per_run)
        self.has_left_out: Callable[[], bool] = lambda: False
        self._reference = weakref.ref(crawler)
        self._closing: asyncio.Task[None] | None = None
        self._lookups: Batcher[str, KnownPage | None] = Batcher(
            self._look_up, max_items=200, max_weight=200, linger=LOOKUP_LINGER, concurrency=2
        )
        _runs[crawler] = self

    @classmethod
    def of(cls, crawler: Crawler) -> Run:
        """Return the crawler's run. Raises `ValueError` when the run extension is not enabled."""
        try:
            return _runs[crawler]
        except KeyError:
            msg = "the run extension is not enabled: add ADDONS = {'pipelines.IndexAddon': 500} to the settings"
            raise ValueError(msg) from None

    @property
    def is_shutting_down(self) -> bool:
        """Whether the crawl is being ended from outside, by a signal or by its worker."""
        engine = self._crawler.engine
        return engine is not None and not engine.running

    @property
    def max_staleness(self) -> dt.timedelta:
        """How long a page may go without being downloaded."""
        return dt.timedelta(seconds=self.config.max_staleness)

    @property
    def due(self) -> Due:
        """Which known pages this run asks for (A15)."""
        shortest, longest = self.check_bounds
        if self.arguments.force_rescrape or not shortest:
            return Due(self.started_at, None, longest)
        return Due(self.started_at - shortest * SLACK, self.started_at, longest)

    @property
    def is_limited(self) -> bool:
        """Whether the run was not to see, or did not see, all of its source."""
        return self.arguments.max_pages is not None or self.has_left_out()

    @property
    def embeds_by_batch(self) -> bool:
        """Whether texts without a vector wait for the provider's batches; not those that are to be embedded again."""
        return self.config.embedding.by_batch and not self.arguments.reembed

    @property
    def schedule(self) -> Schedule:
        """When the pages that this run checks are due again."""
        return Schedule(self.started_at, *self.check_bounds, SLACK, partial(patience, max_staleness=self.max_staleness))

    def save(self, rung: str, savings: Savings, *, requests: int = 0) -> None:
        """Add to the ledger what a rung of the ladder saved (C7)."""
        counts = {
            "pages": savings.pages,
            "requests": requests,
            "bytes": savings.body_bytes,
            "chunks": savings.chunks,
            "tokens": savings.tokens,
        }
        for unit, count in counts.items():
            self.count(f"saved/{rung}/{unit}", count)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter, `lcl/<name>` in the crawl's stats and `<name>` in the run's record.

        Nothing is counted of what comes when the crawl is over and let go: an answer that was on its way.
        """
        if by and self._reference() is not None:
            self._stats.inc_value(f"lcl/{name}", by)

    def counters(self) -> dict[str, int]:
        """Return every counter of this run, without the prefix; `bytes/downloaded` are those on the wire.

        Those of the ledger are there also when nothing was counted, so that a query meets no gap.
        """
        counted = {name[4:]: value for name, value in self._stats.get_stats().items() if name.startswith("lcl/")}
        return {
            **dict.fromkeys(LEDGER, 0),
            **counted,
            "bytes/downloaded": self._stats.get_value("downloader/response_bytes", 0),
        }

    def counter(self, name: str) -> int:
        """Return one counter, 0 when nothing was counted."""
        return int(self._stats.get_value(f"lcl/{name}", 0))

    def known_present(self, *, by_sitemap: bool) -> int:
        """Return how many pages that were known before this run were found there in it.

        `by_sitemap`: those count, too, for which a believed sitemap spoke.
        """
        not_found = {"pages/new", "pages/skipped_recent", *(() if by_sitemap else ("pages/skipped_lastmod",))}
        return sum(self.counter(kind) for kind in PRESENT if kind not in not_found) - (
            self.counter("duplicates/new") + self.counter("pending/new")
        )

    @property
    def _crawler(self) -> Crawler:
        # Weak, because runs are found by crawler: each would keep the other for the life of a worker.
        crawler = self._reference()
        if crawler is None:
            msg = "the crawler of this run is gone"
            raise ReferenceError(msg)
        return crawler

    @property
    def _stats(self) -> StatsCollector:
        assert self._crawler.stats is not None  # noqa: S101 - set before any component is built
        return self._crawler.stats

    async def known(self, url: str) -> KnownPage | None:
        """Return what the index knows of a page of this source, None for a page it has not. Asked in batches."""
        if not self.known_pages:
            return None
        return await self._lookups.submit(url)

    async def is_known(self, url: str) -> bool:
        """Return whether a page of this source is in the index, also one that was written in this run."""
        return url in await self.runtime.use_connection(
            lambda connection: pages.known_urls(connection, self.source.id, [url])
        )

    async def stored_text(self, url: str) -> tuple[str | None, str] | None:
        """Return title and text of a page as the index has them, None for a page it has not."""
        found = await self.runtime.use_connection(lambda connection: pages.contents(connection, self.source.id, [url]))
        return found.get(url)

    async def _look_up(self, urls: Sequence[str]) -> list[KnownPage | None]:
        found = await self.runtime.use_connection(
            lambda connection: pages.known_by_url(connection, self.source.id, urls)
        )
        return [found.get(url) for url in urls]

    def stop(self, reason: str, message: str) -> None:
        """End the run early, once, with a reason for its record. What is committed stays."""
        if self.stop_reason is not None:
            return
        self.stop_reason, self.stop_message = reason, message
        logger.error("%s: stopping (%s): %s", self.source.slug, reason, message)
        engine = self._crawler.engine
        if engine is not None and engine.spider is not None:
            self._closing = asyncio.get_running_loop().create_task(engine.close_spider_async(reason=reason))


_runs: WeakKeyDictionary[Crawler, Run] = WeakKeyDictionary()
