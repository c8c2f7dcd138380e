"""Hybrid search over the index: vectors, full text and headings, fused in the database by `search_pages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgvector import Vector
from psycopg.rows import class_row

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.pages import Embedding


@dataclass(frozen=True)
class Hit:
    """The best chunk of a page. `score` fuses the page's ranks by reciprocal rank; a rank is None where it had none."""

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
    heading_rank: int | None


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a search is narrowed to; None leaves a matter open, and an empty sequence lets nothing through.

    Of a sequence any one may be true of a page, of the filters all must be. `path_prefix` is how the URL's path begins
    ("/docs/"; its first 256 characters count), `changed_since` when the page's text last changed, at the earliest.
    """

    source_ids: Sequence[UUID] | None = None
    languages: Sequence[str] | None = None
    path_prefix: str | None = None
    changed_since: dt.datetime | None = None


EVERYTHING = Filters()


async def search_pages(
    connection: Connection,
    query: str | None,
    embedding: Embedding | None,
    *,
    model_id: int | None = None,
    limit: int = 10,
    filters: Filters = EVERYTHING,
) -> list[Hit]:
    """Return the best pages for a query, best first.

    `embedding`: `(dims,) float32`, the query embedded with the model `model_id`, by default the one that is active when
    the database is asked; whoever embedded the query names the model, which another may have replaced meanwhile. None
    searches by text alone, and a `query` of None by the vector alone.
    """
    async with connection.cursor(row_factory=class_row(Hit)) as cursor:
        await cursor.execute(
            "SELECT * FROM search_pages(%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                query,
                None if embedding is None else Vector(embedding),
                limit,
                model_id,
                None if filters.source_ids is None else list(filters.source_ids),
                None if filters.languages is None else list(filters.languages),
                filters.path_prefix,
                filters.changed_since,
            ),
        )
        return await cursor.fetchall()
