"""Runs that have ended: what is known from them, and how long their records are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from db.jobs import EMPTY_RUNS, PRESENT, REASONS_OF_SITES
from db.sql import load

if TYPE_CHECKING:
    import datetime as dt

    from db.connection import Connection

_SQL = load("history")

YIELD_RUNS = 5
NEWEST = 5
"""So many of the newest records of a source are kept in any case, to be looked at."""

BATCH = 50  # sources

FIRST = UUID(int=0)


async def usual_yield(connection: Connection, source_id: UUID) -> float | None:
    """Return how many pages were present on average at the end of the last five successful runs (A21), None before any.

    Runs with a page limit say nothing of the whole; neither do re-embeddings, which count a page checked lately twice.
    A success with `allow_mass_delete` is a new beginning: what it accepted must not fail the runs after it.
    """
    cursor = await connection.execute(
        _SQL["usual_yield"], {"source_id": source_id, "present": list(PRESENT), "runs": YIELD_RUNS}
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def thin(connection: Connection, keep: dt.timedelta, after: UUID = FIRST) -> tuple[int, UUID | None]:
    """Delete the records older than `keep` that nothing asks for any more, of the next `BATCH` sources that have some.

    Returns how many, and the source after which the next batch begins, None after the last. The newest ones of each
    source stay, and those that its usual yield and its emptiness are told from, however old. Does nothing while another
    process thins.
    """
    async with connection.transaction():
        row = await (await connection.execute(_SQL["may_thin"])).fetchone()
        if not (row and row[0]):
            return 0, None
        cursor = await connection.execute(
            _SQL["thin"],
            {
                "keep": keep,
                "after": after,
                "batch": BATCH,
                "newest": NEWEST,
                "yield_runs": YIELD_RUNS,
                "empty_runs": EMPTY_RUNS,
                "reasons_of_sites": list(REASONS_OF_SITES),
            },
        )
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the query always answers
    gone, seen, last = row
    return gone, last if seen == BATCH else None
