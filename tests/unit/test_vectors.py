"""The source of vectors: each text once, also when two batches want it at the same time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipelines.embedder import Embedder
from pipelines.embedding_config import EmbeddingConfig
from pipelines.providers import Embedded, ProviderRefused, ProviderSpec, ProviderUnavailable
from pipelines.vectors import VectorSource

if TYPE_CHECKING:
    from collections.abc import Sequence


class Provider:
    """Answers when `gate` is open, and refuses what contains "bad"."""

    name, model = "double", "double"
    max_texts = max_concurrency = None

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

    async def probe(self) -> Embedded:
        return Embedded(np.ones((1, 2), dtype=np.float32), None, 1)

    async def close(self) -> None:
        pass


def source_over(provider: Provider, stop_reason: str | None = None) -> VectorSource:
    async def nothing_stored(action: Any) -> dict[bytes, Any]:
        return {}

    runtime: Any = SimpleNamespace(use_connection=nothing_stored)
    meter = SimpleNamespace(stop_reason=stop_reason, count=lambda name, by=1: None)
    spec = ProviderSpec("double", dimensions=2)
    embedder = Embedder(spec, provider, EmbeddingConfig("local", None, None, batch_size=8, timeout=5))
    return VectorSource(runtime, embedder, 1, 2, meter)


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
    first, second = await asyncio.gather(*both)
    assert sorted(text for sent in provider.sent for text in sent) == ["a", "b", "shared"]
    assert set(first.vectors) == {b"a", b"shared"}
    assert set(second.vectors) == {b"b", b"shared"}
    assert first.embedded | second.embedded == {b"a", b"b", b"shared"}
    assert not first.embedded & second.embedded


async def test_who_waited_for_a_text_whose_batch_was_ended_asks_again():
    provider = Provider()
    provider.gate.clear()
    vectors = source_over(provider)
    ended = asyncio.create_task(vectors.get(texts("a", "shared")))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(vectors.get(texts("shared")))
    await asyncio.sleep(0)
    ended.cancel()
    provider.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await ended
    assert set((await waiting).vectors) == {b"shared"}


async def test_a_refused_batch_is_halved_until_the_refused_text_stands_alone():
    provider = Provider()
    vectors = source_over(provider)
    found = await vectors.get(texts("a", "b", "bad", "c", "d"))
    assert (set(found.vectors), set(found.refused)) == ({b"a", b"b", b"c", b"d"}, {b"bad"})
    sent_before = len(provider.sent)
    again = await vectors.get(texts("a", "b", "c", "d"))
    assert set(again.vectors) == {b"a", b"b", b"c", b"d"}
    assert (again.embedded, len(provider.sent)) == (set(), sent_before)


async def test_a_run_that_is_stopping_asks_for_nothing_more():
    provider = Provider()
    with pytest.raises(ProviderUnavailable):
        await source_over(provider, stop_reason="lock_lost").get(texts("a"))
    assert provider.sent == []
