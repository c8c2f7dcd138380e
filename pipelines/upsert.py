"""Fifth pipeline: the only writer of the index (A1).

Whole pages land in micro-batches. Pages that look gone are judged together at the end.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem

from db import pages, pending
from db.errors import DatabaseProblem, FenceLost, ModelChanged
from db.page_rows import ChunkRow, Departure, DuplicatePage, Failure, PageRow, ParkedPage, SeenPage, Validators
from db.pages import Savings
from pipelines.batching import Batcher
from pipelines.burial import loss
from pipelines.chunker import distinct
from pipelines.outcome import Outcome
from pipelines.run import Run
from pipelines.trust import Signal
from pipelines.unchanged import REEMBED, RESTORED, STRIPPED
from pipelines.writer import Done, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy.crawler import Crawler

    from db.connection import Connection
    from db.pages import KnownPage, Standing
    from pipelines.writer import Write

logger = logging.getLogger(__name__)

MAX_PAGES = 64
MAX_BYTES = 4_000_000
LINGER = 0.1


class UpsertPipeline:
    """Commits items in micro-batches and counts what was committed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._writer = Writer(run)
        # One flush at a time: a run has one writer.
        self._batcher: Batcher[Write, Done] = Batcher(
            self._writer.write, max_items=MAX_PAGES, max_weight=MAX_BYTES, linger=LINGER
        )

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Commit one page's outcome and return when it is durable; park it when it is gone."""
        page = ItemAdapter(item)
        outcome = Outcome(page["outcome"])
        if outcome is Outcome.LISTED:
            await self._submit(_as_listed(page["listed"]))
            self._count_listed(page["listed"])
            return item
        if outcome is Outcome.GONE:
            departure = Departure(page["url"], page["reason"], page["http_status"], page.get("target"))
            self._run.departures[page["url"]] = departure
            if self._run.trust.unrecorded_lies():  # by a page that was called unchanged
                await self._submit(())
            return item
        if outcome is Outcome.UNCHANGED and page.get("seen_at") is not None:
            return item
        done = await self._submit(_as_write(page, outcome))
        if done.failure is not None:
            page["outcome"], page["reason"], page["message"] = Outcome.FAILED, done.failure.kind, done.failure.message
        elif done.twin_of is not None:
            page["outcome"] = Outcome.DUPLICATE
        self._count(page, Outcome(page["outcome"]))
        return item

    async def _submit(self, write: Write) -> Done:
        try:
            return await self._batcher.submit(write, weight=_weight(write))
        except FenceLost as error:
            self._run.stop("lock_lost", str(error))
            raise DropItem(str(error), log_level="DEBUG") from error
        except ModelChanged as error:
            self._run.stop("model_changed", str(error))
            raise DropItem(str(error), log_level="DEBUG") from error
        except DatabaseProblem as error:
            self._run.stop(error.reason, _unavailable(error))
            raise DropItem(str(error), log_level="DEBUG") from error

    async def close_spider(self) -> None:
        """Write what waits, then judge the pages that look gone. Does nothing when the run never began."""
        await self._batcher.close()
        run = self._run
        if not run.is_complete or run.stop_reason is not None:
            # A run that was cut short has not seen enough to tell a site that shrinks from one that is ill.
            run.count("pages/left_unjudged", len(run.departures))
            return
        try:
            if run.departures:
                await self._bury()
            await self._writer.record_agreement()
            await run.runtime.use_connection(self._count_left)
        except FenceLost as error:
            run.stop("lock_lost", str(error))
        except DatabaseProblem as error:
            run.stop(error.reason, _unavailable(error))

    def _count(self, page: ItemAdapter, outcome: Outcome) -> None:
        run = self._run
        known: KnownPage | None = page["known"]
        inherits = page.get("seen_at") is not None and page["reason"] != REEMBED
        if inherits and outcome in (Outcome.PRESENT, Outcome.DUPLICATE, Outcome.PENDING):
            run.count(f"pages/{page['reason'] if page['reason'] in (STRIPPED, RESTORED) else 'inherited'}")
        elif outcome is Outcome.PENDING:
            run.count("pages/pending")
            run.count("pending/new", known is None)
        elif outcome is Outcome.DUPLICATE:
            run.count("pages/duplicate")
            run.count("duplicates/new", known is None)
        elif outcome is Outcome.PRESENT:
            kind = "new" if known is None else "reembedded" if page["reason"] == REEMBED else "changed"
            run.count(f"pages/{kind}")
            if not page["chunks"]:
                run.count("pages/empty")
        elif outcome is Outcome.UNCHANGED and known is not None:
            rung, kind = "content", "unchanged"
            if page.get("signal") is not None:
                rung, kind = "not_modified", "not_modified"
            elif page["body_hash"] == known.body_hash:
                rung = "body"
            run.count("pages/duplicate" if known.duplicate_of is not None else f"pages/{kind}")
            run.save(rung, Savings.of([known], has_body=rung == "not_modified"))
        else:
            run.count(f"pages/{outcome}")
            if outcome is Outcome.FAILED or outcome is Outcome.UNKNOWN:
                logger.warning("%s: %s (%s): %s", page["url"], outcome, page["reason"], page["message"])

    def _count_listed(self, listed: Sequence[Standing]) -> None:
        self._run.count("pages/skipped_lastmod", len(listed))
        self._run.save("lastmod", Savings.of(listed), requests=len(listed))

    async def _bury(self) -> None:
        run = self._run
        indexed, places, coming = await run.runtime.use_connection(self._indexed)
        # Where a page moved to and waits for its vectors, it stays findable at its old place.
        urls = [url for url, departure in run.departures.items() if departure.target not in coming]
        run.count("pages/left_unjudged", len(run.departures) - len(urls))
        gone = [run.departures[url] for url in urls if url in indexed]
        present = run.known_present(by_sitemap=True)
        suspected = loss(gone, places, total=run.known_pages, present=present)
        if suspected.is_suspect and not run.arguments.allow_mass_delete:
            run.count("pages/kept_by_guard", suspected.lost)
            run.stop(
                "mass_delete_refused",
                f"{suspected.lost} of {suspected.of} pages look gone, so none was deleted. If the site really dropped "
                f"them, run `scrapy crawl {run.source.slug} -a allow_mass_delete=true`.",
            )
            return
        run.count("pages/gone", await self._writer.bury(gone, urls))
        run.count("pages/absent", len(urls) - len(gone))

    async def _count_left(self, connection: Connection) -> None:
        """Count due pages that this run did not come to, pages not seen for too long, and those without embeddings."""
        run = self._run
        unasked = await pages.count_unasked(
            connection, run.source.id, due=run.due, started_at=run.started_at, gone=list(run.departures)
        )
        longest = max(run.max_staleness, run.check_bounds[1])
        stale = await pages.count_stale(connection, run.source.id, seen_before=run.started_at - longest)
        run.count("pages/unasked", unasked)
        run.count("pages/stale", stale)
        run.count("pages/uncovered", await pages.count_uncovered(connection, run.source.id))

    async def _indexed(self, connection: Connection) -> tuple[set[str], dict[str, int], set[str | None]]:
        """Return which of the departures are indexed, and where they went.

        That is the ids of the pages that hold the text of their targets, and the targets that are only parked so far.
        """
        source_id, departures = self._run.source.id, self._run.departures
        indexed = await pages.known_urls(connection, source_id, list(departures))
        targets = [departure.target for departure in departures.values() if departure.target is not None]
        moved = await pages.known_by_url(connection, source_id, targets) if targets else {}
        parked = await pending.parked_urls(connection, source_id, [url for url in targets if url not in moved])
        return indexed, {url: page.duplicate_of or page.id for url, page in moved.items()}, set(parked)


def _as_listed(listed: Sequence[Standing]) -> tuple[SeenPage, ...]:
    return tuple(SeenPage(page.id, page.url, signal=Signal.SITEMAP_LASTMOD) for page in listed)


def _as_write(page: ItemAdapter, outcome: Outcome) -> Write:
    if outcome is Outcome.PRESENT:
        return _as_row(page)
    if outcome is Outcome.DUPLICATE:
        return DuplicatePage(_as_row(page), page["duplicate_of"])
    if outcome is Outcome.PENDING:
        known: KnownPage | None = page["known"]
        return ParkedPage(_as_row(page), known.content_hash if known else None, page["awaits"])
    if outcome is Outcome.UNCHANGED:
        return _as_seen(page)
    return Failure(page["url"], page["reason"], page["http_status"], page["message"], page.get("retry_after"))


def _as_row(page: ItemAdapter) -> PageRow:
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
        fetch=page.get("fetch"),
        is_changed=page["reason"] not in (REEMBED, STRIPPED, RESTORED),
        covers=page.get("covers", ()),
    )


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
    return SeenPage(known.id, known.url, None if now == stored else now, page.get("fetch"), page.get("signal"))


def _weight(write: Write) -> int:
    if isinstance(write, tuple):
        return MAX_BYTES  # a batch of its own
    if isinstance(write, (DuplicatePage, ParkedPage)):
        return 2 * len(write.row.content)
    if isinstance(write, PageRow):
        chunks = [*write.chunks, *(chunk for cover in write.covers for chunk in cover.chunks)]
        vectors = sum(chunk.embedding.nbytes for chunk in chunks if chunk.embedding is not None)
        return 2 * len(write.content) + vectors
    return 200


def _unavailable(error: Exception) -> str:
    return f"{error}. What is committed stays; the next run goes on."
