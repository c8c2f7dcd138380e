"""Pages for the index without a crawl: made from texts, written through `db.page_writes`."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from db import page_rows, page_writes, pages
from db.connection import Connection
from db.models import Model
from db.page_rows import ChunkRow, PageRow
from db.sources import Source
from tests.support.postgres import rows

if TYPE_CHECKING:
    from uuid import UUID

    from db.pages import Embedding

DIMENSIONS = 4


def digest(text: str) -> bytes:
    """Return the hash of a text."""
    return hashlib.sha256(text.encode()).digest()


def vector(text: str, dimensions: int = DIMENSIONS) -> Embedding:
    """Return a vector that is always the same for a text."""
    return np.random.default_rng(list(digest(text))).random(dimensions, dtype=np.float32) + np.float32(0.01)


def chunk(
    text: str, *, heading: str | None = None, embedding: Embedding | None = None, believed: bool = False
) -> ChunkRow:
    """Return a chunk with its vector, or without one when the page is believed to have it."""
    if not believed and embedding is None:
        embedding = vector(text)
    return ChunkRow(digest(text), heading, text, len(text), embedding)


def page(url: str, *texts: str, believed: Collection[str] = (), **fields: Any) -> PageRow:
    """Return a page whose chunks are these texts in this order; those in `believed` come without a vector."""
    content = "\n\n".join(texts)
    values: dict[str, Any] = {
        "url": url,
        "title": None,
        "language": None,
        "content": content,
        "content_hash": digest(content),
        "body_hash": None,
        "etag": None,
        "last_modified": None,
        "outlinks": [],
        "structured": None,
        "manifest": [digest(text) for text in texts],
        "chunks": [chunk(text, believed=text in believed) for text in dict.fromkeys(texts)],
    }
    return PageRow(**(values | fields))


@dataclass(frozen=True)
class Stored:
    """A row of `page_embeddings`."""

    id: int
    content: str
    heading: str | None
    language: str | None
    embedding: tuple[float, ...]


@dataclass(frozen=True)
class Index:
    """One source's part of the index."""

    connection: Connection
    source: Source
    model: Model
    fence: int

    @classmethod
    async def opened(cls, connection: Connection, source: Source, model: Model) -> Self:
        """Return the index of a source, with its domain's fence raised."""
        raised = await connection.execute(
            """
            INSERT INTO domain_fences AS f (domain, fence)
            VALUES (%s, 1)
            ON CONFLICT (domain) DO UPDATE SET fence = f.fence + 1
            RETURNING fence
            """,
            (source.domain,),
        )
        ((fence,),) = await raised.fetchall()
        return cls(connection, source, model, fence)

    def url(self, name: str = "") -> str:
        """Return the URL of a page of the source."""
        return self.source.start_url + name

    async def write(self, *written: PageRow) -> None:
        """Write pages in one transaction."""
        async with page_writes.write(self.connection, self.source.domain, self.fence):
            await page_writes.replace_pages(self.connection, self.source.id, self.model.id, written)

    async def seen(self, *seen: page_rows.SeenPage) -> None:
        """Mark pages as seen in one transaction."""
        async with page_writes.write(self.connection, self.source.domain, self.fence):
            await page_writes.mark_seen(self.connection, self.source.id, seen)

    async def fail(self, *failures: page_rows.Failure) -> None:
        """Record failures in one transaction."""
        async with page_writes.write(self.connection, self.source.domain, self.fence):
            await page_writes.record_failures(self.connection, self.source.id, failures)

    async def bury(self, job_id: UUID, *departures: page_rows.Departure) -> int:
        """Bury pages in one transaction, and return how many there were."""
        async with page_writes.write(self.connection, self.source.domain, self.fence):
            return await page_writes.bury(self.connection, self.source.id, job_id, departures)

    async def known(self, url: str) -> pages.KnownPage:
        """Return a page that must be in the index."""
        return (await pages.known_by_url(self.connection, self.source.id, [url]))[url]

    async def stored(self, url: str) -> dict[str, Stored]:
        """Return a page's embeddings by their text."""
        found = await rows(
            self.connection,
            """
            SELECT e.id, e.content, e.heading, e.language, e.embedding
            FROM page_embeddings AS e
            JOIN scraped_pages AS p ON p.id = e.page_id
            WHERE p.source_id = %s AND p.url = %s AND e.model_id = %s
            """,
            self.source.id,
            url,
            self.model.id,
        )
        return {row[1]: Stored(row[0], row[1], row[2], row[3], tuple(row[4].to_list())) for row in found}

    async def texts(self, url: str) -> set[str]:
        """Return the texts of a page's embeddings."""
        return set(await self.stored(url))
