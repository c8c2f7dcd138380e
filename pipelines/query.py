"""Search from Python: the query embedded by the configured provider, and put to the index.

    import asyncio
    from pipelines.query import search

    for result in asyncio.run(search("opening hours of the museum", limit=3)):
        print(result.score, result.url, result.content)

It reads the project's settings and environment, as `scrapy search` does. A service that searches often holds a lease
of the shared parts, so that the model stays loaded and the connections open:

    config = project_config()
    shared = await runtime.lease(config)
    ...
    await search("opening hours", config=config)
    ...
    await runtime.give_back(shared)

Whoever has a vector and a connection already calls `db.search.search_pages`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scrapy.addons import AddonManager
from scrapy.utils.conf import closest_scrapy_cfg
from scrapy.utils.project import get_project_settings

from db import models, overview, sources
from db.errors import ModelMismatch
from db.search import search_pages
from pipelines import runtime
from pipelines.config import Config
from pipelines.waiting import Query

if TYPE_CHECKING:
    from db.connection import Connection
    from db.models import Model
    from db.pages import Embedding
    from pipelines.embedder import Embedder


@dataclass(frozen=True)
class Result:
    """The best chunk of a page that answers a query. `source` is the slug of the page's source."""

    url: str
    title: str | None
    heading: str | None
    content: str
    score: float
    source: str
    language: str | None


def project_config() -> Config:
    """Return the configuration of the Scrapy project around the working directory. Raises `ValueError`."""
    if not closest_scrapy_cfg() and "SCRAPY_SETTINGS_MODULE" not in os.environ:
        msg = "no scrapy.cfg here or above: call this inside the project's folder, or pass a config"
        raise ValueError(msg)
    settings = get_project_settings()
    AddonManager.load_pre_crawler_settings(settings)
    return Config.from_settings(settings)


async def search(
    query: str,
    *,
    limit: int = 10,
    source: str | None = None,
    text_only: bool = False,
    config: Config | None = None,
) -> list[Result]:
    """Return the best pages for a query, best first, of the whole index or of one source by id, slug or domain.

    `text_only` asks the full text alone and needs no provider. An empty index has no results.

    Raises `DatabaseProblem` (a `ModelMismatch` when the index is made with another model than the configured one),
    `SourceNotFound`, `AmbiguousSource`, `ProviderError`, or `ValueError` for a query without a word.
    """
    if not query.strip():
        msg = "the query has no words"
        raise ValueError(msg)
    config = config or project_config()
    shared = await runtime.lease(config)
    try:
        async with shared.pool.connection() as connection:
            model = await models.active(connection)
        if model is None:
            return []
        # No connection is held while the provider answers.
        vector = None if text_only else await _embed(await shared.embedder(config.spec), model, query)
        async with shared.pool.connection() as connection:
            return await _ask(connection, query, vector, limit, source)
    finally:
        await runtime.give_back(shared)


async def _embed(embedder: Embedder, model: Model, query: str) -> Embedding:
    """Embed with the active model, or not at all: distances between two models' vectors mean nothing."""
    configured = f"{embedder.spec.provider}/{embedder.model}"
    if (embedder.spec.provider, embedder.model) == (model.provider, model.name):
        answer = await embedder.embed([query], Query(), is_urgent=True)
        size = answer.vectors.shape[-1]
        if size == model.dimensions:
            vector: Embedding = answer.vectors[0]
            return vector
        configured = f"{configured} ({size} dimensions)"
    msg = (
        f"the index is made with {model}, but {configured} is configured. Set LCL_EMBEDDING_PROVIDER, "
        "LCL_EMBEDDING_MODEL and LCL_EMBEDDING_DIMENSIONS back, or search by text alone."
    )
    raise ModelMismatch(msg)


async def _ask(
    connection: Connection, query: str, vector: Embedding | None, limit: int, source: str | None
) -> list[Result]:
    source_id = (await sources.get(connection, source)).id if source is not None else None
    hits = await search_pages(connection, query, vector, limit=limit, source_id=source_id)
    slugs = await overview.slugs(connection, {hit.source_id for hit in hits})
    return [
        Result(hit.url, hit.title, hit.heading, hit.content, hit.score, slugs[hit.source_id], hit.language)
        for hit in hits
    ]
