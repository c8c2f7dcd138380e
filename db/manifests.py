"""Pages under one model: their embeddings, and for the models beside the active one, which pages they cover.

A model covers a page when its row in `page_manifests` names the text that the page has, without a refusal. The active
model's manifests are the pages' own `chunk_hashes`; models change places in `db.activation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import IncompleteWrite
from db.sql import load
from db.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.page_rows import ChunkRow

_SQL = load("manifests")


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored page as it is embedded: its chunks in order by their hashes, and its distinct chunks."""

    page_id: int
    url: str
    language: str | None
    content_hash: bytes
    manifest: Sequence[bytes]
    chunks: Sequence[ChunkRow]


@dataclass(frozen=True, slots=True)
class PendingPage:
    """A page whose text a model has not been tried on; `was_tried`: it was on an earlier one.

    It comes with its text, or, where the model cuts pages as the active one does, with its `manifest` under that one,
    and its chunks by their `hashes` and `texts`. One of `content` and `manifest` is None.
    """

    id: int
    source_id: UUID
    url: str
    title: str | None
    language: str | None
    content: str | None
    content_hash: bytes
    was_tried: bool
    manifest: Sequence[bytes] | None = None
    hashes: Sequence[bytes] | None = None
    texts: Sequence[str] | None = None


async def replace_embeddings(connection: Connection, source_id: UUID, model_id: int, entries: Sequence[Entry]) -> None:
    """Make the embeddings of pages under a model equal to their chunks, inside a transaction.

    Raises `IncompleteWrite` when a page would not end up with exactly its chunks, or these are not the chunks of its
    manifest (A16); the transaction must then roll back.
    """
    chunks = [(position, chunk) for position, entry in enumerate(entries, 1) for chunk in entry.chunks]
    cursor = await connection.execute(
        _SQL["insert_embeddings"],
        {
            "model_id": model_id,
            "source_id": source_id,
            "page_ids": [entry.page_id for entry in entries],
            "languages": [entry.language for entry in entries],
            "positions": [position for position, _ in chunks],
            "chunk_hashes": [chunk.hash for _, chunk in chunks],
            "headings": [chunk.heading for _, chunk in chunks],
            "contents": [chunk.content for _, chunk in chunks],
            "token_counts": [chunk.token_count for _, chunk in chunks],
            "embeddings": Vectors([chunk.embedding for _, chunk in chunks]),
        },
        binary=True,
    )
    held = {page_id: kept + added for page_id, kept, added, _ in await cursor.fetchall()}
    for entry in entries:
        if held[entry.page_id] != len(entry.chunks):
            msg = f"{entry.url}: {held[entry.page_id]} embeddings for {len(entry.chunks)} chunks"
            raise IncompleteWrite(msg)
        if {chunk.hash for chunk in entry.chunks} != set(entry.manifest):
            msg = f"{entry.url}: its chunks are not those of its manifest"
            raise IncompleteWrite(msg)


async def cover(connection: Connection, source_id: UUID, model_id: int, entries: Sequence[Entry]) -> None:
    """Embed pages of a source under a model beside the active one, and note that it covers them, inside a transaction.

    Raises `IncompleteWrite` as `replace_embeddings`.
    """
    await replace_embeddings(connection, source_id, model_id, entries)
    await connection.execute(
        _SQL["record"],
        {
            "model_id": model_id,
            "page_ids": [entry.page_id for entry in entries],
            "content_hashes": [entry.content_hash for entry in entries],
            "chunk_hashes": [chunk_hash for entry in entries for chunk_hash in entry.manifest],
            "chunk_counts": [len(entry.manifest) for entry in entries],
        },
        binary=True,
    )


async def refuse(connection: Connection, model_id: int, refusals: Sequence[tuple[PendingPage, str]]) -> None:
    """Note, with the provider's words, that a model has no vector for a text of these pages; they stay as they were."""
    await connection.execute(
        _SQL["refuse"],
        {
            "model_id": model_id,
            "page_ids": [page.id for page, _ in refusals],
            "content_hashes": [page.content_hash for page, _ in refusals],
            "refusals": [message for _, message in refusals],
        },
    )


async def forget_refusals(connection: Connection, model_id: int) -> int:
    """Let what was refused be tried again, and return how many pages that are."""
    return (await connection.execute(_SQL["forget_refusals"], {"model_id": model_id})).rowcount


async def refused(connection: Connection, model_id: int, limit: int = 100) -> list[tuple[str, str]]:
    """Return URL and refusal of pages whose text, as it is now, the model's provider refuses."""
    return await (await connection.execute(_SQL["refused"], {"model_id": model_id, "limit": limit})).fetchall()


async def pending(
    connection: Connection, model_id: int, *, after: int = 0, limit: int = 200, max_bytes: int = 4_000_000
) -> list[PendingPage]:
    """Return the next pages by id, from `after` on, whose text the model has not been tried on, with texts or chunks.

    As many as fit in `max_bytes`, and one that does not when it is the first.
    """
    values = {"model_id": model_id, "after": after, "limit": limit, "max_bytes": max_bytes}
    cursor = await connection.execute(_SQL["pending"], values, binary=True)
    return [PendingPage(*row) for row in await cursor.fetchall()]


async def own_chunks(connection: Connection, model_id: int, page_ids: Sequence[int]) -> set[tuple[int, bytes]]:
    """Return page and hash of the chunks that are embedded for these pages under a model."""
    values = {"model_id": model_id, "page_ids": list(page_ids)}
    cursor = await connection.execute(_SQL["own_chunks"], values, binary=True)
    return {(page_id, chunk_hash) for page_id, chunk_hash in await cursor.fetchall()}


async def count_pending(connection: Connection, model_id: int) -> int:
    """Return how many pages have a text that the model has not been tried on."""
    row = await (await connection.execute(_SQL["count_pending"], {"model_id": model_id})).fetchone()
    return int(row[0]) if row else 0


async def hold_unchanged(connection: Connection, pages: Sequence[PendingPage]) -> set[int]:
    """Lock those pages that still have their text until the transaction ends, and return their ids.

    One that a run is just writing is left out rather than waited for.
    """
    values = {"page_ids": [page.id for page in pages], "content_hashes": [page.content_hash for page in pages]}
    cursor = await connection.execute(_SQL["hold_unchanged"], values, binary=True)
    return {row[0] for row in await cursor.fetchall()}
