"""Searches at the moment in which another model becomes the index's: C8, C10."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from db import models
from pipelines.query import search
from pipelines.reembedding.activate import activate
from tests.support.embeddings import EmbeddingServer, embedding_server, vector
from tests.support.reembedding import NEW, Moving, config, moving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from db.connection import Connection
    from db.models import Model
    from db.sources import Source
    from pipelines.reembedding.build import Build

TOPICS = ("harbour", "library", "market", "museum", "mill", "bakery")
QUERY = "xylophone"  # a word that no page has: what is found is found by the vectors alone


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    with embedding_server() as served:
        for name, given in served.env.items():
            monkeypatch.setenv(name, given)
        yield served


@pytest.fixture
async def index(
    connection: Connection, source: Source, provider: EmbeddingServer, database_url: str
) -> AsyncIterator[Moving]:
    async with moving(connection, source, provider, database_url, TOPICS) as made:
        yield made


@pytest.fixture
async def built(index: Moving) -> tuple[Model, Build]:
    """The other model, of the same length, which covers every page."""
    model, build = await index.begin(NEW)
    await build.run()
    return model, build


async def ranked(index: Moving, asked: str, model: Model) -> list[str]:
    """Return the pages' URLs, best first, for the query's vector of one model among the vectors of another."""
    wanted = vector(asked, QUERY)
    best = {
        url: max(float(wanted @ vector(model.name, text)) for text in texts)
        for url, texts in (await index.texts(model)).items()
    }
    return sorted(best, key=lambda url: -best[url])


async def urls(database_url: str) -> list[str]:
    return [result.url for result in await search(QUERY, config=config(database_url))]


async def switch(index: Moving, built: tuple[Model, Build]) -> None:
    assert await activate(index.connection, *built, min_chunks=10_000, pause=20) == 1
    assert await index.active() == "new"


async def test_a_search_that_began_before_the_switch_is_answered_by_the_new_model_alone(
    index: Moving, provider: EmbeddingServer, built: tuple[Model, Build], database_url: str
) -> None:
    new, _ = built
    assert await urls(database_url) == await ranked(index, "old", index.index.model)
    wanted = await ranked(index, "new", new)
    assert wanted not in (await ranked(index, "old", new), await ranked(index, "new", index.index.model))
    provider.wait_for = QUERY
    asking = asyncio.create_task(urls(database_url))
    assert await asyncio.to_thread(provider.waiting.wait, 30)

    await switch(index, built)
    provider.open()

    assert await asking == wanted


async def test_of_many_searches_around_the_switch_each_is_of_one_model(
    index: Moving, built: tuple[Model, Build], database_url: str
) -> None:
    before, after = await ranked(index, "old", index.index.model), await ranked(index, "new", built[0])
    found: list[list[str]] = []
    is_answering, is_switched = asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        is_last = False
        while not is_last:
            is_last = is_switched.is_set()
            found.append(await urls(database_url))
            is_answering.set()

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    await is_answering.wait()
    await switch(index, built)
    is_switched.set()
    await asyncio.gather(*asking)
    assert [each for each in found if each not in (before, after)] == []
    assert (found[0], found[-1]) == (before, after)


async def test_a_search_whose_model_is_freed_meanwhile_asks_the_new_one(
    index: Moving, provider: EmbeddingServer, built: tuple[Model, Build], database_url: str
) -> None:
    provider.wait_for = QUERY
    asking = asyncio.create_task(urls(database_url))
    assert await asyncio.to_thread(provider.waiting.wait, 30)
    await switch(index, built)
    await models.retire(index.connection, index.index.model)
    await index.connection.execute("DELETE FROM page_embeddings WHERE model_id = %s", (index.index.model.id,))
    provider.open()
    assert await asking == await ranked(index, "new", built[0])
