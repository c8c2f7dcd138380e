"""The queue of runs: Procrastinate's jobs, each of which carries out one row of `scrape_jobs`.

A source waits in the queue at most once (`queueing_lock` is its id), and of the sources of one domain one runs at a
time (`lock` is the domain). A run that must be made again is a new job with its own record: nothing recurses.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from procrastinate import PsycopgConnector
from procrastinate.jobs import Job as QueueJob
from procrastinate.manager import JobManager
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.sql import load

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from db.connection import Connection

_SQL = load("queue")

QUEUE = "crawls"
CRAWL = "crawl"
"""The name of the queue, and of its task; its only argument is `job_id`, the id of a row of `scrape_jobs`."""

SCHEDULE = "schedule"
"""The name of the queue in which the schedule's own jobs stand."""

BATCH = 1_000


@dataclass(frozen=True)
class Request:
    """A queued run: what is to be crawled, how, and how often it was tried before. `queue_id` is its place."""

    id: UUID
    source_id: UUID
    slug: str
    trigger: str
    args: dict[str, Any]
    priority: int
    attempt: int
    queue_id: int | None


@dataclass(frozen=True)
class Availability:
    """Whether a source may be refreshed at this moment, by the database's clock."""

    id: UUID
    slug: str
    is_enabled: bool
    waits_until: dt.datetime | None

    @property
    def obstacle(self) -> str | None:
        """Why not, None when it may."""
        if not self.is_enabled:
            return f"it is disabled: scrapy sources enable {self.slug}"
        if self.waits_until is not None:
            return f"it failed too often and waits until {self.waits_until.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
        return None


@dataclass(frozen=True)
class Outcome:
    """What became of a source since it was asked for: its newest run."""

    slug: str
    id: UUID
    status: str
    finish_reason: str | None
    error: str | None
    attempt: int
    stats: dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A run at work. `stats` are its counters when it was last heard of."""

    id: UUID
    slug: str
    trigger: str
    worker: str | None
    started_at: dt.datetime
    heard_at: dt.datetime | None
    stats: dict[str, Any]


async def now(connection: Connection) -> dt.datetime:
    """Return the database's time: jobs are dated by it, since clocks differ."""
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None  # noqa: S101 - SELECT without FROM always answers
    time: dt.datetime = row[0]
    return time


async def one_at_a_time(connection: Connection) -> None:
    """Wait until no other transaction queues runs, and keep the others waiting until the end of this one."""
    await connection.execute(_SQL["one_at_a_time"])


async def due(connection: Connection) -> list[UUID]:
    """Return the sources that a refresh takes, the most urgent first: available, due, neither queued nor running."""
    cursor = await connection.execute(_SQL["due"])
    return [row[0] for row in await cursor.fetchall()]


async def availability(connection: Connection, source_ids: Collection[UUID]) -> list[Availability]:
    """Return for each of these sources whether it may be refreshed."""
    async with connection.cursor(row_factory=class_row(Availability)) as cursor:
        await cursor.execute(_SQL["available"], {"source_ids": list(source_ids)})
        return await cursor.fetchall()


async def enqueue(
    connection: Connection,
    source_ids: Sequence[UUID],
    *,
    trigger: str,
    args: dict[str, Any],
    priority: int | None = None,
    attempt: int = 1,
    delay: dt.timedelta | None = None,
    besides: int | None = None,
) -> list[UUID]:
    """Queue a run of each source and return the ids of their records; sources in the queue already are left out.

    `priority`: instead of the sources' own; higher comes first. `attempt` above 1: a run that is made again, while its
    own job, `besides`, is still in the queue. All or nothing, in one transaction.
    """
    manager = JobManager(PsycopgConnector())
    queued: list[UUID] = []
    async with connection.transaction():
        await one_at_a_time(connection)
        at = await now(connection) + delay if delay else None
        for first in range(0, len(source_ids), BATCH):
            cursor = await connection.execute(
                _SQL["queueable"],
                {
                    "source_ids": list(source_ids[first : first + BATCH]),
                    "priority": priority,
                    "besides": besides,
                },
            )
            found = await cursor.fetchall()
            if not found:
                continue
            ids = [uuid4() for _ in found]
            await connection.execute(
                _SQL["insert_jobs"],
                {
                    "ids": ids,
                    "source_ids": [source_id for source_id, _, _ in found],
                    "priorities": [its_priority for _, _, its_priority in found],
                    "trigger": trigger,
                    "args": Jsonb(args),
                    "attempt": attempt,
                },
            )
            deferred = await manager.batch_defer_jobs_async(
                [
                    QueueJob(
                        queue=QUEUE,
                        task_name=CRAWL,
                        priority=its_priority,
                        lock=domain,
                        queueing_lock=str(source_id),
                        task_kwargs={"job_id": str(job_id)},
                        scheduled_at=at,
                    )
                    for job_id, (source_id, domain, its_priority) in zip(ids, found, strict=True)
                ],
                connection=connection,
            )
            await connection.execute(_SQL["note_places"], {"ids": ids, "queue_ids": [job.id for job in deferred]})
            queued += ids
    return queued


async def enqueue_due(connection: Connection, *, trigger: str, args: dict[str, Any]) -> list[UUID]:
    """Queue every source that is due and return the ids of the runs' records."""
    return await enqueue(connection, await due(connection), trigger=trigger, args=args)


async def request(connection: Connection, job_id: UUID) -> Request | None:
    """Return what a queued run asks for; None when its source was removed."""
    async with connection.cursor(row_factory=class_row(Request)) as cursor:
        await cursor.execute(_SQL["request"], {"job_id": job_id})
        return await cursor.fetchone()


async def cancel(connection: Connection, job_ids: Collection[UUID]) -> tuple[list[UUID], list[UUID]]:
    """Take waiting runs from the queue and ask running ones to stop; return the ids of both.

    A running one ends when it next writes its counters, within seconds.
    """
    async with connection.transaction():
        cursor = await connection.execute(_SQL["cancel_queued"], {"job_ids": list(job_ids)})
        taken = [row[0] for row in await cursor.fetchall()]
        cursor = await connection.execute(_SQL["cancel_running"], {"job_ids": list(job_ids)})
        return taken, [row[0] for row in await cursor.fetchall()]


async def open_jobs(connection: Connection, source_id: UUID | None = None) -> list[UUID]:
    """Return the ids of the runs that wait or are at work, of one source or of all."""
    cursor = await connection.execute(_SQL["open_jobs"], {"source_id": source_id})
    return [row[0] for row in await cursor.fetchall()]


async def failed_sources(connection: Connection) -> list[UUID]:
    """Return the sources whose newest run failed."""
    cursor = await connection.execute(_SQL["failed_sources"])
    return [row[0] for row in await cursor.fetchall()]


async def open_sources(connection: Connection) -> list[UUID]:
    """Return the sources that wait in the queue, or that a worker crawls."""
    cursor = await connection.execute(_SQL["open_sources"], {"queue": QUEUE})
    return [row[0] for row in await cursor.fetchall()]


async def count_queued(connection: Connection, source_ids: Sequence[UUID]) -> int:
    """Return how many runs of these sources wait."""
    cursor = await connection.execute(_SQL["queued_among"], {"source_ids": list(source_ids)})
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def is_in_queue(connection: Connection, source_ids: Sequence[UUID]) -> bool:
    """Return whether the queue has a job of one of these sources, also one whose run has ended this moment."""
    ids = [str(source_id) for source_id in source_ids]
    cursor = await connection.execute(_SQL["is_in_queue"], {"queue": QUEUE, "source_ids": ids})
    row = await cursor.fetchone()
    return bool(row and row[0])


async def outcomes(connection: Connection, source_ids: Sequence[UUID], since: dt.datetime) -> list[Outcome]:
    """Return what became of these sources since a time."""
    async with connection.cursor(row_factory=class_row(Outcome)) as cursor:
        await cursor.execute(_SQL["outcomes"], {"source_ids": list(source_ids), "since": since})
        return await cursor.fetchall()


async def running(connection: Connection, source_ids: Sequence[UUID] | None = None) -> list[Running]:
    """Return the runs at work, the longest first: all of them, or the queue's of some sources."""
    async with connection.cursor(row_factory=class_row(Running)) as cursor:
        asked = None if source_ids is None else list(source_ids)
        await cursor.execute(_SQL["running"], {"source_ids": asked})
        return await cursor.fetchall()


async def count_waiting(connection: Connection, *, now: bool = False) -> int:
    """Return how many jobs wait; with `now`, only those that are not put off to a later time."""
    cursor = await connection.execute(_SQL["waiting_now" if now else "waiting"], {"queue": QUEUE})
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def is_drained(connection: Connection) -> bool:
    """Return whether the queue has nothing left: nothing waits, and no run has ended that is to be queued again."""
    row = await (await connection.execute(_SQL["is_drained"], {"queue": QUEUE})).fetchone()
    return bool(row and row[0])


async def free_connections(connection: Connection) -> int:
    """Return how many more connections the server takes at this moment."""
    row = await (await connection.execute(_SQL["free_connections"])).fetchone()
    return int(row[0]) if row else 0
