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

PRESENT = (
    "pages/new",
    "pages/changed",
    "pages/reembedded",
    "pages/unchanged",
    "pages/not_modified",
    "pages/duplicate",
    "pages/pending",
    "pages/skipped_recent",
    "pages/skipped_lastmod",
)
"""The counters of the pages that a run knew to be there when it ended."""

EMPTY_RUNS = 5
"""So many runs in a row that found nothing make a source empty (A21)."""

REASONS_OF_SITES = (
    "yield_collapse",
    "site_unreachable",
    "robots_unavailable",
    "robots_forbidden",
    "too_many_failures",
    "mass_delete_refused",
)
"""Why runs fail that came as far as the site; the others (a lost lock, a provider that is down) say nothing of it."""


@dataclass(frozen=True)
class Job:
    """A run as `scrapy status` shows it."""

    id: UUID
    slug: str
    trigger: str
    status: str
    args: dict[str, Any]
    priority: int
    attempt: int
    queued_at: dt.datetime
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    finish_reason: str | None
    error: str | None
    stats: dict[str, Any]
    worker: str | None


async def start(
    connection: Connection, job_id: UUID, *, source_id: UUID, trigger: str, args: dict[str, Any], worker: str
) -> dt.datetime | None:
    """Record a run that begins now, and return the database's time; None for a job that is closed, or to be cancelled.

    A queued job keeps its trigger. Bears repetition: the id is the caller's.
    """
    cursor = await connection.execute(
        """
        INSERT INTO scrape_jobs AS j (id, source_id, trigger, status, args, started_at, worker)
        VALUES (%s, %s, %s, 'running', %s, now(), %s)
        ON CONFLICT (id) DO UPDATE
        SET status = 'running', args = EXCLUDED.args, worker = EXCLUDED.worker,
            started_at = coalesce(j.started_at, EXCLUDED.started_at)
        WHERE j.status IN ('queued', 'running')
          AND NOT j.cancel_requested
        RETURNING started_at
        """,
        (job_id, source_id, trigger, Jsonb(args), worker),
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def is_cancelled(connection: Connection, job_id: UUID) -> bool:
    """Return whether somebody asked that a run end, or not begin."""
    cursor = await connection.execute(
        "SELECT cancel_requested OR finish_reason = 'cancelled' FROM scrape_jobs WHERE id = %s", (job_id,)
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def report(connection: Connection, job_id: UUID, stats: dict[str, Any]) -> str | None:
    """Record how far a run has come, and return why it must stop: `cancelled`, or `lost` when others closed its job."""
    cursor = await connection.execute(
        """
        UPDATE scrape_jobs
        SET stats = %s, heard_at = now()
        WHERE id = %s
          AND status = 'running'
        RETURNING cancel_requested
        """,
        (Jsonb(stats), job_id),
    )
    row = await cursor.fetchone()
    if row is None:
        return "lost"
    return "cancelled" if row[0] else None


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
        SET status = CASE WHEN cancel_requested THEN 'skipped' ELSE 'failed' END, completed_at = now(),
            finish_reason = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'lost' END,
            error = 'the process that ran this job died; what it committed stays, the next run does the rest'
        WHERE id = ANY (%s)
          AND status = 'running'
        """,
        (lost,),
    )
    return lost


async def is_any_at_work(connection: Connection) -> bool:
    """Return whether a run holds the lock of its domain at this moment, on any machine."""
    cursor = await connection.execute(
        "SELECT DISTINCT s.domain FROM scrape_jobs AS j JOIN scraper_sources AS s ON s.id = j.source_id "
        "WHERE j.status = 'running'"
    )
    return bool(await held(connection, [domain for (domain,) in await cursor.fetchall()]))


async def recent(
    connection: Connection,
    *,
    slug: str | None = None,
    status: str | None = None,
    job_id: UUID | None = None,
    limit: int = 20,
) -> list[Job]:
    """Return the newest runs, of one source or of all, of one status or of any, newest first."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(
            """
            SELECT j.id, s.slug, j.trigger, j.status, j.args, j.priority, j.attempt, j.queued_at, j.started_at,
                   j.completed_at, j.finish_reason, j.error, j.stats, j.worker
            FROM scrape_jobs AS j
            JOIN scraper_sources AS s ON s.id = j.source_id
            WHERE (%(slug)s::text IS NULL OR s.slug = %(slug)s)
              AND (%(status)s::text IS NULL OR j.status = %(status)s)
              AND (%(job_id)s::uuid IS NULL OR j.id = %(job_id)s)
            ORDER BY j.queued_at DESC
            LIMIT %(limit)s
            """,
            {"slug": slug, "status": status, "job_id": job_id, "limit": limit},
        )
        return await cursor.fetchall()
