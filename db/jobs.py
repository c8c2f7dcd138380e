"""Runs: one row of `scrape_jobs` each, from queued to completed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.locks import held

if TYPE_CHECKING:
    import datetime as dt
    from uuid import UUID

    from db.connection import Connection


@dataclass(frozen=True)
class Job:
    """A run as `scrapy status` shows it."""

    id: UUID
    slug: str
    trigger: str
    status: str
    args: dict[str, Any]
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    finish_reason: str | None
    error: str | None
    stats: dict[str, Any]


async def start(
    connection: Connection, job_id: UUID, *, source_id: UUID, trigger: str, args: dict[str, Any], worker: str
) -> dt.datetime:
    """Record a run that begins now, and return the database's time. Bears repetition: the id is the caller's."""
    cursor = await connection.execute(
        """
        INSERT INTO scrape_jobs AS j (id, source_id, trigger, status, args, started_at, worker)
        VALUES (%s, %s, %s, 'running', %s, now(), %s)
        ON CONFLICT (id) DO UPDATE
        SET worker = EXCLUDED.worker
        RETURNING started_at
        """,
        (job_id, source_id, trigger, Jsonb(args), worker),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - INSERT ... RETURNING always answers
    started_at: dt.datetime = row[0]
    return started_at


async def finish(
    connection: Connection, job_id: UUID, *, status: str, reason: str, error: str | None, stats: dict[str, Any]
) -> bool:
    """Record how a run ended, and return False for a job that is closed already: it keeps its first verdict."""
    cursor = await connection.execute(
        """
        UPDATE scrape_jobs
        SET status = %s, completed_at = now(), finish_reason = %s, error = %s, stats = %s
        WHERE id = %s
          AND status IN ('queued', 'running')
        """,
        (status, reason, error, Jsonb(stats), job_id),
    )
    return cursor.rowcount == 1


async def close_lost(connection: Connection, *, domain: str | None = None, keep: UUID | None = None) -> list[UUID]:
    """Close running jobs whose domain lock nobody holds as failed, reason `lost` (A18), and return their ids.

    With `domain`, the caller holds that domain's lock itself: every other running job of it is lost.
    """
    cursor = await connection.execute(
        """
        SELECT j.id, s.domain
        FROM scrape_jobs AS j
        JOIN scraper_sources AS s ON s.id = j.source_id
        WHERE j.status = 'running'
          AND (%(domain)s::text IS NULL OR s.domain = %(domain)s)
          AND j.id IS DISTINCT FROM %(keep)s
        """,
        {"domain": domain, "keep": keep},
    )
    running = await cursor.fetchall()
    alive = set() if domain is not None else await held(connection, {domain for _, domain in running})
    lost = [job_id for job_id, its_domain in running if its_domain not in alive]
    await connection.execute(
        """
        UPDATE scrape_jobs
        SET status = 'failed', completed_at = now(), finish_reason = 'lost',
            error = 'the process that ran this job died; what it committed stays, the next run does the rest'
        WHERE id = ANY (%s)
          AND status = 'running'
        """,
        (lost,),
    )
    return lost


async def recent(connection: Connection, *, slug: str | None = None, limit: int = 20) -> list[Job]:
    """Return the newest runs, of one source or of all, newest first."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(
            """
            SELECT j.id, s.slug, j.trigger, j.status, j.args, j.started_at, j.completed_at, j.finish_reason, j.error,
                   j.stats
            FROM scrape_jobs AS j
            JOIN scraper_sources AS s ON s.id = j.source_id
            WHERE %(slug)s::text IS NULL OR s.slug = %(slug)s
            ORDER BY j.queued_at DESC
            LIMIT %(limit)s
            """,
            {"slug": slug, "limit": limit},
        )
        return await cursor.fetchall()
