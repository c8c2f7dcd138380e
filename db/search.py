"""Hybrid search over the index: vectors and full text, fused in the database by `search_pages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvector import Vector
from psycopg.rows import class_row

if TYPE_CHECKING:
    from uuid import UUID

    from db.connection import Connection
    from db.pages import Embedding


@dataclass(frozen=True)
class Hit:
    """The best chunk of a page. `score` fuses its two ranks by reciprocal rank; a rank is None where it had none."""

    page_id: int
    source_id: UUID
    url: str
    title: str | None
    language: str | None
    heading: str | None
    content: str
    score: float
    vector_rank: int | None
    text_rank: int | None


async def search_pages(
    connection: Connection,
    query: str | None,
    embedding: Embedding | None,
    *,
    limit: int = 10,
    source_id: UUID | None = None,
) -> list[Hit]:
    """Return the best pages for a query, best first.

    `embedding`: `(dims,) float32`, the query embedded with the active model; None searches by text alone, and a
    `query` of None by the vector alone.
    """
    async with connection.cursor(row_factory=class_row(Hit)) as cursor:
        await cursor.execute(
            "SELECT * FROM search_pages(%s, %s, %s, %s)",
            (query, None if embedding is None else Vector(embedding), limit, source_id),
        )
        return await cursor.fetchall()
