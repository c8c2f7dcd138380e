"""Reading the index: pages, their chunks and vectors, failures that are due, and whether all of it is sound.

Rows come in batches, in psycopg's binary format. `db.page_writes` is the other half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from db.sql import load

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from uuid import UUID

    import numpy as np
    import numpy.typing as npt

    from db.connection import Connection

    Embedding = npt.NDArray[np.float32]

_SQL = load("pages")


@dataclass(frozen=True, slots=True)
class KnownPage:
    """What the index knows of a page, as far as a refresh needs it."""

    id: int
    url: str
    content_hash: bytes
    body_hash: bytes | None
    etag: str | None
    last_modified: str | None
    outlinks: tuple[str, ...]
    last_seen_at: dt.datetime


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page with its text, as it was last written."""

    known: KnownPage
    title: str | None
    language: str | None
    content: str
    structured: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the index is there (A22)."""

    pages: int
    empty_pages: int
    chunks: int
    failed: int


async def known_by_url(connection: Connection, source_id: UUID, urls: Sequence[str]) -> dict[str, KnownPage]:
    """Return the pages of a source that have one of these URLs, by URL."""
    cursor = await connection.execute(
        _SQL["known_by_url"], {"source_id": source_id, "urls": list(urls)}, prepare=True, binary=True
    )
    return {page.url: page for page in map(_known, await cursor.fetchall())}


async def due(
    connection: Connection, source_id: UUID, *, seen_before: dt.datetime, after: KnownPage | None, limit: int = 500
) -> list[KnownPage]:
    """Return the next pages last seen at or before a time, oldest check first.

    `after` is the last page of the batch before, as it was then; None for the first batch.
    """
    values = {
        "source_id": source_id,
        "seen_before": seen_before,
        "after_seen": after and after.last_seen_at,
        "after_url": after.url if after else "",
        "limit": limit,
    }
    cursor = await connection.execute(_SQL["due"], values, binary=True)
    return [_known(row) for row in await cursor.fetchall()]


async def stored(
    connection: Connection, source_id: UUID, *, seen_after: dt.datetime, after: str, limit: int
) -> list[StoredPage]:
    """Return the next pages last seen after a time with their text, in the order of their URLs, from `after` on."""
    values = {"source_id": source_id, "seen_after": seen_after, "after": after, "limit": limit}
    cursor = await connection.execute(_SQL["stored"], values, binary=True)
    return [StoredPage(_known(row[:8]), *row[8:]) for row in await cursor.fetchall()]


def _known(row: tuple[Any, ...]) -> KnownPage:
    page_id, url, content_hash, body_hash, etag, last_modified, outlinks, last_seen_at = row
    return KnownPage(page_id, url, content_hash, body_hash, etag, last_modified, tuple(outlinks), last_seen_at)


async def count_known(connection: Connection, source_id: UUID) -> int:
    """Return how many pages of a source are in the index."""
    return await _count(connection, _SQL["count_known"], source_id=source_id)


async def count_fresh(connection: Connection, source_id: UUID, seen_before: dt.datetime) -> int:
    """Return how many pages were last seen after a time."""
    return await _count(connection, _SQL["count_fresh"], source_id=source_id, seen_before=seen_before)


async def _count(connection: Connection, query: Any, **values: Any) -> int:
    row = await (await connection.execute(query, values)).fetchone()
    return int(row[0]) if row else 0


async def unknown_outlinks_of_fresh(
    connection: Connection, source_id: UUID, *, seen_before: dt.datetime, prefixes: Sequence[str], limit: int
) -> list[str]:
    """Return links below one of `prefixes` that lead from pages seen after a time to pages not in the index."""
    values = {"source_id": source_id, "seen_before": seen_before, "prefixes": list(prefixes), "limit": limit}
    cursor = await connection.execute(_SQL["unknown_outlinks_of_fresh"], values)
    return [row[0] for row in await cursor.fetchall()]


async def fresh_urls(
    connection: Connection, source_id: UUID, urls: Sequence[str], seen_before: dt.datetime
) -> set[str]:
    """Return which of these URLs are pages last seen after a time."""
    values = {"source_id": source_id, "urls": list(urls), "seen_before": seen_before}
    return {row[0] for row in await (await connection.execute(_SQL["fresh_urls"], values)).fetchall()}


async def own_chunks(
    connection: Connection, source_id: UUID, model_id: int, urls: Sequence[str]
) -> dict[str, dict[bytes, int | None]]:
    """Return, for each of these pages that has any, the token counts of the chunks embedded for it, by their hash."""
    values = {"source_id": source_id, "model_id": model_id, "urls": list(urls)}
    cursor = await connection.execute(_SQL["own_chunks"], values, prepare=True, binary=True)
    chunks: dict[str, dict[bytes, int | None]] = {}
    for url, chunk_hash, token_count in await cursor.fetchall():
        chunks.setdefault(url, {})[chunk_hash] = token_count
    return chunks


async def reusable_vectors(
    connection: Connection, model_id: int, hashes: Sequence[bytes]
) -> dict[bytes, tuple[Embedding, int | None]]:
    """Return vector and token count of chunks already embedded anywhere in the database with this model (C2)."""
    values = {"model_id": model_id, "chunk_hashes": list(hashes)}
    cursor = await connection.execute(_SQL["reusable_vectors"], values, prepare=True, binary=True)
    return {chunk_hash: (vector.to_numpy(), tokens) for chunk_hash, vector, tokens in await cursor.fetchall()}


async def due_failures(connection: Connection, source_id: UUID, limit: int = 500) -> list[str]:
    """Return the failed pages whose next retry has come, longest waiting first."""
    cursor = await connection.execute(_SQL["due_failures"], {"source_id": source_id, "limit": limit})
    return [row[0] for row in await cursor.fetchall()]


async def broken_pages(connection: Connection, limit: int = 100) -> list[tuple[int, UUID, str]]:
    """Return (id, source, URL) of pages whose embeddings are not exactly their chunks: the invariant's SQL.

    Empty in a sound index.
    """
    cursor = await connection.execute(_SQL["broken_pages"], {"limit": limit})
    return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]


async def coverage(connection: Connection) -> Coverage:
    """Return the counts of the whole index for the active model."""
    row = await (await connection.execute(_SQL["coverage"])).fetchone()
    return Coverage(*row) if row else Coverage(0, 0, 0, 0)
