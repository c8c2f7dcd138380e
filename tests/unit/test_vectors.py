"""The source of vectors: each text once, also when two batches want it at the same time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipelines.providers import Embedded, ProviderRefused, ProviderUnavailable
from pipelines.vectors import VectorSource

if TYPE_CHECKING:
    from collections.abc import Sequence


class Provider:
    """Answers when `gate` is open, and refuses what contains "bad"."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.sent: list[list[str]] = []

    async def embed(self, texts: Sequence[str]) -> Embedded:
        self.sent.append(list(texts))
        await self.gate.wait()
        if any("bad" in text for text in texts):
            raise ProviderRefused("no")
        vectors = np.array([[1.0, len(text)] for text in texts], dtype=np.float32)
        return Embedded(vectors, [len(text) for text in texts], sum(map(len, texts)))


def source_over(provider: Provider, stop_reason: str | None = None) -> VectorSource:
    async def nothing_stored(action: Any) -> dict[bytes, Any]:
        return {}

    run = SimpleNamespace(
        stop_reason=stop_reason,
        arguments=SimpleNamespace(reembed=False),
        config=SimpleNamespace(embedding_batch_size=8),
        model=SimpleNamespace(id=1, dimensions=2),
        runtime=SimpleNamespace(provider=provider, use_connection=nothing_stored),
        count=lambda name, by=1: None,
    )
    return VectorSource(run)  # type: ignore[arg-type]


def texts(*words: str) -> dict[bytes, str]:
    return {word.encode(): word for word in words}


async def test_a_text_that_two_batches_want_at_once_is_sent_once():
    provider = Provider()
    provider.gate.clear()
    vectors = source_over(provider)
    both = [asyncio.create_task(vectors.get(texts(*words))) for words in (("a", "shared"), ("b", "shared"))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    provider.gate.set()
    (first, new_first), (second, new_second) = await asyncio.gather(*both)
    assert sorted(text for sent in provider.sent for text in sent) == ["a", "b", "shared"]
    assert set(first) == {b"a", b"shared"}
    assert set(second) == {b"b", b"shared"}
    assert new_first | new_second == {b"a", b"b", b"shared"}
    assert not new_first & new_second


async def test_who_waited_for_a_text_whose_batch_failed_asks_again():
    provider = Provider()
    provider.gate.clear()
    vectors = source_over(provider)
    failing = asyncio.create_task(vectors.get(texts("bad", "shared")))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(vectors.get(texts("shared")))
    await asyncio.sleep(0)
    provider.gate.set()
    with pytest.raises(ProviderRefused):
        await failing
    assert set((await waiting)[0]) == {b"shared"}


async def test_a_refused_batch_is_halved_until_the_refused_text_stands_alone():
    provider = Provider()
    vectors = source_over(provider)
    with pytest.raises(ProviderRefused):
        await vectors.get(texts("a", "b", "bad", "c", "d"))
    sent_before = len(provider.sent)
    found, new = await vectors.get(texts("a", "b", "c", "d"))
    assert set(found) == {b"a", b"b", b"c", b"d"}
    assert (new, len(provider.sent)) == (set(), sent_before)


async def test_a_run_that_is_stopping_asks_for_nothing_more():
    provider = Provider()
    with pytest.raises(ProviderUnavailable):
        await source_over(provider, stop_reason="lock_lost").get(texts("a"))
    assert provider.sent == []
