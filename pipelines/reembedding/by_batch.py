"""The texts that a model being built lacks, left to its provider's batches, for half the price.

Nothing is embedded here: the next build finds the vectors that came, and covers the pages with them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from db import manifests, pending
from pipelines import index_model
from pipelines.reembedding.build import PAGES_AT_A_TIME, cut_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from db.models import Model
    from pipelines.runtime import Runtime


@dataclass(slots=True)
class Recorded:
    """What a call recorded so far: pages that were looked at, and texts of theirs that wait for a batch since."""

    pages: int = 0
    texts: int = 0


async def record(runtime: Runtime, model: Model, told: Callable[[Recorded], None] = lambda _: None) -> Recorded:
    """Leave the texts of the pages that a model does not cover to the next batches, but for those with a vector.

    Bears repetition: a text that waits already, or is in a batch, is not asked for again. A page that cannot be cut is
    left to the build, which says so. `told` hears how far it is. Raises `DatabaseProblem`.
    """
    chunker = index_model.chunker_of(model)
    done = Recorded()
    after = 0
    while found := await runtime.use_connection(
        partial(manifests.pending, model_id=model.id, after=after, limit=PAGES_AT_A_TIME)
    ):
        after = found[-1].id
        cut = await asyncio.to_thread(cut_all, chunker, found)
        texts = {chunk.hash: chunk.sent for page in cut for chunk in page.chunks}
        done.texts += await runtime.use_connection(partial(pending.record, model_id=model.id, texts=texts))
        done.pages += len(found)
        told(done)
    return done
