"""What the signals of a source have earned: a site's ETag, Last-Modified and sitemap lastmod (C6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from db.sql import load

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from uuid import UUID

    from db.connection import Connection

_SQL = load("signals")


@dataclass(frozen=True, slots=True)
class Record:
    """A row of `source_signals`: runs without a lie since the last one, how often it lied, when and where last."""

    signal: str
    agreed_runs: int = 0
    revoked_at: dt.datetime | None = None
    lies: int = 0
    last_lie_url: str | None = None


async def of_source(connection: Connection, source_id: UUID) -> dict[str, Record]:
    """Return the records of a source's signals, by signal; one that never said anything has none."""
    async with connection.cursor(row_factory=class_row(Record)) as cursor:
        await cursor.execute(_SQL["of_source"], {"source_id": source_id})
        return {record.signal: record for record in await cursor.fetchall()}


async def add_agreed_runs(connection: Connection, source_id: UUID, signals: list[str]) -> None:
    """Note a run in which these signals were compared and none lied."""
    await _record(connection, source_id, dict.fromkeys(signals))


async def add_lies(connection: Connection, source_id: UUID, lies: Mapping[str, str]) -> None:
    """Note that signals said "unchanged" over changed content: `lies` maps each to the page. Trust begins anew."""
    await _record(connection, source_id, lies)


async def _record(connection: Connection, source_id: UUID, found: Mapping[str, str | None]) -> None:
    """Record what was found of signals: the URL of a lie, None for none."""
    values = {"source_id": source_id, "signals": list(found), "lie_urls": list(found.values())}
    await connection.execute(_SQL["record"], values)
