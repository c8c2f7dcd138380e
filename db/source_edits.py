"""Changes to sources after they were added: their fields, their standing in review, their removal.

An UPDATE names only columns that change: `enabled` above all, because naming it clears a source's failures (B3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db import page_writes
from db.errors import DomainBusy, InvalidSource, SourceNotFound
from db.locks import DomainLock
from db.sources import COLUMNS, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from db.connection import Connection

EDITABLE = ("start_url", "spider", "config", "enabled", "priority", "refresh_interval")
_NEW = ("slug", "start_url", "domain", "spider", "config", "enabled", "priority", "refresh_interval")
_SYNC_LOCK = "lcl-sources-sync"
# Who enables or disables a source has seen it: it does not wait for review any more, and is not rejected.
_REVIEWED = sql.SQL("discovery - 'rejected_at' || jsonb_build_object('reviewed_at', now())")


async def one_sync_at_a_time(connection: Connection) -> None:
    """Wait, within the transaction, until no other process makes the table match a file."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (_SYNC_LOCK,))


async def locked(connection: Connection, source_id: UUID) -> Source:
    """Return a source that nobody else changes until the transaction ends. Raises `SourceNotFound`."""
    async with connection.cursor(row_factory=class_row(Source)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM scraper_sources WHERE id = %s FOR NO KEY UPDATE",  # noqa: S608 - a literal
            (source_id,),
        )
        found = await cursor.fetchone()
    if found is None:
        msg = "the source was removed meanwhile; nothing was changed"
        raise SourceNotFound(msg)
    return found


async def insert(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Store new sources, each with all of the columns in `_NEW`. Raises `InvalidSource` when one is known already."""
    statement = sql.SQL("INSERT INTO scraper_sources ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, _NEW)), sql.SQL(", ").join(sql.Placeholder() * len(_NEW))
    )
    values = [tuple(_adapted(name, row[name]) for name in _NEW) for row in rows]
    try:
        async with connection.cursor() as cursor:
            await cursor.executemany(statement, values)
    except psycopg.errors.UniqueViolation as error:
        raise _taken(error) from None


async def update(connection: Connection, source_id: UUID, columns: Mapping[str, Any]) -> None:
    """Change these columns of a source, of those in `EDITABLE`. Raises `InvalidSource` for another's start URL."""
    if strange := columns.keys() - set(EDITABLE):
        msg = f"not for editing: {', '.join(sorted(strange))}"
        raise ValueError(msg)
    if not columns:
        return
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
    if "enabled" in columns:
        assignments.append(sql.SQL("discovery = {}").format(_REVIEWED))
    statement = sql.SQL("UPDATE scraper_sources SET {} WHERE id = {}").format(
        sql.SQL(", ").join(assignments), sql.Placeholder("id")
    )
    values = {name: _adapted(name, value) for name, value in columns.items()}
    try:
        await connection.execute(statement, {**values, "id": source_id})
    except psycopg.errors.UniqueViolation as error:
        raise _taken(error) from None


async def waiting_for_review(connection: Connection, *, limit: int | None = None) -> list[Source]:
    """Return the sources that discovery found and nobody has judged, best score first."""
    async with connection.cursor(row_factory=class_row(Source)) as cursor:
        await cursor.execute(
            f"""
            SELECT {COLUMNS}
            FROM scraper_sources
            WHERE NOT enabled
              AND discovery IS NOT NULL
              AND NOT discovery ? 'reviewed_at'
            ORDER BY (discovery ->> 'score')::float8 DESC NULLS LAST, slug
            LIMIT %s
            """,  # noqa: S608 - a literal
            (limit,),
        )
        return await cursor.fetchall()


async def reject(connection: Connection, source_id: UUID) -> None:
    """Keep a source that waits for review out of it, disabled, so that discovery calls it known already."""
    await connection.execute(
        """
        UPDATE scraper_sources
        SET enabled = false,
            discovery = discovery || jsonb_build_object('reviewed_at', now(), 'rejected_at', now())
        WHERE id = %s
        """,
        (source_id,),
    )


async def remove(connection: Connection, source: Source, lock_url: str) -> None:
    """Remove a source with everything that is stored of it, in one transaction, while no run holds its domain.

    A search sees all of it until the commit, and nothing afterwards; what is cut short removes nothing. The domain's
    fence stays, raised, so that a run which lost its lock can write no more. Raises `DomainBusy`, `FenceLost`.
    """
    lock = DomainLock(lock_url, source.domain)
    try:
        if not await lock.acquire():
            msg = f"a run holds the domain {source.domain}: nothing was removed. Try again when it has ended."
            raise DomainBusy(msg)
        fence = await lock.raise_fence(uuid4())
        async with page_writes.write(connection, source.domain, fence):
            await connection.execute("DELETE FROM scraper_sources WHERE id = %s", (source.id,))
    finally:
        await lock.release()


def _adapted(name: str, value: Any) -> Any:
    return Jsonb(value) if name == "config" else value


def _taken(error: psycopg.errors.UniqueViolation) -> InvalidSource:
    return InvalidSource(f"another source has that slug or start URL: {error.diag.message_detail}. Nothing was changed")
