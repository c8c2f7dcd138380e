"""Where the vectors of chunks come from: this run's cache, the database, and only then the provider (C2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cachetools import LRUCache

from db import pages
from pipelines.budget import Allowance, estimated_tokens
from pipelines.providers import ProviderMisconfigured, ProviderRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.embedder import Embedder, Meter, Vector
    from pipelines.runtime import Runtime

CACHED_VECTORS = 4096


@dataclass
class Found:
    """What came of asking for the vectors of some texts, all by chunk hash.

    `vectors` come with their token counts, None where the provider tells none. `embedded` are those of them that had
    to be embedded for this call. `refused` are the texts that have no vector, each with the reason.
    """

    vectors: dict[bytes, Vector] = field(default_factory=dict)
    embedded: set[bytes] = field(default_factory=set)
    refused: dict[bytes, ProviderRefused] = field(default_factory=dict)

    def take(self, other: Found) -> None:
        """Add another answer to this one."""
        self.vectors |= other.vectors
        self.embedded |= other.embedded
        self.refused |= other.refused


class VectorSource:
    """Finds or makes the vector of each text under one model, each text once however many pages ask for it at a time.

    `reuse` False asks neither the database nor what other runs embed. What is embedded is counted on `meter`,
    which may be an `Allowance` that sets a limit to it.
    """

    def __init__(
        self,
        runtime: Runtime,
        embedder: Embedder,
        model_id: int,
        dimensions: int,
        meter: Meter,
        *,
        reuse: bool = True,
    ) -> None:
        self._runtime = runtime
        self._embedder = embedder
        self._model_id = model_id
        self._dimensions = dimensions
        self._meter = meter if isinstance(meter, Allowance) else Allowance(meter)
        self._reuse = reuse
        self._recent: LRUCache[bytes, Vector] = LRUCache(CACHED_VECTORS)
        self._asked: dict[bytes, asyncio.Future[Vector | ProviderRefused]] = {}

    async def get(self, texts: Mapping[bytes, str]) -> Found:
        """Return the vectors of texts given by chunk hash; a text that is refused costs no other its vector.

        Raises `ProviderError` when the provider is unavailable or misconfigured, or `DatabaseUnavailable`.
        """
        found = Found({digest: self._recent[digest] for digest in texts if digest in self._recent})
        elsewhere = {
            digest: self._asked[digest] for digest in texts if digest in self._asked and digest not in found.vectors
        }
        mine = {
            digest: text for digest, text in texts.items() if digest not in found.vectors and digest not in elsewhere
        }
        loop = asyncio.get_running_loop()
        self._asked |= {digest: loop.create_future() for digest in mine}
        try:
            answer = await self._fetch(mine)
            for digest in mine:
                if digest in answer.vectors:
                    self._recent[digest] = answer.vectors[digest]
                self._asked[digest].set_result(answer.vectors.get(digest) or answer.refused[digest])
        finally:
            for digest in mine:
                future = self._asked.pop(digest)
                if not future.done():
                    # Whoever waits for it asks again; the error is for the page that asked first.
                    future.cancel()
        found.take(answer)
        for digest, future in elsewhere.items():
            try:
                outcome = await asyncio.shield(future)
            except asyncio.CancelledError:
                if not future.cancelled():
                    raise
                found.take(await self.get({digest: texts[digest]}))
            else:
                if isinstance(outcome, ProviderRefused):
                    found.refused[digest] = outcome
                else:
                    found.vectors[digest] = outcome
        return found

    async def _fetch(self, texts: Mapping[bytes, str]) -> Found:
        found = Found()
        if texts and self._reuse:
            found.vectors |= await self._runtime.use_connection(
                lambda connection: pages.reusable_vectors(connection, self._model_id, list(texts))
            )
        new = [digest for digest in texts if digest not in found.vectors]
        if not new:
            return found
        asked = [texts[digest] for digest in new]
        with self._meter.request(estimated_tokens(asked)):
            answers = await self._embedder.embed_each(asked, self._meter)
        for digest, answer in zip(new, answers, strict=True):
            if isinstance(answer, ProviderRefused):
                found.refused[digest] = answer
                continue
            if answer[0].shape != (self._dimensions,):
                msg = f"the model of the index has {self._dimensions} dimensions, the provider's {answer[0].shape[0]}"
                raise ProviderMisconfigured(msg)
            found.vectors[digest] = answer
            found.embedded.add(digest)
        return found
