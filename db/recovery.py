"""Runs that must be made again: their worker died, was told to stop, or could not do them at that time.

Whoever makes a run again takes its place in the queue away, or finds it gone and leaves it to who took it: a worker
that comes back from a pause, and was taken for dead meanwhile, makes nothing twice.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from db import jobs, queue, sources
from db.sql import load

if TYPE_CHECKING:
    import datetime as dt
    from uuid import UUID

    from db.connection import Connection
    from db.queue import Request

_SQL = load("queue")

MAX_RETRIES = 3

INTERRUPTED = ("lost", "lock_lost", "model_changed", "shutdown")
"""Reasons of runs that something else than the source ended: they are made again at once."""

HINDERED = ("domain_locked", "database_unavailable", "network_unavailable", "provider_unavailable")
"""Reasons of runs that could not be done at that time, through no fault of the source: they are made again later."""


class Again(Enum):
    """What became of a run that was to be made again."""

    QUEUED = "queued"
    ELSEWHERE = "elsewhere"
    """Another process took its worker for dead, and has seen to it."""
    GIVEN_UP = "given up"
    """It was cancelled, or made again `MAX_RETRIES` times already."""


async def again(connection: Connection, request: Request, *, delay: dt.timedelta | None = None) -> Again:
    """Queue a run once more that this process has taken, and that has ended; its record says how.

    A source that waits in the queue by itself meanwhile needs no second place.
    """
    async with connection.transaction():
        await queue.one_at_a_time(connection)
        cursor = await connection.execute(_SQL["has_place"], {"queue_id": request.queue_id})
        row = await cursor.fetchone()
        if not (row and row[0]):
            return Again.ELSEWHERE
        return await _queue_again(connection, request, delay)


async def recover(connection: Connection, silence: dt.timedelta) -> list[Request]:
    """Close the jobs of dead processes as lost, queue those from the queue again (A18), and return these.

    `silence`: how long a worker may be unheard before it counts as dead. A source whose every attempt was lost is
    blamed for one failure: it may be what kills the workers.
    """
    async with connection.transaction():
        await queue.one_at_a_time(connection)
        await jobs.close_lost(connection)
        reasons = [*INTERRUPTED, *HINDERED]
        cursor = await connection.execute(
            _SQL["take_orphans"], {"queue": queue.QUEUE, "silence": silence, "reasons": reasons}
        )
        lost = [await queue.request(connection, job_id) for (job_id,) in await cursor.fetchall()]
        found = [each for each in lost if each is not None]
        for each in found:
            if await _queue_again(connection, each) is Again.GIVEN_UP and await _is_deadly(connection, each.source_id):
                await sources.record_run(connection, each.source_id, success=False)
        await connection.execute(_SQL["revive_schedule"], {"schedule": queue.SCHEDULE, "silence": silence})
    return found


async def _queue_again(connection: Connection, request: Request, delay: dt.timedelta | None = None) -> Again:
    if request.attempt > MAX_RETRIES or await jobs.is_cancelled(connection, request.id):
        return Again.GIVEN_UP
    await queue.enqueue(
        connection,
        [request.source_id],
        trigger=request.trigger,
        args=request.args,
        priority=request.priority,
        attempt=request.attempt + 1,
        delay=delay,
        besides=request.queue_id,
    )
    return Again.QUEUED


async def _is_deadly(connection: Connection, source_id: UUID) -> bool:
    cursor = await connection.execute(_SQL["only_lost"], {"source_id": source_id, "runs": MAX_RETRIES + 1})
    row = await cursor.fetchone()
    return bool(row and row[0])
