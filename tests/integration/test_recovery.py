"""Runs whose worker died, was stopped, or could not do them: made again once, by one process."""

import datetime as dt
from uuid import uuid4

import pytest

from db import jobs, queue, recovery, sources
from db.connection import Connection
from db.locks import DomainLock
from db.recovery import Again
from tests.support.postgres import rows
from tests.support.queue import add, begin, enqueue, status, take

SILENCE = dt.timedelta(seconds=30)


async def test_the_job_of_a_dead_worker_is_closed_as_lost_and_made_again(
    connection: Connection, database_url: str
) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="31 s")
    await begin(connection, job_id, source_id)

    (lost,) = await recovery.recover(connection, SILENCE)

    assert lost.id == job_id
    assert await status(connection, job_id) == ("failed", "lost", 1)
    again = await take(connection)
    assert again is not None
    assert await status(connection, again) == ("queued", None, 2)


async def test_a_worker_that_died_before_the_run_began_loses_nothing(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="31 s")

    assert len(await recovery.recover(connection, SILENCE)) == 1

    assert await status(connection, job_id) == ("failed", "lost", 1)
    assert await take(connection) is not None
    assert await recovery.recover(connection, SILENCE) == []


async def test_the_job_of_a_living_worker_is_left_alone(connection: Connection, database_url: str) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="29 s")
    lock = DomainLock(database_url, "a.org")
    await lock.acquire()
    await begin(connection, job_id, source_id)

    assert await recovery.recover(connection, SILENCE) == []
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

    assert (
        await recovery.recover(connection, SILENCE) == []
    )  # a machine that is cut off: its session outlives it a while
    await lock.release()

    assert [lost.id for lost in await recovery.recover(connection, SILENCE)] == [job_id]
    assert await take(connection) not in {None, job_id}


async def test_a_cancelled_run_whose_worker_dies_is_not_made_again(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="1 h")
    await begin(connection, job_id, source_id)
    await queue.cancel(connection, [job_id])

    assert await recovery.recover(connection, SILENCE) == []
    assert await status(connection, job_id) == ("skipped", "cancelled", 1)
    assert await take(connection) is None


async def test_a_job_whose_end_the_queue_did_not_learn_of_frees_its_domain(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection)
    await begin(connection, job_id, source_id)
    await jobs.finish(connection, job_id, status="succeeded", reason="finished", error=None, stats={})
    await connection.execute("UPDATE scrape_jobs SET completed_at = now() - interval '2 minutes'")

    assert await recovery.recover(connection, SILENCE) == []
    assert await rows(connection, "SELECT count(*) FROM procrastinate_jobs") == [(0,)]


async def test_a_schedule_whose_worker_died_is_carried_out_by_another(connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('schedule', 'refresh', 'doing')
    """)

    await recovery.recover(connection, SILENCE)

    assert await rows(connection, "SELECT status::text FROM procrastinate_jobs") == [("todo",)]


async def test_a_source_that_was_busy_before_its_worker_died_is_not_blamed(connection: Connection) -> None:
    source_id = await add(connection, "a")
    for attempt in range(1, recovery.MAX_RETRIES + 1):
        await connection.execute(
            "INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, attempt, completed_at) "
            "VALUES (%s, 'queue', 'skipped', 'domain_locked', %s, now())",
            (source_id, attempt),
        )
    await enqueue(connection, source_id, attempt=recovery.MAX_RETRIES + 1)
    await take(connection, heard="1 h")

    await recovery.recover(connection, SILENCE)

    assert (await sources.get(connection, "a")).consecutive_failures == 0


async def test_a_record_whose_place_in_the_queue_is_gone_is_queued_again(connection: Connection) -> None:
    (job_id,) = await enqueue(connection, await add(connection, "a"))
    await connection.execute("TRUNCATE procrastinate_jobs CASCADE")

    assert [lost.id for lost in await recovery.recover(connection, SILENCE)] == [job_id]
    assert await take(connection) not in {None, job_id}


async def test_a_source_whose_every_attempt_kills_its_worker_is_blamed_once(connection: Connection) -> None:
    source_id = await add(connection, "a")
    await enqueue(connection, source_id)
    for _ in range(recovery.MAX_RETRIES + 1):
        assert await take(connection, heard="1 h") is not None
        await recovery.recover(connection, SILENCE)

    assert await take(connection) is None
    source = await sources.get(connection, "a")
    assert (source.consecutive_failures, source.last_run_at is not None) == (1, True)


@pytest.mark.parametrize("attempt", range(1, recovery.MAX_RETRIES + 2))
async def test_a_run_is_made_again_three_times_at_most(connection: Connection, attempt: int) -> None:
    (job_id,) = await enqueue(connection, await add(connection, "a"), attempt=attempt)
    await take(connection)
    request = await queue.request(connection, job_id)
    assert request is not None

    result = await recovery.again(connection, request, delay=dt.timedelta(hours=1))

    assert result is (Again.QUEUED if attempt <= recovery.MAX_RETRIES else Again.GIVEN_UP)
    assert await queue.count_waiting(connection) == int(result is Again.QUEUED)
    assert await queue.count_waiting(connection, now=True) == 0


async def test_a_worker_that_was_taken_for_dead_makes_its_run_no_second_time(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection, heard="1 h")
    paused = await queue.request(connection, job_id)
    assert paused is not None
    await begin(connection, job_id, source_id)
    await recovery.recover(connection, SILENCE)

    assert await recovery.again(connection, paused) is Again.ELSEWHERE  # while the new run waits

    again = await take(connection)
    assert again is not None
    assert await recovery.again(connection, paused) is Again.ELSEWHERE  # while it is at work
    await connection.execute("DELETE FROM procrastinate_jobs")
    assert await recovery.again(connection, paused) is Again.ELSEWHERE  # when it has ended
    assert len(await jobs.recent(connection)) == 2


async def test_a_run_whose_end_its_worker_could_not_record_is_made_again(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    await take(connection)
    await begin(connection, job_id, source_id)

    assert await recovery.recover(connection, SILENCE) == []  # the worker may be about to see to it itself
    assert not await queue.is_drained(connection)
    await connection.execute("UPDATE scrape_jobs SET completed_at = now() - interval '2 minutes'")

    assert [lost.id for lost in await recovery.recover(connection, SILENCE)] == [job_id]
    assert await status(connection, job_id) == ("failed", "lost", 1)
    assert await take(connection) not in {None, job_id}


async def test_a_lost_run_that_no_queue_asked_for_is_not_queued(connection: Connection) -> None:
    source_id = await add(connection, "a")
    await begin(connection, uuid4(), source_id)

    assert await recovery.recover(connection, SILENCE) == []
    assert [job.finish_reason for job in await jobs.recent(connection)] == ["lost"]


@pytest.mark.parametrize("reason", [*recovery.INTERRUPTED, *recovery.HINDERED])
async def test_a_worker_that_dies_between_a_runs_end_and_its_next_try_loses_nothing(
    connection: Connection, reason: str
) -> None:
    (job_id,) = await enqueue(connection, await add(connection, "a"))
    await take(connection, heard="31 s")
    await jobs.finish(connection, job_id, status="failed", reason=reason, error=None, stats={})

    assert [lost.id for lost in await recovery.recover(connection, SILENCE)] == [job_id]
    assert await take(connection) not in {None, job_id}


@pytest.mark.parametrize("reason", ["finished", "site_unreachable", "cancelled", "internal_error"])
async def test_a_run_that_came_to_its_own_end_is_not_made_again_when_its_worker_dies(
    connection: Connection, reason: str
) -> None:
    (job_id,) = await enqueue(connection, await add(connection, "a"))
    await take(connection, heard="31 s")
    await jobs.finish(connection, job_id, status="failed", reason=reason, error=None, stats={})

    assert await recovery.recover(connection, SILENCE) == []
    assert await rows(connection, "SELECT count(*) FROM procrastinate_jobs") == [(0,)]
