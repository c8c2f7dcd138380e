"""With many recorded runs, what is asked every few seconds reads none of those that have ended (B8)."""

import datetime as dt
from typing import LiteralString

import pytest

from db import queue, recovery
from db.connection import Connection
from tests.support.postgres import value
from tests.support.queue import add, begin, enqueue, take

MANY = 20_000
SILENCE = dt.timedelta(seconds=30)


@pytest.fixture
async def many(connection: Connection) -> None:
    await connection.execute(
        """
        WITH old AS (
            INSERT INTO scraper_sources (slug, start_url, domain)
            VALUES ('old', 'https://old.org/', 'old.org')
            RETURNING id
        )
        INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, queued_at, completed_at, queue_id, stats)
        SELECT old.id, 'schedule', 'succeeded', 'finished', now() - n * interval '1 min', now() - n * interval '1 min',
               -n, '{"pages/new": 1}'
        FROM old CROSS JOIN generate_series(1, %s) AS n
        """,
        (MANY,),
    )
    await connection.execute("VACUUM ANALYZE scrape_jobs")


async def records_read(connection: Connection) -> int:
    """Return how many records were read so far, by scanning the table or along an index."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    read: LiteralString = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'scrape_jobs'"
    return int(await value(connection, read))


@pytest.mark.usefixtures("many")
async def test_looking_after_the_queue_reads_no_run_that_has_ended(connection: Connection) -> None:
    lost, alive, waiting = [await add(connection, name) for name in ("lost", "alive", "waiting")]
    job_ids = await enqueue(connection, lost, alive, waiting)
    await take(connection, heard="1 h")
    await take(connection)
    await begin(connection, job_ids[0], lost)
    before = await records_read(connection)

    assert [each.id for each in await recovery.recover(connection, SILENCE)] == [job_ids[0]]
    await queue.is_drained(connection)
    await queue.count_waiting(connection)
    await queue.is_in_queue(connection, [lost, waiting])
    await queue.count_queued(connection, [lost, waiting])
    await queue.running(connection, [lost, waiting])

    assert await records_read(connection) - before < MANY / 100
