"""The queue as workers use it, without one: runs are queued, taken and begun by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from db import jobs, queue, sources
from tests.support.postgres import rows

if TYPE_CHECKING:
    import datetime as dt

    from db.connection import Connection

ARGS = {"force_rescrape": True}


async def add(connection: Connection, name: str, **columns: object) -> UUID:
    source, _ = await sources.add(connection, f"https://{name}.org/", slug=name)
    for column, value in columns.items():
        await connection.execute(f"UPDATE scraper_sources SET {column} = %s WHERE id = %s".encode(), (value, source.id))
    return source.id


async def enqueue(connection: Connection, *source_ids: UUID, **options: object) -> list[UUID]:
    return await queue.enqueue(connection, source_ids, trigger="queue", args=ARGS, **options)  # type: ignore[arg-type]  # options by name


async def take(connection: Connection, *, heard: str = "0 s") -> UUID | None:
    """Take a job as a worker does that was last heard of a while ago, and return the id of its run."""
    taken = await rows(
        connection,
        f"""
        WITH worker AS (
            INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '{heard}') RETURNING id
        )
        SELECT (procrastinate_fetch_job_v2(ARRAY['{queue.QUEUE}'], worker.id)).args ->> 'job_id' FROM worker
        """,
    )
    return UUID(taken[0][0]) if taken[0][0] else None


async def status(connection: Connection, job_id: UUID) -> tuple[str, str | None, int]:
    (found,) = await jobs.recent(connection, job_id=job_id)
    return found.status, found.finish_reason, found.attempt


async def begin(connection: Connection, job_id: UUID, source_id: UUID) -> dt.datetime | None:
    return await jobs.start(connection, job_id, source_id=source_id, trigger="manual", args=ARGS, worker="test")
