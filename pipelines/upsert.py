"""Fifth pipeline: the only writer of the index (A1).

Whole pages land in short, fenced, verified transactions of many pages; when one of them cannot be written, the batch
is done page by page so that it cannot sink its neighbours. Pages that look gone are judged together at the end.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import psycopg
from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem

from db import page_writes, pages
from db.errors import DatabaseProblem, FenceLost, IncompleteWrite, one_line
from db.page_writes import ChunkRow, Departure, Failure, PageRow, SeenPage, Validators
from pipelines.batching import Batcher
from pipelines.chunker import distinct
from pipelines.outcome import Outcome
from pipelines.run import Run
from pipelines.unchanged import REEMBED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy.crawler import Crawler

    from db.connection import Connection

    Write = PageRow | SeenPage | Failure

logger = logging.getLogger(__name__)

MAX_PAGES = 64
MAX_BYTES = 4_000_000
LINGER = 0.1
GUARD_SHARE, GUARD_LEAST = 0.5, 10
ANSWERED = ("new", "changed", "unchanged")
MOVED = "redirect"  # a page that is there under another URL is no loss


@dataclass(frozen=True, slots=True)
class _Done:
    """How a write ended; `failure` is set when the page could not be written."""

    failure: Failure | None = None


class UpsertPipeline:
    """Commits items in micro-batches and counts what was committed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._departures: list[Departure] = []
        # One flush at a time: a run has one writer.
        self._batcher: Batcher[Write, _Done] = Batcher(
            self._commit, max_items=MAX_PAGES, max_weight=MAX_BYTES, linger=LINGER
        )

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Commit one page's outcome and return when it is durable; park it when it is gone."""
        page = ItemAdapter(item)
        outcome = Outcome(page["outcome"])
        if outcome is Outcome.GONE:
            self._departures.append(Departure(page["url"], page["reason"], page["http_status"]))
            return item
        write = _as_write(page, outcome)
        try:
            done = await self._batcher.submit(write, weight=_weight(write))
        except FenceLost as error:
            self._run.stop("lock_lost", str(error))
            raise DropItem(str(error), log_level="DEBUG") from error
        except DatabaseProblem as error:
            self._run.stop(error.reason, _unavailable(error))
            raise DropItem(str(error), log_level="DEBUG") from error
        if done.failure is not None:
            page["outcome"], page["reason"], page["message"] = Outcome.FAILED, done.failure.kind, done.failure.message
        self._count(page, Outcome(page["outcome"]))
        return item

    async def close_spider(self) -> None:
        """Write what waits, then judge the pages that look gone. Does nothing when the run never began."""
        await self._batcher.close()
        if not self._departures:
            return
        if not self._run.is_complete or self._run.stop_reason is not None:
            # A run that was cut short has not seen enough to tell a site that shrinks from one that is ill.
            self._run.count("pages/left_unjudged", len(self._departures))
            return
        try:
            await self._run.runtime.use_connection(self._bury)
        except FenceLost as error:
            self._run.stop("lock_lost", str(error))
        except DatabaseProblem as error:
            self._run.stop(error.reason, _unavailable(error))

    def _count(self, page: ItemAdapter, outcome: Outcome) -> None:
        if outcome is Outcome.PRESENT:
            kind = "new" if page["known"] is None else "reembedded" if page["reason"] == REEMBED else "changed"
            self._run.count(f"pages/{kind}")
            if not page["chunks"]:
                self._run.count("pages/empty")
        else:
            self._run.count(f"pages/{outcome}")
            if outcome is Outcome.FAILED or outcome is Outcome.UNKNOWN:
                logger.warning("%s: %s (%s): %s", page["url"], outcome, page["reason"], page["message"])

    async def _commit(self, batch: Sequence[Write]) -> list[_Done]:
        try:
            await self._write(batch)
        except (psycopg.DatabaseError, IncompleteWrite) as error:
            if len(batch) > 1:
                return [done for write in batch for done in await self._commit([write])]
            failure = Failure(batch[0].url, "write_failed", None, one_line(error))
            if not isinstance(batch[0], Failure):
                await self._write([failure])
            return [_Done(failure)]
        return [_Done() for _ in batch]

    async def _write(self, batch: Sequence[Write]) -> None:
        run = self._run

        async def transaction(connection: Connection) -> None:
            async with page_writes.write(connection, run.source.domain, run.fence):
                if present := [write for write in batch if isinstance(write, PageRow)]:
                    await page_writes.replace_pages(connection, run.source.id, run.model.id, present)
                if seen := [write for write in batch if isinstance(write, SeenPage)]:
                    await page_writes.mark_seen(connection, run.source.id, seen)
                if failed := [write for write in batch if isinstance(write, Failure)]:
                    await page_writes.record_failures(connection, run.source.id, failed)

        await run.runtime.use_connection(transaction)

    async def _bury(self, connection: Connection) -> None:
        """Judge the departures together (C4): a site that seems to lose most of its pages is rather ill than small."""
        run = self._run
        urls = [departure.url for departure in self._departures]
        indexed = await pages.known_by_url(connection, run.source.id, urls)
        total = await pages.count_known(connection, run.source.id)
        gone = [departure for departure in self._departures if departure.url in indexed]
        lost = sum(departure.reason != MOVED for departure in gone)
        answered = lost + sum(run.counter(f"pages/{kind}") for kind in ANSWERED)
        asked = min(total, answered)
        too_many = lost >= GUARD_LEAST and lost > asked * GUARD_SHARE
        if too_many and not run.arguments.allow_mass_delete:
            run.count("pages/kept_by_guard", lost)
            run.stop(
                "mass_delete_refused",
                f"{lost} of {asked} pages look gone, so none was deleted. If the site really dropped them, "
                f"run `scrapy crawl {run.source.slug} -a allow_mass_delete=true`.",
            )
            return
        async with page_writes.write(connection, run.source.domain, run.fence):
            buried = await page_writes.bury(connection, run.source.id, run.job_id, gone)
            await page_writes.clear_failures(connection, run.source.id, urls)
        run.count("pages/gone", buried)
        run.count("pages/absent", len(self._departures) - len(gone))


def _as_write(page: ItemAdapter, outcome: Outcome) -> Write:
    if outcome is Outcome.PRESENT:
        return PageRow(
            url=page["url"],
            title=page["title"],
            language=page["language"],
            content=page["content"],
            content_hash=page["content_hash"],
            body_hash=page["body_hash"],
            etag=page["etag"],
            last_modified=page["last_modified"],
            outlinks=page["outlinks"],
            structured=page["structured"],
            manifest=[chunk.hash for chunk in page["chunks"]],
            chunks=_chunk_rows(page),
            seen_at=page.get("seen_at"),
        )
    if outcome is Outcome.UNCHANGED:
        return _as_seen(page)
    return Failure(page["url"], page["reason"], page["http_status"], page["message"])


def _chunk_rows(page: ItemAdapter) -> list[ChunkRow]:
    rows = []
    for chunk in distinct(page["chunks"]).values():
        vector, tokens = page["vectors"].get(chunk.hash, (None, None))
        rows.append(ChunkRow(chunk.hash, chunk.heading, chunk.text, tokens, vector))
    return rows


def _as_seen(page: ItemAdapter) -> SeenPage:
    known = page["known"]
    now = Validators(page["body_hash"], page["etag"], page["last_modified"], tuple(page["outlinks"]))
    stored = Validators(known.body_hash, known.etag, known.last_modified, known.outlinks)
    return SeenPage(known.id, known.url, None if now == stored else now)


def _weight(write: Write) -> int:
    if isinstance(write, PageRow):
        vectors = sum(chunk.embedding.nbytes for chunk in write.chunks if chunk.embedding is not None)
        return 2 * len(write.content) + vectors
    return 200


def _unavailable(error: Exception) -> str:
    return f"{error}. What is committed stays; the next run goes on."
