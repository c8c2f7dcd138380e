"""What building a model will cost, said before anything is paid for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db import coverage
from pipelines.budget import TokenLimitReached
from pipelines.chunker import Chunker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.connection import Connection
    from db.coverage import Workload
    from db.models import Model
    from pipelines.embedder import Embedder

SAMPLED_PAGES = 100
PROBED_TEXTS = 32
CHARACTERS_PER_TOKEN = 4
"""The rule of thumb of OpenAI's documentation, for English; only where no provider has counted."""


@dataclass(frozen=True)
class Estimate:
    """What is to be done for a model. Exact where it cuts pages as the active model does, otherwise from a sample.

    `texts` are to be sent; `stored` have a vector of the model already, or wait for a batch, where one is meant.
    `tokens` are as the active model's provider counted them; `is_counted` False: partly guessed, a token for four
    characters. `seconds` go by one request of neutral texts, and `money` by the price of a million tokens; either may
    be unknown.
    """

    pages: int
    texts: int
    stored: int
    tokens: int
    is_exact: bool
    is_counted: bool
    seconds: float | None = None
    money: float | None = None


async def estimate(
    connection: Connection, model: Model, active: Model, *, price: float | None, by_batch: bool = False
) -> Estimate:
    """Return what covering the pages takes that a model does not cover; an id of 0 is of a model not stored yet."""
    work = await coverage.workload(connection, model.id, by_batch=by_batch)
    lengths = None
    if work.texts and model.chunker_version != active.chunker_version:
        pages = await coverage.sample(connection, model.id, SAMPLED_PAGES)
        lengths = sampled_lengths(Chunker.of(model.chunker_version), pages)
    return reckoned(work, lengths, price)


def reckoned(work: Workload, lengths: Sequence[int] | None, price: float | None) -> Estimate:
    """Return the estimate of a workload in another model's chunks; `lengths` of chunks as this one cuts them, if so."""
    tokens = work.tokens + -(-work.uncounted // CHARACTERS_PER_TOKEN)
    texts, stored = work.texts, work.stored
    if lengths:
        # By its own way of cutting, none of the texts is known to be stored.
        texts, stored = max(1, round(work.characters / (sum(lengths) / len(lengths)))), 0
    return Estimate(
        pages=work.pages,
        texts=texts,
        stored=stored,
        tokens=tokens,
        is_exact=lengths is None,
        is_counted=not work.uncounted,
        money=None if price is None else tokens * price / 1e6,
    )


def sampled_lengths(chunker: Chunker, pages: Sequence[tuple[str, str | None]]) -> list[int]:
    """Return the lengths, in characters, of the chunks of some pages."""
    return [len(chunk.sent) for content, title in pages for chunk in chunker.cut(content, title)]


async def seconds_for(embedder: Embedder, wanted: Estimate) -> float | None:
    """Return how long the texts will take, by one request of texts about as long.

    None when it is not worth asking, or when the day's limit on tokens has no room for it. The texts are neutral:
    nothing of the index is sent before it is agreed to.
    """
    if wanted.texts <= PROBED_TEXTS:
        return None
    words = max(1, wanted.tokens // wanted.texts)
    texts = [f"{number} " + "word " * words for number in range(PROBED_TEXTS)]
    began = time.perf_counter()
    try:
        await embedder.embed(texts, Unmetered())
    except TokenLimitReached:
        return None
    return (time.perf_counter() - began) * wanted.texts / PROBED_TEXTS


class Unmetered:
    """The meter of what belongs to no run and no build."""

    stop_reason: str | None = None

    def count(self, name: str, by: int = 1) -> None:
        """Count nothing."""
