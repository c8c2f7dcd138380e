"""The end of batches before they are done."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from db import batches

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipelines.batch_api.apis import Apis
    from pipelines.runtime import Runtime


async def cancel(runtime: Runtime, apis: Apis, wanted: Collection[int] | None) -> list[int]:
    """Cancel batches, None for all, and return which of them were at work.

    What the provider has done by then is paid for, and taken by the next `poll`; the other texts wait for another
    batch. Raises `ProviderError` or `DatabaseProblem`.
    """
    cancelled = []
    for batch in await runtime.use_connection(batches.unsettled):
        if wanted is not None and batch.id not in wanted:
            continue
        api = await apis.of(batch.model_id)
        remote_id = batch.remote_id
        if remote_id is None and (remote := await api.find(batch.key, batch.created_at)) is not None:
            remote_id = remote.remote_id
        if remote_id is None:
            await runtime.use_connection(partial(batches.settle, batch=batch, state="cancelled", attempts=1))
        elif not batch.has_ended:
            remote = await api.cancel(remote_id)
            await runtime.use_connection(partial(batches.note_remote, batch_id=batch.id, remote=remote))
        cancelled.append(batch.id)
    return cancelled
