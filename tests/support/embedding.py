"""Embedders over a provider in memory, which answers as it is told to."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.embedder import Embedder
from pipelines.embedding_config import EmbeddingConfig
from pipelines.providers import Embedded, ProviderRefused, ProviderSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.budget import Budget

DIMENSIONS = 2
SPEC = ProviderSpec("double", dimensions=DIMENSIONS)


class Meter:
    """Counts, and stops when `stop_reason` is set."""

    def __init__(self) -> None:
        self.stop_reason: str | None = None
        self.counts: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] += by


class Provider:
    """Answers when `gate` is open, refuses what contains "bad", and has no vector for what contains "void".

    `plan` holds what the next requests end with instead: an error to raise, or a function of the texts. `probes` does
    the same for the health check.
    """

    name, model = "double", "double"
    max_texts: int | None = None
    max_concurrency: int | None = None

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.sent: list[list[str]] = []
        self.at_a_time = self.most_at_a_time = 0
        self.plan: deque[Exception | Callable[[Sequence[str]], Any]] = deque()
        self.probes: deque[Exception] = deque()
        self.probed = 0
        self.is_closed = False

    async def embed(self, texts: Sequence[str]) -> Embedded:
        self.sent.append(list(texts))
        self.at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
        try:
            await self.gate.wait()
        finally:
            self.at_a_time -= 1
        if self.plan:
            planned = self.plan.popleft()
            if isinstance(planned, Exception):
                raise planned
            answer: Embedded = planned(texts)
            return answer
        if any("bad" in text for text in texts):
            msg = "this text is refused"
            raise ProviderRefused(msg)
        return answer_to(texts)

    async def probe(self) -> Embedded:
        self.probed += 1
        if self.probes:
            raise self.probes.popleft()
        return answer_to(["health check"])

    async def close(self) -> None:
        self.is_closed = True

    @property
    def texts(self) -> list[str]:
        """Every text that was sent, in order."""
        return [text for sent in self.sent for text in sent]


def answer_to(texts: Sequence[str]) -> Embedded:
    """Return vectors that tell the text's length, and a token for each letter."""
    vectors = np.array([[1.0, len(text)] if "void" not in text else [0.0, 0.0] for text in texts], dtype=np.float32)
    return Embedded(vectors, [len(text) for text in texts], sum(map(len, texts)))


def embedder_over(provider: Provider, budget: Budget | None = None, **config: Any) -> Embedder:
    """Return an embedder that sends a batch as soon as it may."""
    settings = {"provider": "double", "model": None, "dimensions": None, "linger": 0.0, "timeout": 5.0}
    return Embedder(SPEC, provider, EmbeddingConfig(**(settings | config)), budget)


async def turns(count: int = 10) -> None:
    """Let everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)  # a turn of the loop
