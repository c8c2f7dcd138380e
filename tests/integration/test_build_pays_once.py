"""A build that its provider fails in the middle of a group of pages: what had been answered is not paid for again."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from db import models
from pipelines import index_model, runtime
from pipelines.providers import ProviderUnavailable
from pipelines.reembedding.build import Build
from tests.support.embeddings import EmbeddingServer, embedding_server
from tests.support.reembedding import NEW, config, moving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from db.connection import Connection
    from db.models import Model
    from db.sources import Source

NO_MONEY = 429, {"error": {"message": "no", "code": "insufficient_quota"}}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    with embedding_server() as served:
        for name, given in served.env.items():
            monkeypatch.setenv(name, given)
        yield served


@asynccontextmanager
async def building(database_url: str, model: Model, **embedding: int) -> AsyncIterator[Build]:
    """A build that makes one request at a time, in a process of its own."""
    common = config(database_url)
    one = replace(common, embedding=replace(common.embedding, concurrency=1, **embedding))
    shared = await runtime.lease(one)
    try:
        yield Build(shared, model, await index_model.embedder_of(shared, model))
    finally:
        await runtime.give_back(shared)


async def test_what_was_answered_before_a_provider_failed_a_build_is_not_sent_again(
    connection: Connection, source: Source, provider: EmbeddingServer, database_url: str, monkeypatch: Any
) -> None:
    answer = provider.answer

    def until_no_money(model: str, texts: list[str]) -> Any:
        return NO_MONEY if provider.sent("new") else answer(model, texts)

    async with moving(connection, source, provider, database_url, ("harbour", "library", "market", "museum")) as index:
        model = await models.build(connection, NEW)
        monkeypatch.setattr(provider, "answer", until_no_money)
        async with building(database_url, model) as build:
            with pytest.raises(ProviderUnavailable, match="no money"):
                await build.run()
        assert len(provider.sent("new")) == 4  # a request's, and not a group's
        assert build.progress.pages == 0
        monkeypatch.setattr(provider, "answer", answer)
        async with building(database_url, model, batch_size=5) as again:
            assert await again.run() == 0
        sent = provider.sent("new")
        assert len(sent) == len(set(sent)) > 4
        assert await index.texts(model) == await index.expected(model)
