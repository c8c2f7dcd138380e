"""Discovery's part of the database: which candidates are known, what pages link to, what a judgement is stored as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db import sources
from db.sql import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.connection import Connection
    from db.sources import Source

_SQL = load("discovery")


@dataclass(frozen=True)
class Known:
    """A source that exists. `is_waiting`: discovery added it, and it was neither enabled nor crawled since."""

    id: UUID
    slug: str
    start_url: str
    domain: str
    is_waiting: bool


@dataclass(frozen=True)
class Linked:
    """A domain that is no source yet: how many sites (domains of sources) link to it, and from how many pages."""

    domain: str
    start_url: str
    sites: int
    pages: int


async def known(connection: Connection, urls: Sequence[str], domains: Sequence[str]) -> list[Known]:
    """Return the sources with one of these start URLs (canonical) or domains, exactly, in the order of their slugs."""
    async with connection.cursor(row_factory=class_row(Known)) as cursor:
        await cursor.execute(_SQL["known"], {"urls": list(urls), "domains": list(domains)})
        return await cursor.fetchall()


async def most_linked(connection: Connection, *, noise: Sequence[str], limit: int) -> list[Linked]:
    """Return the foreign domains that indexed pages link to, those that most sites link to first.

    Left out are the domains of sources, and those in `noise` with all hosts below them. Reads every page's outlinks.
    """
    async with connection.cursor(row_factory=class_row(Linked)) as cursor:
        await cursor.execute(_SQL["most_linked"], {"noise": list(noise), "limit": limit})
        return await cursor.fetchall()


async def store(
    connection: Connection, url: str, *, kind: str, enabled: bool, score: float, discovery: dict[str, Any]
) -> tuple[Source, bool]:
    """Store a judged candidate with its evidence and return it with True; the known source with False, unchanged (B2).

    Raises `InvalidSource` as `sources.add` does.
    """
    async with connection.transaction():
        source, is_new = await sources.add(connection, url, spider=kind, enabled=enabled)
        if is_new:
            await _record(connection, source.id, score, discovery)
    return source, is_new


async def judge_again(
    connection: Connection, source_id: UUID, *, enabled: bool, score: float, discovery: dict[str, Any]
) -> None:
    """Give a source that waits for review its new judgement; the settings that it has stay."""
    await connection.execute(
        _SQL["judge_again"],
        {"source_id": source_id, "enabled": enabled, "score": score, "discovery": Jsonb(discovery)},
    )


async def _record(connection: Connection, source_id: UUID, score: float, discovery: dict[str, Any]) -> None:
    await connection.execute(_SQL["record"], {"source_id": source_id, "score": score, "discovery": Jsonb(discovery)})
