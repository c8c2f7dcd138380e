"""One model of a process: every text that is embedded goes through here."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipelines.budget import estimated_tokens
from pipelines.providers import Embedded, ProviderRefused, ProviderUnavailable, UnusableVector, checked, create
from pipelines.providers.base import PROBE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.pages import Embedding
    from pipelines.budget import Budget
    from pipelines.embedding_config import EmbeddingConfig
    from pipelines.providers import EmbeddingProvider, ProviderSpec

    Vector = tuple[Embedding, int | None]

UNUSABLE_IN_A_ROW = 3  # a provider of which this many texts in a row have no vector is ill, not they
HEALTH_LASTS = 30.0  # seconds; a worker begins many runs in that time


class Meter(Protocol):
    """For whom texts are embedded: counts what is spent, and says when nothing more is wanted. A `Run` is one."""

    @property
    def is_counted(self) -> bool:
        """Whether tokens are taken from the day's limit and stand in the ledger; not those of a person's query."""

    @property
    def stop_reason(self) -> str | None:
        """Why no more requests are to be made, None as long as they are."""

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter: `chunks/embedded`, `tokens/embedded`."""


class Embedder:
    """Embeds the texts of all runs of a process with one model. `spec` is what it was made from.

    `budget` is asked before each request whose tokens count; None counts nothing.
    """

    def __init__(
        self, spec: ProviderSpec, provider: EmbeddingProvider, config: EmbeddingConfig, budget: Budget | None = None
    ) -> None:
        self.spec = spec
        self._budget = budget
        self._provider = provider
        self._config = config
        self._dimensions = 0
        self._unusable_in_a_row = 0
        self._checked_at = -HEALTH_LASTS

    @property
    def model(self) -> str:
        """The model's name, also where the spec leaves it to the provider."""
        return self._provider.model

    async def check(self) -> int:
        """Return the length of the vectors, found by embedding a few words; asked twice a minute at most.

        Raises `ProviderError`; a provider that does not answer in time is `ProviderUnavailable`.
        """
        if time.monotonic() - self._checked_at < HEALTH_LASTS:
            return self._dimensions
        try:
            async with asyncio.timeout(self._config.timeout):
                probe = await self._provider.embed([PROBE])
        except TimeoutError as error:
            msg = (
                f"the embedding provider {self.spec.provider} did not answer a health check in "
                f"{self._config.timeout:.0f} s. Check OPENAI_BASE_URL, or raise LCL_EMBEDDING_TIMEOUT"
            )
            raise ProviderUnavailable(msg) from error
        dimensions = self.spec.dimensions or int(probe.vectors.shape[-1])
        checked(probe, [PROBE], dimensions)
        self._dimensions, self._checked_at = dimensions, time.monotonic()
        return dimensions

    async def embed(self, texts: Sequence[str], meter: Meter) -> Embedded:
        """Embed any number of texts. Raises `ProviderRefused` when one of them has no vector, or `ProviderError`."""
        found = await self.embed_each(texts, meter)
        for answer in found:
            if isinstance(answer, ProviderRefused):
                raise answer
        whole = [answer for answer in found if not isinstance(answer, ProviderRefused)]
        counts = [count for _, count in whole]
        known = [count for count in counts if count is not None]
        vectors = np.stack([vector for vector, _ in whole]) if whole else np.zeros((0, self._dimensions), np.float32)
        return Embedded(vectors, known if len(known) == len(counts) else None, sum(known))

    async def embed_each(self, texts: Sequence[str], meter: Meter) -> list[Vector | ProviderRefused]:
        """Return for each text its vector and token count, or why it has none; one refusal costs no other its vector.

        The count is None where the provider tells none. Raises `ProviderUnavailable` or `ProviderMisconfigured`.
        """
        dimensions = self._dimensions or await self.check()
        found: list[Vector | ProviderRefused] = []
        for at in range(0, len(texts), self._config.batch_size):
            found += await self._embed(texts[at : at + self._config.batch_size], dimensions, meter)
        return found

    async def close(self) -> None:
        """Give back what the provider holds."""
        await self._provider.close()

    async def _embed(self, texts: Sequence[str], dimensions: int, meter: Meter) -> list[Vector | ProviderRefused]:
        if meter.stop_reason is not None:
            msg = "the run is stopping"
            raise ProviderUnavailable(msg)
        try:
            answer = checked(await self._ask(texts, dimensions, meter), texts, dimensions)
        except ProviderRefused as error:
            if len(texts) == 1:
                self._note(error)
                return [error]
            middle = len(texts) // 2
            first = await self._embed(texts[:middle], dimensions, meter)
            return first + await self._embed(texts[middle:], dimensions, meter)
        self._unusable_in_a_row = 0
        meter.count("chunks/embedded", len(texts))
        meter.count("tokens/embedded", answer.total_tokens)
        counts: Sequence[int | None] = answer.token_counts or [None] * len(texts)
        return list(zip(answer.vectors, counts, strict=True))

    async def _ask(self, texts: Sequence[str], dimensions: int, meter: Meter) -> Embedded:
        if self._budget is None or not meter.is_counted:
            return await self._provider.embed(texts)
        estimate = estimated_tokens(texts)
        async with self._budget.request(self.spec.provider, self.model, dimensions, estimate) as bill:
            answer = await self._provider.embed(texts)
            bill.texts, bill.tokens = len(texts), answer.total_tokens
        return answer

    def _note(self, error: ProviderRefused) -> None:
        if isinstance(error, UnusableVector):
            self._unusable_in_a_row += 1
            if self._unusable_in_a_row >= UNUSABLE_IN_A_ROW:
                msg = f"{error}, {self._unusable_in_a_row} times in a row"
                raise ProviderUnavailable(msg) from error


async def embedder_of(spec: ProviderSpec, config: EmbeddingConfig, budget: Budget | None = None) -> Embedder:
    """Make an embedder, which its maker closes. Raises `ProviderMisconfigured`."""
    return Embedder(spec, await asyncio.to_thread(create, spec, config), config, budget)
