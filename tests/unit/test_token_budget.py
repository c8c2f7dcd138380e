"""An embedder and a source of vectors that meet a limit on tokens: what fits is embedded, and not paid for twice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from db.errors import DatabaseUnavailable
from pipelines.budget import Allowance, Bill, Purse, TokenLimitReached
from pipelines.embedder import Answer, Embedder
from pipelines.embedding_config import EmbeddingConfig
from pipelines.providers import Embedded, ProviderSpec
from pipelines.vectors import VectorSource
from pipelines.waiting import Query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

WORDS = ["aaaa", "bbbb", "cccc", "dddd", "eeee"]
MOST_TRIES = 3


class Provider:
    name, model = "double", "double"
    max_texts = max_concurrency = None

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def embed(self, texts: Sequence[str]) -> Embedded:
        self.sent += texts
        return Embedded(np.ones((len(texts), 2), dtype=np.float32), [1] * len(texts), len(texts))

    async def probe(self) -> Embedded:
        return Embedded(np.ones((1, 2), dtype=np.float32), None, 1)

    async def close(self) -> None:
        pass


class Limited:
    """A budget of so many tokens, by estimate; `fault` is raised instead of an answer."""

    def __init__(self, left: int, fault: Exception | None = None) -> None:
        self.left = left
        self.fault = fault
        self.tries = 0
        self.bills: list[Bill] = []

    @asynccontextmanager
    async def request(self, provider: str, model: str, dimensions: int, tokens: int) -> AsyncIterator[Bill]:
        assert (provider, model, dimensions) == ("double", "double", 2)
        self.tries += 1
        if self.fault is not None:
            raise self.fault
        if tokens > self.left:
            raise TokenLimitReached("too much", self.left)
        self.left -= tokens
        bill = Bill()
        yield bill
        self.bills.append(bill)


class Meter:
    stop_reason = None

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}

    def count(self, name: str, by: int = 1) -> None:
        self.counted[name] = self.counted.get(name, 0) + by


def embedder_over(provider: Provider, budget: Limited | None) -> Embedder:
    config = EmbeddingConfig("local", None, None, batch_size=8, timeout=5, linger=0)
    return Embedder(ProviderSpec("double", dimensions=2), provider, config, budget)


def source_over(embedder: Embedder, meter: Any) -> VectorSource:
    async def nothing_stored(action: Any) -> dict[bytes, Any]:
        return {}

    runtime: Any = SimpleNamespace(use_connection=nothing_stored)
    return VectorSource(runtime, embedder, 1, 2, meter)


def texts(words: Sequence[str]) -> dict[bytes, str]:
    return {word.encode(): word for word in words}


async def test_as_many_texts_of_a_batch_are_embedded_as_the_days_limit_has_room_for() -> None:
    provider, budget, meter = Provider(), Limited(5), Meter()
    answers = await embedder_over(provider, budget).embed_each(WORDS, meter)
    assert [isinstance(answer, Answer) for answer in answers] == [True, True, False, False, False]
    assert {type(answer) for answer in answers[2:]} == {TokenLimitReached}
    assert provider.sent == WORDS[:2]
    assert budget.tries <= MOST_TRIES
    assert budget.bills == [Bill(texts=2, tokens=2)]
    assert meter.counted["tokens/embedded"] == 2


async def test_a_budget_without_room_sends_nothing() -> None:
    provider = Provider()
    answers = await embedder_over(provider, Limited(1)).embed_each(WORDS, Meter())
    assert {type(answer) for answer in answers} == {TokenLimitReached}
    assert provider.sent == []


async def test_a_query_is_held_up_by_no_limit() -> None:
    provider, budget = Provider(), Limited(0)
    found = await embedder_over(provider, budget).embed(["a query"], Query())
    assert found.vectors.shape == (1, 2)
    assert budget.tries == 0


async def test_a_query_that_waits_for_the_texts_of_a_run_is_answered_beyond_the_limit() -> None:
    provider = Provider()
    embedder = embedder_over(provider, Limited(0))
    await embedder.check()
    run = asyncio.create_task(embedder.embed_each(WORDS, Meter()))
    queries = [asyncio.create_task(embedder.embed([text], Query())) for text in (WORDS[3], "another")]
    assert [(await query).vectors.shape for query in queries] == [(1, 2), (1, 2)]
    assert [isinstance(answer, Answer) for answer in await run] == [False, False, False, True, False]
    assert sorted(provider.sent) == ["another", WORDS[3]]


async def test_a_budget_that_cannot_be_asked_is_the_databases_fault() -> None:
    provider = Provider()
    with pytest.raises(DatabaseUnavailable, match="away"):
        await embedder_over(provider, Limited(9, DatabaseUnavailable("away"))).embed_each(WORDS, Meter())
    assert provider.sent == []


@pytest.mark.parametrize("limit", ["day", "run"])
async def test_what_was_embedded_before_a_limit_was_met_is_not_paid_for_again(limit: str) -> None:
    provider, meter = Provider(), Meter()
    embedder = embedder_over(provider, Limited(5) if limit == "day" else None)
    source = source_over(embedder, Allowance(meter, Purse(5)) if limit == "run" else meter)
    with pytest.raises(TokenLimitReached):
        await source.get(texts(WORDS))
    found = await source.get(texts(WORDS[:2]))
    assert set(found.vectors) == found.embedded == set(texts(WORDS[:2]))
    again = await source.get(texts(WORDS[:2]))
    assert again.embedded == set()
    assert provider.sent == WORDS[:2]
    assert meter.counted["chunks/embedded"] == 2


async def test_texts_are_found_without_being_embedded() -> None:
    provider = Provider()
    source = source_over(embedder_over(provider, None), Meter())
    await source.get(texts(WORDS[:1]))
    found = await source.find(texts(WORDS))
    assert set(found.vectors) == {b"aaaa"}
    assert provider.sent == WORDS[:1]
