"""A coordinator beside the workers: how many the database bears, and what it does while that is away."""

import asyncio
import dataclasses
import datetime as dt
from uuid import UUID

import pytest
from scrapy.settings import Settings

from db import queue
from db.connection import Connection, connect
from db.errors import DatabaseUnavailable
from lcl_spiders.fleet import coordinator
from lcl_spiders.fleet.config import FleetConfig
from lcl_spiders.fleet.coordinator import Coordinator, Progress
from tests.support.faulty_runtime import FaultyRuntime
from tests.support.postgres import value
from tests.support.queue import add, enqueue

FLEET = FleetConfig.from_settings(Settings())


def made(runtime: FaultyRuntime, fleet: FleetConfig = FLEET, source_ids: tuple[UUID, ...] = ()) -> Coordinator:
    return Coordinator(runtime, fleet, source_ids, worker_options=[], say=print)  # type: ignore[arg-type]  # what of a runtime it needs


async def test_as_many_workers_are_started_as_are_wanted_where_the_database_has_room(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    assert await made(FaultyRuntime(connection))._affordable(connection, 2) == 2
    assert not caplog.records


async def test_no_more_workers_are_started_than_the_database_has_connections_for(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    room = await queue.free_connections(connection)
    greedy = dataclasses.replace(FLEET, sources_at_a_time=room // 2)  # with its pool, one takes more than half of it

    assert await made(FaultyRuntime(connection), greedy)._affordable(connection, 5) == 1

    assert "so 1 of 5 start. Raise max_connections, or lower LCL_SOURCES_AT_A_TIME" in caplog.text


async def test_one_worker_is_started_even_where_there_is_no_room_at_all(connection: Connection) -> None:
    most = int(await value(connection, "SHOW max_connections"))
    huge = dataclasses.replace(FLEET, sources_at_a_time=10 * most)

    assert await made(FaultyRuntime(connection), huge)._affordable(connection, 3) == 1


@pytest.fixture
async def waiting(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> tuple[UUID, UUID]:
    """A source and its run, which waits for an hour, so that no worker is started for it."""
    monkeypatch.setattr(coordinator, "LOOK_EVERY", 0)
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id, delay=dt.timedelta(hours=1))
    return source_id, job_id


async def test_a_refresh_waits_for_a_database_that_is_away_for_a_while(
    connection: Connection, database_url: str, waiting: tuple[UUID, UUID], caplog: pytest.LogCaptureFixture
) -> None:
    source_id, job_id = waiting
    runtime = FaultyRuntime(connection)
    seen: list[Progress] = []
    async with connect(database_url) as other, asyncio.TaskGroup() as ending:

        def show(progress: Progress) -> None:
            seen.append(progress)
            if len(seen) == 1:
                runtime.failures = 3
            elif len(seen) == 2:
                ending.create_task(queue.cancel(other, [job_id]))

        await made(runtime, source_ids=(source_id,)).watch(show)

    assert (seen[0].queued, seen[1].queued, seen[-1].done) == (1, 1, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "the database does not answer. Waiting for it; the workers do as well"
    ]


async def test_a_refresh_gives_up_on_a_database_that_stays_away(
    connection: Connection, waiting: tuple[UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator, "DATABASE_PATIENCE", 0)
    runtime = FaultyRuntime(connection)

    def show(_: Progress) -> None:
        runtime.failures = 10**6

    with pytest.raises(DatabaseUnavailable):
        await made(runtime, source_ids=waiting[:1]).watch(show)


async def test_a_refresh_that_is_stopped_leaves_what_waits_in_the_queue(
    connection: Connection, waiting: tuple[UUID, UUID]
) -> None:
    watching = made(FaultyRuntime(connection), source_ids=waiting[:1])

    await watching.watch(lambda _: watching.stop())

    assert await queue.count_waiting(connection) == 1
