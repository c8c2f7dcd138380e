"""Indexes for the search benchmark: pages written through the project's own functions, without a crawl."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from db import indexes, page_writes, schema, sources
from db.connection import connect
from db.models import Model
from db.page_rows import ChunkRow, PageRow
from pipelines.chunker import Chunk, Chunker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from db.connection import Connection
    from db.sources import Source

BATCH = 64

CHUNKER = Chunker(1000).version


@dataclass(frozen=True)
class Written:
    """A page as it is indexed, with its distinct chunks."""

    url: str
    title: str | None
    language: str | None
    chunks: Sequence[Chunk]


def new_database(server: str, name: str) -> str:
    """Make a migrated, empty database, and return its URL."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    schema.upgrade(url)
    return url


@asynccontextmanager
async def open_index(url: str) -> AsyncIterator[Index]:
    """Connect to an index."""
    async with connect(url) as connection:
        yield Index(connection)


class Index:
    """One database's pages and models."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._sources: dict[str, Source] = {}

    async def add_model(self, provider: str, name: str, dimensions: int, *, active: bool = True) -> Model:
        cursor = await self.connection.execute(
            "INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state) "
            "VALUES (%s, %s, %s, %s, %s) RETURNING id",
            (provider, name, dimensions, CHUNKER, "active" if active else "building"),
        )
        row = await cursor.fetchone()
        assert row is not None
        return Model(row[0], provider, name, dimensions, CHUNKER)

    async def source_of(self, url: str) -> Source:
        """Return the source that pages of this URL's site belong to, made when it is the first."""
        root = "/".join(url.split("/")[:3]) + "/"
        if root not in self._sources:
            source, _ = await sources.add(self.connection, root)
            await self.connection.execute("INSERT INTO domain_fences (domain, fence) VALUES (%s, 1)", (source.domain,))
            self._sources[root] = source
        return self._sources[root]

    async def write(self, model: Model, pages: Sequence[Written], vectors: npt.NDArray[np.float32]) -> None:
        """Write pages of one site; `vectors`: `(chunks, dims) float32`, of all pages' chunks in order."""
        source, start = await self.source_of(pages[0].url), 0
        for at in range(0, len(pages), BATCH):
            rows = []
            for page in pages[at : at + BATCH]:
                rows.append(_row(page, vectors[start : start + len(page.chunks)]))
                start += len(page.chunks)
            async with page_writes.write(self.connection, source.domain, 1):
                await page_writes.replace_pages(self.connection, source.id, model.id, rows)

    async def finish(self, *models: Model) -> None:
        """Build the search indexes, and let the planner know the tables."""
        for model in models:
            await indexes.ensure(self.connection, model, min_chunks=1)
        await self.connection.execute("VACUUM ANALYZE")


def _row(page: Written, vectors: npt.NDArray[np.float32]) -> PageRow:
    content = "\n\n".join(chunk.text for chunk in page.chunks)
    return PageRow(
        url=page.url,
        title=page.title,
        language=page.language,
        content=content,
        content_hash=hashlib.sha256(content.encode()).digest(),
        body_hash=None,
        etag=None,
        last_modified=None,
        outlinks=[],
        structured=None,
        manifest=[chunk.hash for chunk in page.chunks],
        chunks=[
            ChunkRow(chunk.hash, chunk.heading, chunk.text, None, vector)
            for chunk, vector in zip(page.chunks, vectors, strict=True)
        ],
    )
