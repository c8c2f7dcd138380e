"""What operators ask of the database: each source's state, failures, coverage, the health of the search indexes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row, dict_row

from db.jobs import EMPTY_RUNS, PRESENT, REASONS_OF_SITES
from db.sql import load

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection
    from uuid import UUID

    from db.connection import Connection

_SQL = load("overview")
_EMPTY = {"empty_runs": EMPTY_RUNS, "present": list(PRESENT), "reasons_of_sites": list(REASONS_OF_SITES)}

LEDGER_RUNS = 10_000
"""So many runs the ledger looks back on: reading 400,000 takes two seconds."""

STATES = ("enabled", "backoff", "auto_disabled", "disabled", "review", "rejected", "empty")
"""What sources can be listed by; an empty one is in another state besides."""


@dataclass(frozen=True)
class SourceState:
    """A source as `scrapy status` shows it. The `last_` fields are those of its newest run, None before the first.

    `state` is one of `STATES`, as its row says; `is_empty`: its last runs found nothing (A21).
    """

    id: UUID
    slug: str
    start_url: str
    domain: str
    spider: str
    enabled: bool
    auto_disabled: bool
    consecutive_failures: int
    backoff_until: dt.datetime | None
    last_run_at: dt.datetime | None
    last_success_at: dt.datetime | None
    pages: int
    failed_pages: int
    last_status: str | None
    last_reason: str | None
    last_duration: dt.timedelta | None
    state: str
    is_empty: bool


@dataclass(frozen=True)
class Counts:
    """How much of one source is stored. `chunks` counts those of the active model."""

    pages: int
    chunks: int
    failed_pages: int
    tombstones: int


@dataclass(frozen=True)
class CheckIntervals:
    """How often the pages of a source are checked; None while none has been."""

    pages: int
    least: dt.timedelta | None
    median: dt.timedelta | None
    most: dt.timedelta | None


@dataclass(frozen=True)
class FailedPage:
    """A row of `failed_pages`."""

    url: str
    kind: str
    http_status: int | None
    message: str | None
    attempts: int
    first_failed_at: dt.datetime
    last_failed_at: dt.datetime
    next_retry_at: dt.datetime


@dataclass(frozen=True)
class Ledger:
    """The counters of runs, summed. `runs` is how many there were, `LEDGER_RUNS` at most.

    They have ended, and have a record of what they did.
    """

    runs: int
    counters: dict[str, int]


async def sources(
    connection: Connection,
    *,
    source_id: UUID | None = None,
    kind: str | None = None,
    state: str | None = None,
    limit: int | None = None,
) -> list[SourceState]:
    """Return sources with their states in the order of the slugs: all of them, one, or those of a kind or state."""
    names = SourceState.__dataclass_fields__
    chosen = {"source_id": source_id, "kind": kind, "state": state, "limit": limit}
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["sources"], {**chosen, **_EMPTY})
        return [SourceState(**{name: row[name] for name in names}) for row in await cursor.fetchall()]


async def counts(connection: Connection, source_id: UUID) -> Counts:
    """Return how much of a source is stored."""
    async with connection.cursor(row_factory=class_row(Counts)) as cursor:
        await cursor.execute(_SQL["counts"], {"source_id": source_id})
        return await cursor.fetchone() or Counts(0, 0, 0, 0)


async def check_intervals(connection: Connection, source_id: UUID) -> CheckIntervals:
    """Return the intervals between the checks of a source's pages."""
    async with connection.cursor(row_factory=class_row(CheckIntervals)) as cursor:
        await cursor.execute(_SQL["check_intervals"], {"source_id": source_id})
        return await cursor.fetchone() or CheckIntervals(0, None, None, None)


async def failed_pages(connection: Connection, source_id: UUID, *, limit: int) -> list[FailedPage]:
    """Return the failed pages of a source, most attempts first."""
    async with connection.cursor(row_factory=class_row(FailedPage)) as cursor:
        await cursor.execute(_SQL["failed_pages"], {"source_id": source_id, "limit": limit})
        return await cursor.fetchall()


async def ledger(connection: Connection, source_id: UUID | None = None) -> Ledger:
    """Return what the newest recorded runs counted, of one source or of all.

    What is no number in their stats is left out.
    """
    async with connection.cursor(row_factory=class_row(Ledger)) as cursor:
        await cursor.execute(_SQL["ledger"], {"source_id": source_id, "runs": LEDGER_RUNS})
        return await cursor.fetchone() or Ledger(0, {})


async def slugs(connection: Connection, source_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the slugs of sources by id."""
    cursor = await connection.execute(_SQL["slugs"], {"source_ids": list(source_ids)})
    return dict(await cursor.fetchall())


async def count_uncovered(connection: Connection) -> int:
    """Return how many pages with text have no embedding for the active model (A22)."""
    row = await (await connection.execute(_SQL["uncovered"])).fetchone()
    return int(row[0]) if row else 0


async def overdue(connection: Connection) -> list[str]:
    """Return the enabled sources without a success in their interval (A22), with a tenth of it as slack for the run."""
    return [row[0] for row in await _rows(connection, "overdue")]


async def empty(connection: Connection) -> list[str]:
    """Return the enabled sources whose last runs found nothing, five in a row (A21)."""
    return [row[0] for row in await _rows(connection, "empty", **_EMPTY)]


async def pgvector_version(connection: Connection) -> str | None:
    """Return the version of the extension in this database, None when it is not there."""
    rows = await _rows(connection, "pgvector")
    return str(rows[0][0]) if rows else None


async def unusable_indexes(connection: Connection) -> list[str]:
    """Return the search indexes that a build left behind when it died; one being built is not among them."""
    return [row[0] for row in await _rows(connection, "unusable_indexes")]


async def rendered(connection: Connection) -> list[str]:
    """Return the slugs of enabled sources whose pages are rendered in a browser."""
    return [row[0] for row in await _rows(connection, "rendered")]


async def _rows(connection: Connection, name: str, **values: Any) -> list[tuple[Any, ...]]:
    return await (await connection.execute(_SQL[name], values)).fetchall()
