"""Writing the index: pages with their embeddings, failures and tombstones.

Rows go in as typed arrays in psycopg's binary format. Who writes does so inside `write`, which opens the transaction
and holds the run's fence.
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

    from db.connection import Connection
    from db.pages import Embedding

_SQL = load("page_writes")


@dataclass(frozen=True, slots=True)
class Validators:
    """What may differ on a page whose content did not change (A14)."""

    body_hash: bytes | None
    etag: str | None
    last_modified: str | None
    outlinks: Sequence[str]


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
    """A page as it is written: its fields, its manifest, and its distinct chunks.

    `seen_at` is the time of the check it rests on: None for one made now, the stored time for a page written again from
    what is stored.
    """

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
    seen_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class SeenPage:
    """A page seen again with the same content; `validators` is None where nothing else changed either."""

    id: int
    url: str
    validators: Validators | None = None


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
            "seen_ats": [page.seen_at for page in batch],
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
