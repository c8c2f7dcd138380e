"""The end of batches before they are done."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from db import batches
from db.batches import ENDED
from db.locks import OneAtATime
from pipelines.batch_api.remote import BatchUnknown
from pipelines.batch_api.submit import LOCK

if TYPE_CHECKING:
    from collections.abc import Collection

    from db.batches import Batch
    from pipelines.batch_api.apis import Apis
    from pipelines.runtime import Runtime

logger = logging.getLogger(__name__)


@dataclass
class Cancelled:
    """Which batches were told to end, and which are just being submitted, so that they could not be."""

    batches: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)


async def cancel(runtime: Runtime, apis: Apis, wanted: Collection[int] | None) -> Cancelled:
    """Cancel batches that are at work, None for all.

    What the provider has done by then is paid for, and taken by the next `poll`; the other texts wait for another
    batch. One that the provider does not know ends at once. Raises `ProviderError` or `DatabaseProblem`.
    """
    done = Cancelled()
    for batch in await runtime.use_connection(batches.unsettled):
        if wanted is None or batch.id in wanted:
            if batch.remote_id is not None:
                await _end(runtime, apis, batch, batch.remote_id)
            elif not await _end_unsent(runtime, apis, batch):
                done.busy.append(batch.id)
                continue
            done.batches.append(batch.id)
    return done


async def _end_unsent(runtime: Runtime, apis: Apis, batch: Batch) -> bool:
    """End a batch of which it is not known that the provider has it; return False while somebody submits it."""
    async with OneAtATime(runtime.direct_url, LOCK) as lock:
        if not lock.is_ours:
            return False
        api = await apis.of(batch.model_id)
        remote = await api.find(batch.key, batch.created_at)
        if remote is None:
            await _settle(runtime, batch)
        else:
            await _end(runtime, apis, batch, remote.remote_id)
    return True


async def _end(runtime: Runtime, apis: Apis, batch: Batch, remote_id: str) -> None:
    api = await apis.of(batch.model_id)
    try:
        remote = await api.get(remote_id)
        if remote.state not in ENDED:
            remote = await api.cancel(remote_id)
        await runtime.use_connection(partial(batches.note_remote, batch_id=batch.id, remote=remote))
    except BatchUnknown as error:
        logger.warning("batch %d: %s", batch.id, error)
        await _settle(runtime, batch)


async def _settle(runtime: Runtime, batch: Batch) -> None:
    await runtime.use_connection(partial(batches.settle, batch=batch, state="cancelled", attempts=1))
