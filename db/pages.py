"""Pages, their embeddings, failures and tombstones: typed functions over a connection.

Rows go in and out in batches, as typed arrays in psycopg's binary format. Who writes does so inside `write`, which
opens the transaction and holds the run's fence.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgvector import Vector
from psycopg.types.json import Jsonb

from db.errors import FenceLost, IncompleteWrite
from db.sql import load

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Iterable, Sequence
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
class ChunkRow:
    """A chunk as it is written. `embedding` is None when the page has this chunk already."""

    hash: bytes
    heading: str | None
    content: str
    token_count: int | None
    embedding: Embedding | None


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page as it is written: its fields, its manifest, and its distinct chunks."""

    url: str
    title: str | None
    language: str | None
    content: str
    content_hash: bytes
    body_hash: bytes | None
    etag: str | None
    last_modified: str | None
    outlinks: Sequence[str]
    structured: dict[str, Any] | None
    manifest: Sequence[bytes]
    chunks: Sequence[ChunkRow]


@dataclass(frozen=True, slots=True)
class SeenPage:
    """A page seen again with the same content; `validators` is None where nothing else changed either."""

    id: int
    url: str
    validators: Validators | None = None


@dataclass(frozen=True, slots=True)
class Validators:
    """What may differ on a page whose content did not change (A14)."""

    body_hash: bytes | None
    etag: str | None
    last_modified: str | None
    outlinks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Failure:
    """A page that could not be brought up to date, and why."""

    url: str
    kind: str
    http_status: int | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Departure:
    """A page with clear evidence that it is gone."""

    url: str
    reason: str
    http_status: int | None


@asynccontextmanager
async def write(connection: Connection, domain: str, fence: int) -> AsyncIterator[None]:
    """Open a transaction that holds the run's fence; whatever is written inside lands whole or not at all.

    Raises `FenceLost` when another run has taken the domain.
    """
    async with connection.transaction():
        row = await (await connection.execute(_SQL["lock_fence"], {"domain": domain, "fence": fence})).fetchone()
        if row is None:
            msg = f"another run has taken the domain {domain} (fence {fence} is old): nothing more is written"
            raise FenceLost(msg)
        yield


async def replace_pages(connection: Connection, source_id: UUID, model_id: int, pages: Iterable[PageRow]) -> None:
    """Write pages and make their embeddings equal to their chunks, inside a `write` transaction.

    URLs must be unique within the batch. Raises `IncompleteWrite` when a page would not end up with exactly its
    chunks, or these are not the chunks of its manifest (A16); the transaction must then roll back.
    """
    batch = sorted(pages, key=lambda page: page.url)
    if not batch:
        return
    ids = await _upsert_pages(connection, source_id, batch)
    chunks = [(position, chunk) for position, page in enumerate(batch, 1) for chunk in page.chunks]
    cursor = await connection.execute(
        _SQL["insert_embeddings"],
        {
            "model_id": model_id,
            "source_id": source_id,
            "page_ids": [ids[page.url] for page in batch],
            "languages": [page.language for page in batch],
            "positions": [position for position, _ in chunks],
            "chunk_hashes": [chunk.hash for _, chunk in chunks],
            "headings": [chunk.heading for _, chunk in chunks],
            "contents": [chunk.content for _, chunk in chunks],
            "token_counts": [chunk.token_count for _, chunk in chunks],
            "embeddings": [None if chunk.embedding is None else Vector(chunk.embedding) for _, chunk in chunks],
        },
        binary=True,
    )
    held = {page_id: kept + added for page_id, kept, added, _ in await cursor.fetchall()}
    for page in batch:
        if held[ids[page.url]] != len(page.chunks):
            msg = f"{page.url}: {held[ids[page.url]]} embeddings for {len(page.chunks)} chunks"
            raise IncompleteWrite(msg)
        if {chunk.hash for chunk in page.chunks} != set(page.manifest):
            msg = f"{page.url}: its chunks are not those of its manifest"
            raise IncompleteWrite(msg)
    urls = [page.url for page in batch]
    await clear_failures(connection, source_id, urls)
    await connection.execute(_SQL["clear_tombstones"], {"source_id": source_id, "urls": urls})


async def _upsert_pages(connection: Connection, source_id: UUID, batch: Sequence[PageRow]) -> dict[str, int]:
    cursor = await connection.execute(
        _SQL["upsert_pages"],
        {
            "source_id": source_id,
            "urls": [page.url for page in batch],
            "titles": [page.title for page in batch],
            "languages": [page.language for page in batch],
            "contents": [page.content for page in batch],
            "content_hashes": [page.content_hash for page in batch],
            "body_hashes": [page.body_hash for page in batch],
            "etags": [page.etag for page in batch],
            "last_modifieds": [page.last_modified for page in batch],
            "outlinks": [link for page in batch for link in page.outlinks],
            "outlink_counts": [len(page.outlinks) for page in batch],
            "chunk_hashes": [chunk_hash for page in batch for chunk_hash in page.manifest],
            "chunk_counts": [len(page.manifest) for page in batch],
            "structured": [None if page.structured is None else Jsonb(page.structured) for page in batch],
        },
        binary=True,
    )
    return {url: page_id for page_id, url, _ in await cursor.fetchall()}


async def mark_seen(connection: Connection, source_id: UUID, pages: Sequence[SeenPage]) -> None:
    """Write the last-seen time of unchanged pages, and validators where they differ, inside a `write` transaction."""
    if same := sorted(page.id for page in pages if page.validators is None):
        await connection.execute(_SQL["touch"], {"page_ids": same})
    if other := sorted((page.id, page.validators) for page in pages if page.validators is not None):
        await connection.execute(
            _SQL["refresh_validators"],
            {
                "page_ids": [page_id for page_id, _ in other],
                "body_hashes": [v.body_hash for _, v in other],
                "etags": [v.etag for _, v in other],
                "last_modifieds": [v.last_modified for _, v in other],
                "outlinks": [link for _, v in other for link in v.outlinks],
                "outlink_counts": [len(v.outlinks) for _, v in other],
            },
        )
    await clear_failures(connection, source_id, [page.url for page in pages])


async def bury(connection: Connection, source_id: UUID, job_id: UUID, pages: Sequence[Departure]) -> int:
    """Delete pages with their embeddings, leave tombstones, and return how many there were, inside `write`."""
    cursor = await connection.execute(
        _SQL["bury"],
        {
            "source_id": source_id,
            "job_id": job_id,
            "urls": [page.url for page in pages],
            "reasons": [page.reason for page in pages],
            "http_statuses": [page.http_status for page in pages],
        },
    )
    return cursor.rowcount


async def known_by_url(connection: Connection, source_id: UUID, urls: Sequence[str]) -> dict[str, KnownPage]:
    """Return the pages of a source that have one of these URLs, by URL."""
    cursor = await connection.execute(
        _SQL["known_by_url"], {"source_id": source_id, "urls": list(urls)}, prepare=True, binary=True
    )
    return {page.url: page for page in map(_known, await cursor.fetchall())}


async def due(
    connection: Connection, source_id: UUID, *, seen_before: dt.datetime, after: str, limit: int = 500
) -> list[KnownPage]:
    """Return the next pages last seen at or before a time, in the order of their URLs, from `after` on."""
    cursor = await connection.execute(
        _SQL["due"], {"source_id": source_id, "seen_before": seen_before, "after": after, "limit": limit}, binary=True
    )
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
) -> dict[str, set[bytes]]:
    """Return, for each of these pages that has any, the hashes of the chunks embedded for it."""
    values = {"source_id": source_id, "model_id": model_id, "urls": list(urls)}
    cursor = await connection.execute(_SQL["own_chunks"], values, prepare=True, binary=True)
    chunks: dict[str, set[bytes]] = {}
    for url, chunk_hash in await cursor.fetchall():
        chunks.setdefault(url, set()).add(chunk_hash)
    return chunks


async def reusable_vectors(
    connection: Connection, model_id: int, hashes: Sequence[bytes]
) -> dict[bytes, tuple[Embedding, int | None]]:
    """Return vector and token count of chunks already embedded anywhere in the database with this model (C2)."""
    values = {"model_id": model_id, "chunk_hashes": list(hashes)}
    cursor = await connection.execute(_SQL["reusable_vectors"], values, prepare=True, binary=True)
    return {chunk_hash: (vector.to_numpy(), tokens) for chunk_hash, vector, tokens in await cursor.fetchall()}


async def record_failures(connection: Connection, source_id: UUID, failures: Sequence[Failure]) -> None:
    """Store failed pages; a page that failed before gains an attempt and waits longer."""
    latest = {failure.url: failure for failure in failures}
    await connection.execute(
        _SQL["record_failures"],
        {
            "source_id": source_id,
            "urls": list(latest),
            "kinds": [failure.kind for failure in latest.values()],
            "http_statuses": [failure.http_status for failure in latest.values()],
            "messages": [failure.message for failure in latest.values()],
        },
    )


async def clear_failures(connection: Connection, source_id: UUID, urls: Sequence[str]) -> None:
    """Forget the failures of pages that were read again."""
    await connection.execute(_SQL["clear_failures"], {"source_id": source_id, "urls": list(urls)})


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


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the index is there (A22)."""

    pages: int
    empty_pages: int
    chunks: int
    failed: int


async def coverage(connection: Connection) -> Coverage:
    """Return the counts of the whole index for the active model."""
    row = await (await connection.execute(_SQL["coverage"])).fetchone()
    return Coverage(*row) if row else Coverage(0, 0, 0, 0)
