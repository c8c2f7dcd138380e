"""Texts that wait, sent to the provider in batches. Each batch is one file, begun once."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from db import batches, pending
from db.batches import PREPARING, Batch
from db.errors import ModelMismatch
from db.locks import OneAtATime
from db.usage import Refused
from pipelines.batch_api import lines
from pipelines.batch_api.remote import BatchRefused
from pipelines.budget import refusal
from pipelines.providers import ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.batch_api.apis import Apis
    from pipelines.batch_api.remote import BatchApi
    from pipelines.runtime import Runtime

logger = logging.getLogger(__name__)

LOCK = "batches"
MAX_TEXTS = 50_000  # the API's own bound, of requests and of inputs
MAX_BYTES = 200 * 1000 * 1000  # the API's own bound of a file
TEXT_BYTES = 80_000_000  # of texts in one batch: escaped as JSON, and with what stands around them, they stay below it
AT_A_TIME = 2_000  # texts read from the database


@dataclass
class Submitted:
    """What a call did: batches that were begun, how many texts they have, and why others were not begun."""

    batches: list[int] = field(default_factory=list)
    texts: int = 0
    problems: list[str] = field(default_factory=list)
    is_busy: bool = False


async def submit(runtime: Runtime, apis: Apis, *, max_texts: int = MAX_TEXTS) -> Submitted:
    """Send all texts that wait, in as many batches as it takes; first those whose sending was interrupted.

    Does nothing while another process is at it. What is wrong with the provider of one model is raised when the texts
    of the others are sent, as `ProviderError` or `ModelMismatch`. Raises any other `DatabaseProblem` at once. What was
    not sent by then is sent by the next call, and what was is not sent again.
    """
    done = Submitted()
    away: list[ProviderError | ModelMismatch] = []
    async with OneAtATime(runtime.direct_url, LOCK) as lock:
        if not lock.is_ours:
            done.is_busy = True
            return done
        await runtime.use_connection(pending.tidy)
        interrupted = [each for each in await runtime.use_connection(batches.unsettled) if each.state == PREPARING]
        free = await runtime.use_connection(batches.free_models)
        for model_id in sorted({*free, *(batch.model_id for batch in interrupted)}):
            own = [batch for batch in interrupted if batch.model_id == model_id]
            try:
                await _submit(runtime, await apis.of(model_id), lock, model_id, own, max_texts, done)
            except (ProviderError, ModelMismatch) as error:
                away.append(error)
    if away:
        raise away[0]
    return done


async def _submit(
    runtime: Runtime,
    api: BatchApi,
    lock: OneAtATime,
    model_id: int,
    interrupted: Sequence[Batch],
    max_texts: int,
    done: Submitted,
) -> None:
    """Send the texts of one model, until none waits or the provider refuses a batch."""
    for batch in interrupted:
        remote = await api.find(batch.key, batch.created_at)
        if remote is not None:
            logger.info("batch %d was begun before this process, as %s", batch.id, remote.remote_id)
            await runtime.use_connection(partial(batches.note_remote, batch_id=batch.id, remote=remote))
        elif not await _send(runtime, api, lock, batch, done):
            return
    while (claimed := await _claimed(runtime, model_id, max_texts, done)) is not None:
        if not await _send(runtime, api, lock, claimed, done):
            return


async def _claimed(runtime: Runtime, model_id: int, max_texts: int, done: Submitted) -> Batch | None:
    """Return a new batch of texts; None when none waits, or when a limit has room for none."""
    limit = runtime.config.limits.per_day
    claimed = await runtime.use_connection(
        partial(batches.claim, model_id=model_id, max_texts=max_texts, max_bytes=TEXT_BYTES, limit=limit)
    )
    if isinstance(claimed, Refused):
        done.problems.append(refusal(claimed, 1, limit or 0))
        return None
    if claimed is None:
        return None
    return next(batch for batch in await runtime.use_connection(batches.unsettled) if batch.id == claimed)


async def _send(runtime: Runtime, api: BatchApi, lock: OneAtATime, batch: Batch, done: Submitted) -> bool:
    """Upload a batch's file, unless that was done, and begin the batch; return whether it was begun.

    One that is refused is settled at once.
    """
    try:
        file_id = batch.input_file_id
        if file_id is None:
            file_id = await api.upload(f"lcl-{batch.key}.jsonl", await _content(runtime, api, batch))
            await runtime.use_connection(partial(batches.note_file, batch_id=batch.id, file_id=file_id))
        await lock.confirm()
        remote = await api.create(file_id, batch.key)
    except BatchRefused as error:
        failed = partial(batches.settle, batch=batch, state="failed", attempts=1, error=str(error))
        await runtime.use_connection(failed)
        done.problems.append(f"batch {batch.id}: {error}. Its texts wait for another one")
        return False
    await runtime.use_connection(partial(batches.note_remote, batch_id=batch.id, remote=remote))
    done.batches.append(batch.id)
    done.texts += batch.texts
    return True


async def _content(runtime: Runtime, api: BatchApi, batch: Batch) -> bytes:
    content = bytearray()
    after = b""
    while True:
        found = await runtime.use_connection(partial(batches.texts, batch_id=batch.id, after=after, limit=AT_A_TIME))
        for chunk_hash, text in found:
            content += lines.request(chunk_hash, text, api.model, api.dimensions)
        if len(found) < AT_A_TIME:
            break
        after = found[-1][0]
    if len(content) > MAX_BYTES:
        msg = f"its file would have {len(content):,} bytes, more than {MAX_BYTES:,}: submit with a smaller --max-texts"
        raise BatchRefused(msg)
    return bytes(content)
