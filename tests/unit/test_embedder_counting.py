"""What an answer cost is counted before it is given out, and no request waits for that."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import pytest

from db.errors import DatabaseUnavailable
from pipelines.budget import Bill
from pipelines.patience import FIRST_TOKENS
from pipelines.providers import ProviderMisconfigured
from pipelines.waiting import BYTES_PER_TOKEN
from tests.support.embedding import Meter, Provider, answer_to, embedder_over, turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Budget:
    """Counts while `gate` is open; raises `fault` instead, if there is one."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.counted: list[int] = []
        self.fault: Exception | None = None

    @asynccontextmanager
    async def request(self, provider: str, model: str, dimensions: int, tokens: int) -> AsyncIterator[Bill]:
        bill = Bill()
        yield bill
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.counted.append(bill.texts)


class Slow(asyncio.Event):
    """A gate that takes some turns of the loop to pass, so that requests can meet at the provider."""

    async def wait(self) -> Literal[True]:
        await turns(5)
        return True


def slow_provider() -> Provider:
    provider = Provider()
    provider.gate = Slow()
    return provider


async def test_the_next_batch_is_sent_while_what_the_last_one_cost_is_counted():
    provider, budget = slow_provider(), Budget()
    embedder = embedder_over(provider, budget, batch_size=1, concurrency=1)
    asking = asyncio.create_task(embedder.embed(["a", "b"], Meter()))
    await turns(30)
    assert (provider.sent, budget.counted) == ([["a"], ["b"]], [])
    assert not asking.done()
    budget.gate.set()
    await asking
    assert budget.counted == [1, 1]
    assert provider.most_at_a_time == 1


async def test_no_more_answers_wait_to_be_counted_than_may_be_asked_for_at_a_time():
    provider, budget = Provider(), Budget()
    embedder = embedder_over(provider, budget, batch_size=1, concurrency=2)
    asking = asyncio.create_task(embedder.embed(list("abcdefgh"), Meter()))
    await turns(60)
    assert len(provider.sent) == 4
    budget.gate.set()
    await asking
    assert sum(budget.counted) == len(provider.sent) == 8


async def test_a_batch_that_is_refused_keeps_its_slot_until_it_is_isolated():
    provider, budget = slow_provider(), Budget()
    budget.gate.set()
    embedder = embedder_over(provider, budget, batch_size=4, concurrency=1)
    await embedder.embed_each(["a", "bad", "c", "d", "e", "f", "g", "h"], Meter())
    assert provider.most_at_a_time == 1


async def test_the_next_batch_is_as_large_as_the_last_one_showed_that_it_may_be():
    provider, budget = Provider(), Budget()
    embedder = embedder_over(provider, budget, batch_size=100, concurrency=1)
    size = FIRST_TOKENS * BYTES_PER_TOKEN // 4
    asking = asyncio.create_task(embedder.embed([letter * size for letter in "abcdefghij"], Meter()))
    await turns(30)
    assert [len(sent) for sent in provider.sent] == [3, 7]
    budget.gate.set()
    await asking


async def test_an_answer_that_is_counted_late_does_not_speak_for_a_provider_that_was_given_up_since():
    provider, budget = Provider(), Budget()
    embedder = embedder_over(provider, budget, batch_size=1, concurrency=1)
    await embedder.check()
    provider.plan.extend([answer_to, ProviderMisconfigured("the key is gone")])
    with pytest.raises(ProviderMisconfigured):
        await embedder.embed(["a", "b"], Meter())
    budget.gate.set()
    await turns(30)
    provider.probes.append(ProviderMisconfigured("the key is gone"))
    with pytest.raises(ProviderMisconfigured):
        await embedder.check()


async def test_what_was_answered_before_the_provider_was_given_up_is_counted_all_the_same():
    provider, budget = Provider(), Budget()
    embedder = embedder_over(provider, budget, batch_size=1, concurrency=1)
    await embedder.check()
    provider.plan.extend([answer_to, ProviderMisconfigured("the key is gone")])
    asking = asyncio.create_task(embedder.embed(["a", "b"], Meter()))
    with pytest.raises(ProviderMisconfigured):
        await asking
    budget.gate.set()
    await turns(30)
    assert budget.counted == [1]


async def test_an_answer_that_cannot_be_counted_ends_everybodys_waiting():
    provider, budget = Provider(), Budget()
    budget.fault = DatabaseUnavailable("it is gone")
    budget.gate.set()
    embedder = embedder_over(provider, budget, batch_size=1, concurrency=1)
    with pytest.raises(DatabaseUnavailable):
        await embedder.embed(["a", "b", "c"], Meter())
