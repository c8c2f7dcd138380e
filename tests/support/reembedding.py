"""An index in one model of the fake server, and what it takes to move it to another."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db import models, page_writes
from db.connection import Address
from db.models import Model
from db.page_rows import ChunkRow
from pipelines import index_model, runtime
from pipelines.budget import TokenLimits
from pipelines.chunker import Chunker, distinct
from pipelines.config import Config
from pipelines.embedding_config import EmbeddingConfig
from pipelines.reembedding.build import Build
from tests.support.embeddings import DIMENSIONS, EmbeddingServer, vector
from tests.support.index import Index, page
from tests.support.postgres import rows, value
from tests.support.site import tale

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from db.connection import Connection
    from db.page_rows import PageRow
    from db.sources import Source
    from pipelines.runtime import Runtime

OLD = Model(0, "openai", "old", DIMENSIONS, "markdown-1000-v1")
NEW = Model(0, "openai", "new", DIMENSIONS, "markdown-1000-v1")
FINE = replace(NEW, chunker_version="markdown-300-v1")


def config(database_url: str, batch_size: int = 4, max_tokens_per_day: int | None = None) -> Config:
    """Return what a process needs; batches are small, so that there are some."""
    return Config(
        database=Address(url=database_url, folder=None),
        lock_database_url=None,
        embedding=EmbeddingConfig("local", None, None, batch_size=batch_size, timeout=20, concurrency=2, linger=0.01),
        limits=TokenLimits(per_day=max_tokens_per_day),
        chunk_size=1000,
        recrawl_after=0,
        max_failure_share=0.5,
        index_min_chunks=10_000,
        trust_after=3,
        trust_audit_every=10,
        max_staleness=0,
    )


def text_of(topic: str) -> str:
    """Return a page's text, of some chunks."""
    return "\n\n".join(tale(topic))


def row(index: Index, name: str, text: str, model: str = "old") -> PageRow:
    """Return a page as a crawl would write it, with its chunks in a model."""
    chunks = Chunker.of(OLD.chunker_version).cut(text, None)
    rows_of = [
        ChunkRow(chunk.hash, chunk.heading, chunk.text, len(chunk.text) // 4, vector(model, chunk.text))
        for chunk in distinct(chunks).values()
    ]
    made = page(index.url(name), text, content=text, manifest=[chunk.hash for chunk in chunks], chunks=rows_of)
    return replace(made, language="en")


@dataclass
class Moving:
    """An index whose pages are in the old model, a server that has every model, and a runtime."""

    index: Index
    server: EmbeddingServer
    shared: Runtime

    @property
    def connection(self) -> Connection:
        """The test's own connection."""
        return self.index.connection

    async def write(self, name: str, text: str, model: Model | None = None) -> None:
        """Write a page as a crawl that knows one model alone, the old one unless another is named."""
        model = model or self.index.model
        async with page_writes.write(self.connection, self.index.source.domain, self.index.fence):
            await page_writes.replace_pages(
                self.connection, self.index.source.id, model.id, [row(self.index, name, text, model.name)]
            )

    async def begin(self, model: Model = NEW) -> tuple[Model, Build]:
        """Make a model one that is being built, and return it with a build of it."""
        stored = await models.build(self.connection, model)
        return stored, Build(self.shared, stored, await index_model.embedder_of(self.shared, stored))

    async def texts(self, model: Model) -> dict[str, list[str]]:
        """Return the distinct texts of each page under a model, by URL."""
        query = """
            SELECT p.url, array_agg(e.content ORDER BY e.content)
            FROM page_embeddings AS e JOIN scraped_pages AS p ON p.id = e.page_id
            WHERE e.model_id = %s GROUP BY p.url
        """
        return dict(await rows(self.connection, query, model.id))

    async def expected(self, model: Model) -> dict[str, list[str]]:
        """Return what `texts` must be when a model covers every page."""
        chunker = Chunker.of(model.chunker_version)
        stored = await rows(self.connection, "SELECT url, title, content FROM scraped_pages WHERE duplicate_of IS NULL")
        return {
            url: sorted({chunk.text for chunk in chunker.cut(content, title)})
            for url, title, content in stored
            if content
        }

    async def spent(self, model: Model) -> tuple[int, int, int]:
        """Return the texts and tokens that were counted for a model, and the tokens still set aside."""
        query = "SELECT texts, tokens, reserved FROM embedding_usage WHERE model_id = %s"
        ((texts, tokens, reserved),) = await rows(self.connection, query, model.id)
        return texts, tokens, reserved

    async def active(self) -> str:
        """Return the name of the active model."""
        name: str = await value(self.connection, "SELECT name FROM embedding_models WHERE state = 'active'")
        return name


@asynccontextmanager
async def moving(
    connection: Connection, source: Source, server: EmbeddingServer, database_url: str, topics: tuple[str, ...]
) -> AsyncIterator[Moving]:
    """Make an index of pages about some topics, in the old model."""
    asked = {name: getattr(OLD, name) for name in ("provider", "name", "dimensions", "chunker_version")}
    index = await Index.opened(connection, source, await models.ensure_active(connection, **asked))
    shared = await runtime.lease(config(database_url))
    try:
        made = Moving(index, server, shared)
        for topic in topics:
            await made.write(topic, text_of(topic))
        yield made
    finally:
        await runtime.give_back(shared)
