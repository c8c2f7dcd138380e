"""Making a model the active one: caught up, its indexes built, and switched to only when it covers every page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db import activation, indexes, manifests
from db.errors import DatabaseProblem

if TYPE_CHECKING:
    from db.connection import Connection
    from db.models import Model
    from pipelines.reembedding.build import Build

ROUNDS = 5
SHOWN = 5
LEFT_OUT = 10
LEFT_OUT_SHARE = 100  # one page in so many, and `LEFT_OUT` at least: beyond that the provider is at fault, not a text


class NotActivated(DatabaseProblem):
    """A model was not made the active one, and the other still is. The message says why, and what to do."""

    reason = "not_activated"


async def activate(
    connection: Connection,
    model: Model,
    build: Build,
    *,
    min_chunks: int,
    pause: float,
    leave_out: bool = False,
    told: activation.Told = lambda done, total: None,
) -> int:
    """Catch up with what changed and switch; return how many rounds that took. Takes a direct connection.

    `leave_out`: a few pages with a text that the provider refuses may leave the index, see `activation.activate`.
    `told` hears how far what the switch leaves behind is settled.

    Raises `NotActivated` when pages stay uncovered, the search indexes are lacking or the switch took too long; what
    was built stays. Raises as `Build.run` besides.
    """
    for attempt in range(1, ROUNDS + 1):
        await build.run()
        await (refuse_if_many if leave_out else refuse_if_refused)(connection, model)
        await indexes.ensure(connection, model, min_chunks=min_chunks, is_patient=False)
        if await indexes.lacking(connection, model, min_chunks=min_chunks):
            msg = (
                "its search indexes are not built, because another process is building some. Try again when it is done"
            )
            raise NotActivated(msg)
        try:
            lacking = await activation.activate(connection, model, pause=pause, leave_out=leave_out)
        except activation.SwitchTooSlow as error:
            raise NotActivated(str(error)) from error
        if not lacking:
            await activation.settle(connection, model, told)
            return attempt
    msg = (
        f"pages changed faster than they could be covered, {ROUNDS} times in a row; {lacking:,} are not covered. Try "
        "again when fewer crawls are at work"
    )
    raise NotActivated(msg)


async def refuse_if_refused(connection: Connection, model: Model) -> None:
    """Raise `NotActivated` that names the pages of which the model has no vectors, if there are any."""
    refused = await manifests.refused(connection, model.id, SHOWN + 1)
    if refused:
        more = " and more" if len(refused) > SHOWN else ""
        named = ", ".join(url for url, _ in refused[:SHOWN])
        msg = (
            f"its provider refuses a text of {named}{more} ({refused[0][1]}). They would vanish from searches. Correct "
            "that and call again with --retry-refused, build with a smaller --chunk-size, or say --leave-out-refused"
        )
        raise NotActivated(msg)


async def refuse_if_many(connection: Connection, model: Model) -> None:
    """Raise `NotActivated` when more pages would be left out of the index than a few texts can account for."""
    most = max(LEFT_OUT, await activation.count_pages(connection) // LEFT_OUT_SHARE)
    refused = await manifests.refused(connection, model.id, most + 1)
    if len(refused) > most:
        msg = (
            f"its provider refuses a text of more than {most:,} pages, {refused[0][0]} among them ({refused[0][1]}): "
            "too many to be left out. Correct that and call again with --retry-refused"
        )
        raise NotActivated(msg)
