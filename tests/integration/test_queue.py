"""The queue of runs: who waits, who is taken, in which order."""

import asyncio
import datetime as dt
from uuid import uuid4

from db import jobs, queue, sources
from db.connection import Connection, connect
from tests.support.queue import ARGS, add, begin, enqueue, status, take


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


async def test_thousands_are_queued_in_one_transaction(connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO scraper_sources (slug, start_url, domain)
        SELECT 's' || n, 'https://s' || n || '.org/', 's' || n || '.org' FROM generate_series(1, 2500) AS n
    """)

    queued = await queue.enqueue_due(connection, trigger="schedule", args={})

    assert len(queued) == len(set(queued)) == 2500
    assert await queue.count_waiting(connection) == 2500
    assert await queue.due(connection) == []


async def test_what_stands_in_the_way_of_a_source_is_told(connection: Connection) -> None:
    now = dt.datetime.now(dt.UTC)
    found = await queue.availability(
        connection,
        [
            await add(connection, "free"),
            await add(connection, "waited", backoff_until=now - dt.timedelta(hours=1)),
            await add(connection, "waiting", backoff_until=dt.datetime(2126, 1, 2, 4, 5, tzinfo=dt.UTC)),
            await add(connection, "disabled", enabled=False),
        ],
    )

    assert {each.slug: each.obstacle for each in found} == {
        "free": None,
        "waited": None,
        "waiting": "it failed too often and waits until 2126-01-02 04:05 UTC",
        "disabled": "it is disabled: scrapy sources enable disabled",
    }
