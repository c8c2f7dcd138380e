"""What has become of batches: their state, and the results of those that have ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from db import batches
from db.batches import ENDED, Batch, Remote, TextRefusal
from db.errors import ModelMismatch
from pipelines.batch_api import lines
from pipelines.batch_api.remote import BatchUnknown
from pipelines.providers import ProviderError

if TYPE_CHECKING:
    from db.pages import Embedding
    from pipelines.batch_api.apis import Apis
    from pipelines.batch_api.remote import BatchApi
    from pipelines.runtime import Runtime

ATTEMPTS = 3
AT_A_TIME = 500  # results taken in one transaction


@dataclass
class Polled:
    """What a call found: batches that ended, how many texts have results now, and how many wait again.

    `unknown` are batches that their provider does not know: nothing comes of them.
    """

    ended: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    results: int = 0
    returned: int = 0
    problems: list[str] = field(default_factory=list)


async def poll(runtime: Runtime, apis: Apis) -> Polled:
    """Ask how far each batch is, and take the results of those that have ended.

    Bears repetition, also by two processes at once: a result is taken once. What is wrong with one batch is told; what
    is wrong with the provider of one model is raised when the batches of the others have been looked at, as
    `ProviderError` or `ModelMismatch`. Raises any other `DatabaseProblem` at once.
    """
    found = Polled()
    away: dict[int, ProviderError | ModelMismatch] = {}
    for batch in await runtime.use_connection(batches.unsettled):
        if batch.remote_id is None or batch.model_id in away:
            continue
        try:
            api = await apis.of(batch.model_id)
            remote = await api.get(batch.remote_id)
            await runtime.use_connection(partial(batches.note_remote, batch_id=batch.id, remote=remote))
            if remote.state in ENDED:
                await _take(runtime, apis, batch, remote, found)
        except BatchUnknown as error:
            found.unknown.append(batch.id)
            found.problems.append(
                f"batch {batch.id}: {error}. If it is gone for good, `scrapy batches cancel {batch.id}` lets its texts "
                "wait for another one"
            )
        except (ProviderError, ModelMismatch) as error:
            away[batch.model_id] = error
    if away:
        raise next(iter(away.values()))
    return found


async def _take(runtime: Runtime, apis: Apis, batch: Batch, remote: Remote, found: Polled) -> None:
    api = await apis.of(batch.model_id)
    dimensions = apis.length(batch.model_id)
    lost = None
    for file_id in filter(None, (remote.output_file_id, remote.error_file_id)):
        try:
            found.results += await _take_file(runtime, api, batch, file_id, dimensions)
        except BatchUnknown as error:  # the provider has the batch: nobody will ever have its results
            lost = str(error)
            found.problems.append(f"batch {batch.id}: {error}. Its texts without a result wait for another batch")
    returned = await runtime.use_connection(
        partial(batches.settle, batch=batch, state=remote.state, attempts=ATTEMPTS, error=lost)
    )
    found.ended.append(batch.id)
    found.returned += returned
    if remote.state == "failed":
        found.problems.append(f"batch {batch.id} failed as a whole: {remote.error or 'the provider does not say why'}")


async def _take_file(runtime: Runtime, api: BatchApi, batch: Batch, file_id: str, dimensions: int) -> int:
    """Take the results of one file, some hundreds at a time; return how many were news."""
    taken = 0
    vectors: dict[bytes, tuple[Embedding, int]] = {}
    refusals: dict[bytes, TextRefusal] = {}

    async def flush() -> int:
        count = await runtime.use_connection(partial(batches.take, batch=batch, vectors=vectors, refusals=refusals))
        vectors.clear()
        refusals.clear()
        return count

    async for line in api.lines(file_id):
        result = lines.result(line, dimensions, api.shown)
        if result is None:
            continue
        if result.vector is not None:
            vectors[result.chunk_hash] = result.vector
        elif result.refusal is not None:
            refusals[result.chunk_hash] = result.refusal
        if len(vectors) + len(refusals) >= AT_A_TIME:
            taken += await flush()
    return taken + await flush()
