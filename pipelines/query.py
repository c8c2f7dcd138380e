"""Search from Python: the query embedded with the index's own model, and put to the index.

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

from db import models, overview
from db.search import Filters, search_pages
from db.sources import get as get_source
from pipelines import index_model, runtime
from pipelines.config import Config
from pipelines.waiting import Query

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection

    from db.connection import Connection
    from db.models import Model
    from db.pages import Embedding
    from pipelines.runtime import Runtime


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
    sources: Collection[str] = (),
    languages: Collection[str] = (),
    path: str | None = None,
    since: dt.datetime | None = None,
    text_only: bool = False,
    config: Config | None = None,
) -> list[Result]:
    """Return the best pages for a query, best first, of the whole index or of a part of it.

    `sources`: ids, slugs or domains; `languages`: primary subtags ("nl"); of either, any one may be a page's. `path`:
    how the path of its URL begins ("/docs/"). `since`: when its text changed, at the earliest.

    `text_only` asks the full text alone and needs no provider. An empty index has no results.

    Raises `DatabaseProblem` (a `ModelMismatch` when what answers is not the model that the index is made with),
    `SourceNotFound`, `AmbiguousSource`, `ProviderError`, or `ValueError` for a query without a word.
    """
    if not query.strip():
        msg = "the query has no words"
        raise ValueError(msg)
    config = config or project_config()
    shared = await runtime.lease(config)
    try:
        while True:
            async with shared.pool.connection() as connection:
                model = await models.active(connection)
            if model is None:
                return []
            # No connection is held while the provider answers.
            vector = None if text_only else await _embed(shared, model, query)
            async with shared.pool.connection() as connection:
                filters = Filters(
                    source_ids=[(await get_source(connection, name)).id for name in sources] or None,
                    languages=list(languages) or None,
                    path_prefix=path,
                    changed_since=since,
                )
                results = await _ask(connection, model, query, vector, limit, filters)
                # Otherwise another one has become active meanwhile, and the rows of this one may be on their way out.
                if (await models.get(connection, model.id)).state == "active":
                    return results
    finally:
        await runtime.give_back(shared)


async def _embed(shared: Runtime, model: Model, query: str) -> Embedding:
    """Embed with the active model, or not at all: distances between two models' vectors mean nothing."""
    embedder = await shared.embedder(index_model.spec_of(model, shared.config.spec))
    prefix = index_model.chunker_of(model).prefixes.query
    answer = await embedder.embed([prefix + query], Query(), is_urgent=True)
    index_model.held_to(model, answer.vectors.shape[-1])
    vector: Embedding = answer.vectors[0]
    return vector


async def _ask(
    connection: Connection, model: Model, query: str, vector: Embedding | None, limit: int, filters: Filters
) -> list[Result]:
    hits = await search_pages(connection, query, vector, model_id=model.id, limit=limit, filters=filters)
    slugs = await overview.slugs(connection, {hit.source_id for hit in hits})
    return [
        Result(hit.url, hit.title, hit.heading, hit.content, hit.score, slugs[hit.source_id], hit.language)
        for hit in hits
    ]
