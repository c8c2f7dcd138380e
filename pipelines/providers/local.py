"""The local model: WordLlama, whose weights come inside its wheel. Offline, no key, thousands of chunks a second."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.providers.base import PROBE, Embedded, ProviderMisconfigured, unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.providers.base import ProviderSpec

MODEL = "l2_supercat"
DIMENSIONS = 256


class LocalProvider:
    """WordLlama's embeddings, computed in a thread so that the event loop goes on.

    The pooling is WordLlama's own (mean of the token vectors, unit length) over `encode_batch_fast` without padding:
    bit for bit the same vectors for a third of the time of `WordLlama.embed`.
    """

    name = "local"
    max_texts: int | None = None
    max_concurrency: int | None = 3  # two are computed while a third is cut or given out; more only take memory

    def __init__(self, model: str = MODEL) -> None:
        if model != MODEL:
            msg = f"LCL_EMBEDDING_MODEL is {model!r}, but the local provider has only {MODEL}"
            raise ProviderMisconfigured(msg)
        self.model = model
        self._tokenizer, self._weights = _load()

    @classmethod
    def from_spec(cls, spec: ProviderSpec) -> LocalProvider:
        """Build as asked for. Raises `ProviderMisconfigured` for a model or dimension that it does not have."""
        if spec.dimensions not in (None, DIMENSIONS):
            msg = (
                f"LCL_EMBEDDING_DIMENSIONS is {spec.dimensions}, but the local model has {DIMENSIONS}: "
                "unset it, or choose another provider with LCL_EMBEDDING_PROVIDER"
            )
            raise ProviderMisconfigured(msg)
        return cls(spec.model or MODEL)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed a batch in a worker thread."""
        return await asyncio.to_thread(self._embed, list(texts))

    async def probe(self) -> Embedded:
        """Embed `PROBE`."""
        return await self.embed([PROBE])

    async def close(self) -> None:
        """Hold nothing to give back."""

    def _embed(self, texts: list[str]) -> Embedded:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        vectors = np.zeros((len(texts), self._weights.shape[1]), dtype=np.float32)
        counts = []
        for row, encoding in enumerate(encodings):
            ids = encoding.ids
            counts.append(len(ids))
            if ids:
                np.add.reduce(self._weights.take(ids, axis=0), axis=0, out=vectors[row])
                vectors[row] /= len(ids)
        return Embedded(unit(vectors), counts, sum(counts))


def _load() -> tuple[Any, Any]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    import wordllama  # noqa: PLC0415 - it configures the root logger when imported, which is undone here

    root.handlers[:], root.level = handlers, level
    loaded = wordllama.WordLlama.load(
        config=MODEL, dim=DIMENSIONS, cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )
    loaded.tokenizer.no_padding()
    return loaded.tokenizer, loaded.embedding
