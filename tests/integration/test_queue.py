"""The queue of runs: who waits, who is taken, what happens to the jobs of dead workers."""

import asyncio
import datetime as dt
from uuid import UUID, uuid4

import pytest

from db import jobs, queue, sources
from db.connection import Connection, connect
from db.locks import DomainLock
from tests.support.postgres import rows

SILENCE = dt.timedelta(seconds=30)
ARGS = {"force_rescrape": True}


async def add(connection: Connection, name: str, **columns: object) -> UUID:
    source, _ = await sources.add(connection, f"https://{name}.org/", slug=name)
    for column, value in columns.items():
        await connection.execute(f"UPDATE scraper_sources SET {column} = %s WHERE id = %s".encode(), (value, source.id))
    return source.id


async def enqueue(connection: Connection, *source_ids: UUID, **options: object) -> list[UUID]:
    return await queue.enqueue(connection, source_ids, trigger="queue", args=ARGS, **options)  # type: ignore[arg-type]


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


async def test_what_is_due_is_available_without_a_success_in_its_interval_most_urgent_first(
    connection: Connection,
) -> None:
    now = dt.datetime.now(dt.UTC)
    never = await add(connection, "never")
    old = await add(connection, "old", last_success_at=now - dt.timedelta(days=2))
    urgent = await add(connection, "urgent", priority=5, last_success_at=now - dt.timedelta(hours=23))
    await add(connection, "fresh", last_success_at=now - dt.timedelta(hours=2))
    await add(connection, "disabled", enabled=False)
    await add(connection, "auto", auto_disabled=True)
    await add(connection, "waiting", backoff_until=now + dt.timedelta(hours=1))
    queued = await add(connection, "queued")
    await enqueue(connection, queued)

    assert await queue.due(connection) == [urgent, never, old]


async def test_a_source_waits_in_the_queue_once(connection: Connection, database_url: str) -> None:
    source_id = await add(connection, "a")
    async with connect(database_url) as other:
        found = await asyncio.gather(enqueue(connection, source_id), enqueue(other, source_id))

    assert sorted(len(each) for each in found) == [0, 1]
    assert len(await jobs.recent(connection)) == 1


async def test_a_queued_run_keeps_its_record_when_it_begins(connection: Connection) -> None:
    source_id = await add(connection, "a", priority=3)
    (job_id,) = await enqueue(connection, source_id)
    request = await queue.request(connection, job_id)

    assert await take(connection) == job_id
    assert await begin(connection, job_id, source_id) is not None

    (found,) = await jobs.recent(connection)
    assert (found.id, found.trigger, found.status, found.priority) == (job_id, "queue", "running", 3)
    assert request is not None
    assert (request.slug, request.args, request.attempt) == ("a", ARGS, 1)


async def test_higher_priority_is_taken_first(connection: Connection) -> None:
    low, high = await add(connection, "low"), await add(connection, "high", priority=1)
    queued = await enqueue(connection, low, high)

    assert await take(connection) == queued[1]


async def test_two_sources_of_one_domain_are_not_taken_together(connection: Connection) -> None:
    first, _ = await sources.add(connection, "https://a.org/")
    second, _ = await sources.add(connection, "https://a.org/news/")
    await enqueue(connection, first.id, second.id)

    assert await take(connection) is not None
    assert await take(connection) is None


async def test_the_job_of_a_dead_worker_is_closed_as_lost_and_made_again(
    connection: Connection, database_url: str
) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="31 s")
    await begin(connection, job_id, source_id)

    (lost,) = await queue.recover(connection, SILENCE)

    assert lost.id == job_id
    assert await status(connection, job_id) == ("failed", "lost", 1)
    again = await take(connection)
    assert again is not None
    assert await status(connection, again) == ("queued", None, 2)


async def test_a_worker_that_died_before_the_run_began_loses_nothing(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="31 s")

    assert len(await queue.recover(connection, SILENCE)) == 1

    assert await status(connection, job_id) == ("failed", "lost", 1)
    assert await take(connection) is not None
    assert await queue.recover(connection, SILENCE) == []


async def test_the_job_of_a_living_worker_is_left_alone(connection: Connection, database_url: str) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="29 s")
    lock = DomainLock(database_url, "a.org")
    await lock.acquire()
    await begin(connection, job_id, source_id)

    assert await queue.recover(connection, SILENCE) == []
    assert await status(connection, job_id) == ("running", None, 1)
    await lock.release()


async def test_a_run_whose_lock_is_held_keeps_its_place_though_its_worker_is_silent(
    connection: Connection, database_url: str
) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="1 h")
    lock = DomainLock(database_url, "a.org")
    await lock.acquire()
    await begin(connection, job_id, source_id)

    assert await queue.recover(connection, SILENCE) == []  # a machine that is cut off: its session outlives it a while
    await lock.release()

    assert [lost.id for lost in await queue.recover(connection, SILENCE)] == [job_id]
    assert await take(connection) not in {None, job_id}


async def test_a_cancelled_run_whose_worker_dies_is_not_made_again(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="1 h")
    await begin(connection, job_id, source_id)
    await queue.cancel(connection, [job_id])

    assert await queue.recover(connection, SILENCE) == []
    assert await status(connection, job_id) == ("skipped", "cancelled", 1)
    assert await take(connection) is None


async def test_a_job_whose_end_the_queue_did_not_learn_of_frees_its_domain(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection)
    await begin(connection, job_id, source_id)
    await jobs.finish(connection, job_id, status="succeeded", reason="finished", error=None, stats={})
    await connection.execute("UPDATE scrape_jobs SET completed_at = now() - interval '2 minutes'")

    assert await queue.recover(connection, SILENCE) == []
    assert await rows(connection, "SELECT count(*) FROM procrastinate_jobs") == [(0,)]


async def test_a_schedule_whose_worker_died_is_carried_out_by_another(connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('schedule', 'refresh', 'doing')
    """)

    await queue.recover(connection, SILENCE)

    assert await rows(connection, "SELECT status::text FROM procrastinate_jobs") == [("todo",)]


async def test_a_source_that_was_busy_before_its_worker_died_is_not_blamed(connection: Connection) -> None:
    source_id = await add(connection, "a")
    for attempt in range(1, queue.MAX_RETRIES + 1):
        await connection.execute(
            "INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, attempt, completed_at) "
            "VALUES (%s, 'queue', 'skipped', 'domain_locked', %s, now())",
            (source_id, attempt),
        )
    await enqueue(connection, source_id, attempt=queue.MAX_RETRIES + 1)
    await take(connection, heard="1 h")

    await queue.recover(connection, SILENCE)

    assert (await sources.get(connection, "a")).consecutive_failures == 0


async def test_a_record_whose_place_in_the_queue_is_gone_is_queued_again(connection: Connection) -> None:
    (job_id,) = await enqueue(connection, await add(connection, "a"))
    await connection.execute("TRUNCATE procrastinate_jobs CASCADE")

    assert [lost.id for lost in await queue.recover(connection, SILENCE)] == [job_id]
    assert await take(connection) not in {None, job_id}


async def test_a_source_whose_every_attempt_kills_its_worker_is_blamed_once(connection: Connection) -> None:
    source_id = await add(connection, "a")
    await enqueue(connection, source_id)
    for _ in range(queue.MAX_RETRIES + 1):
        assert await take(connection, heard="1 h") is not None
        await queue.recover(connection, SILENCE)

    assert await take(connection) is None
    source = await sources.get(connection, "a")
    assert (source.consecutive_failures, source.last_run_at is not None) == (1, True)


async def test_a_run_that_waits_is_cancelled_at_once(connection: Connection) -> None:
    (job_id,) = await enqueue(connection, await add(connection, "a"))

    assert await queue.cancel(connection, [job_id]) == ([job_id], [])

    assert await status(connection, job_id) == ("skipped", "cancelled", 1)
    assert await take(connection) is None


async def test_a_run_at_work_learns_that_it_is_cancelled_when_it_next_reports(connection: Connection) -> None:
    source_id, job_id = await add(connection, "a"), uuid4()
    await begin(connection, job_id, source_id)
    assert await jobs.report(connection, job_id, {"pages/new": 1}) is None

    assert await queue.cancel(connection, [job_id]) == ([], [job_id])

    assert await jobs.report(connection, job_id, {"pages/new": 2}) == "cancelled"


async def test_a_run_cancelled_between_queue_and_beginning_does_not_begin(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection)
    await queue.cancel(connection, [job_id])

    assert await begin(connection, job_id, source_id) is None


async def test_a_run_that_was_closed_meanwhile_is_told_to_stop(connection: Connection) -> None:
    source_id, job_id = await add(connection, "a"), uuid4()
    await begin(connection, job_id, source_id)
    await jobs.close_lost(connection)

    assert await jobs.report(connection, job_id, {}) == "lost"


@pytest.mark.parametrize("attempt", range(1, queue.MAX_RETRIES + 2))
async def test_a_run_is_made_again_three_times_at_most(connection: Connection, attempt: int) -> None:
    (job_id,) = await enqueue(connection, await add(connection, "a"), attempt=attempt)
    await take(connection)
    request = await queue.request(connection, job_id)
    assert request is not None

    is_queued = await queue.again(connection, request, delay=dt.timedelta(hours=1))

    assert is_queued == (attempt <= queue.MAX_RETRIES)
    assert await queue.count_waiting(connection) == int(is_queued)
    assert await queue.count_waiting(connection, now=True) == 0


async def test_thousands_are_queued_in_one_transaction(connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO scraper_sources (slug, start_url, domain)
        SELECT 's' || n, 'https://s' || n || '.org/', 's' || n || '.org' FROM generate_series(1, 2500) AS n
    """)

    queued = await queue.enqueue_due(connection, trigger="schedule", args={})

    assert len(queued) == len(set(queued)) == 2500
    assert await queue.count_waiting(connection) == 2500
    assert await queue.due(connection) == []
