"""Pages that are no part of the index yet because texts of theirs wait for a provider's batch, and those texts.

A page is parked inside the run's fenced transaction (`db.page_writes.write`). Any newer word about it forgets it there.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.sql import load
from db.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.pages import Embedding

_SQL = load("pending")

KEPT = dt.timedelta(days=30)
"""How long a vector that no page waits for any more is kept, since it was paid for."""


@dataclass(frozen=True)
class PendingPage:
    """A page to park. `known_hash` is the content hash that the index has for it, None for a page that is new.

    `awaits` are the texts without a vector, by chunk hash; `page` is what it will be written from, as JSON.
    """

    url: str
    content_hash: bytes
    known_hash: bytes | None
    awaits: Mapping[bytes, str]
    page: dict[str, Any]


@dataclass(frozen=True)
class ReadyPage:
    """A parked page for which no text is awaited any more. `refusal` is why one of them has no vector, None if all do.

    `current_hash` is the content hash that the index has for it now, None for a page that it has not.
    """

    id: int
    url: str
    model_id: int
    content_hash: bytes
    known_hash: bytes | None
    current_hash: bytes | None
    page: dict[str, Any]
    kind: str | None
    refusal: str | None

    @property
    def is_outdated(self) -> bool:
        """Whether the page changed, came or went since it was parked."""
        return self.known_hash != self.current_hash


@dataclass(frozen=True)
class Standing:
    """What waits: pages, those of them that need no more texts, and texts by how far they have come."""

    pages: int
    ready_pages: int
    free_texts: int
    asked_texts: int
    embedded_texts: int
    refused_texts: int


@dataclass(frozen=True)
class Texts:
    """How many texts of one model wait for their vectors: `free` ones for a batch, `asked` ones in one."""

    free: int
    asked: int


async def park(connection: Connection, source_id: UUID, model_id: int, pages: Sequence[PendingPage]) -> None:
    """Park pages, each in the place of what was parked of it before, inside a `write` transaction."""
    texts = {digest: text for page in pages for digest, text in page.awaits.items()}
    await add_texts(connection, model_id, texts, for_pages=True)
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _SQL["park_page"],
            [
                {
                    "source_id": source_id,
                    "url": page.url,
                    "model_id": model_id,
                    "content_hash": page.content_hash,
                    "known_hash": page.known_hash,
                    "awaits": sorted(page.awaits),
                    "page": Jsonb(page.page),
                }
                for page in sorted(pages, key=lambda page: page.url)
            ],
        )


async def add_texts(
    connection: Connection, model_id: int, texts: Mapping[bytes, str], *, for_pages: bool = False
) -> None:
    """Add texts, by chunk hash, to what the next batches embed; those that wait there already are left alone.

    Their vectors are found by `db.pages.reusable_vectors` as soon as they are there. `for_pages`: nobody but parked
    pages wants them.
    """
    values = {
        "model_id": model_id,
        "chunk_hashes": list(texts),
        "texts": list(texts.values()),
        "for_pages": for_pages,
    }
    await connection.execute(_SQL["add_texts"], values)


async def record(connection: Connection, model_id: int, texts: Mapping[bytes, str]) -> int:
    """Leave those of some texts, by chunk hash, to the next batches that have no vector; return how many are news."""
    values = {"model_id": model_id, "chunk_hashes": list(texts), "texts": list(texts.values())}
    return (await connection.execute(_SQL["record"], values)).rowcount


async def asked(connection: Connection, model_id: int, hashes: Collection[bytes]) -> set[bytes]:
    """Return which of some texts a batch is embedding at this moment."""
    cursor = await connection.execute(_SQL["asked"], {"model_id": model_id, "chunk_hashes": list(hashes)})
    return {row[0] for row in await cursor.fetchall()}


async def count_texts(connection: Connection, model_id: int) -> Texts:
    """Return how many texts of a model wait for their vectors."""
    async with connection.cursor(row_factory=class_row(Texts)) as cursor:
        await cursor.execute(_SQL["count_texts"], {"model_id": model_id})
        return await cursor.fetchone() or Texts(0, 0)


async def withdraw(connection: Connection, model_id: int) -> int:
    """Let no batch embed the texts of a model any more; return how many one has already, and then let all be."""
    async with connection.transaction():
        # In this order: who has chosen some of them for a batch meanwhile is waited for, and then counted.
        await connection.execute(_SQL["withdraw"], {"model_id": model_id})
        found = await count_texts(connection, model_id)
        if found.asked:
            raise psycopg.Rollback
    return found.asked


async def keep(
    connection: Connection, model_id: int, vectors: Mapping[bytes, tuple[str, tuple[Embedding, int | None]]]
) -> None:
    """Keep vectors, each with its text and tokens, that were paid for before their page could be written."""
    values = {
        "model_id": model_id,
        "chunk_hashes": list(vectors),
        "texts": [text for text, _ in vectors.values()],
        "embeddings": Vectors([vector for _, (vector, _) in vectors.values()]),
        "token_counts": [tokens for _, (_, tokens) in vectors.values()],
    }
    await connection.execute(_SQL["keep"], values)


async def await_texts(connection: Connection, page: ReadyPage, texts: Mapping[bytes, str]) -> None:
    """Let a parked page wait for texts that turned out to have no vector any more."""
    await add_texts(connection, page.model_id, texts, for_pages=True)
    await connection.execute(_SQL["await_texts"], {"id": page.id, "awaits": sorted(texts)})


async def forget(connection: Connection, source_id: UUID, urls: Sequence[str]) -> None:
    """Forget what was parked of pages, inside a `write` transaction: something newer is known of them."""
    await connection.execute(_SQL["forget"], {"source_id": source_id, "urls": list(urls)})


async def parked_urls(connection: Connection, source_id: UUID, urls: Sequence[str]) -> list[str]:
    """Return which of these URLs are of parked pages."""
    if not urls:
        return []
    cursor = await connection.execute(_SQL["parked_urls"], {"source_id": source_id, "urls": list(urls)})
    return [row[0] for row in await cursor.fetchall()]


async def ready_sources(connection: Connection) -> list[UUID]:
    """Return the sources with parked pages that need no more texts, the one that has waited longest first."""
    return [row[0] for row in await (await connection.execute(_SQL["ready_sources"])).fetchall()]


async def ready_pages(connection: Connection, source_id: UUID, *, after: int, limit: int) -> list[ReadyPage]:
    """Return the next parked pages of a source that need no more texts, in the order of their ids."""
    async with connection.cursor(row_factory=class_row(ReadyPage)) as cursor:
        await cursor.execute(_SQL["ready_pages"], {"source_id": source_id, "after": after, "limit": limit})
        return await cursor.fetchall()


async def tidy(connection: Connection) -> int:
    """Drop texts that nobody waits for, unless a batch is embedding them, and return how many.

    One with a vector stays until it is in the index, or for `KEPT`: pages that come later may need it; longer where a
    model is being built from it. Pages that were parked under a model that is retired by now are left to the next
    crawl.
    """
    await connection.execute(_SQL["forget_retired"])
    embedded = (await connection.execute(_SQL["drop_embedded_texts"])).rowcount
    return embedded + (await connection.execute(_SQL["drop_settled_texts"], {"kept": KEPT})).rowcount


async def standing(connection: Connection) -> Standing:
    """Return what waits, over all sources and models."""
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        await cursor.execute(_SQL["standing"])
        return await cursor.fetchone() or Standing(0, 0, 0, 0, 0, 0)
