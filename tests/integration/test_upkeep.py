"""What a worker does beside its crawls."""

import asyncio
import dataclasses
import datetime as dt
from types import SimpleNamespace

import pytest
from scrapy.settings import Settings

from db import queue
from db.connection import Connection
from lcl_spiders.fleet.config import FleetConfig
from lcl_spiders.fleet.upkeep import Upkeep
from lcl_spiders.fleet.worker import Worker
from pipelines.addon import DEFAULTS
from pipelines.config import Config
from tests.support.faulty_runtime import FaultyRuntime
from tests.support.postgres import value
from tests.support.queue import add, begin, enqueue, take

FLEET = dataclasses.replace(FleetConfig.from_settings(Settings()), heartbeat=0)


def upkeep(runtime: FaultyRuntime, fleet: FleetConfig = FLEET, *, in_hand: int = 0) -> Upkeep:
    return Upkeep(runtime, fleet, SimpleNamespace(in_hand=in_hand, done=0))  # type: ignore[arg-type]  # what of the crawls it looks at


async def test_what_a_dead_worker_left_comes_back(connection: Connection) -> None:
    await enqueue(connection, await add(connection, "a"))
    await take(connection, heard="1 h")

    await upkeep(FaultyRuntime(connection)).bring_back()

    assert await queue.count_waiting(connection) == 1


async def test_a_queue_is_not_drained_while_a_run_is_lost_that_could_not_be_recorded(connection: Connection) -> None:
    source_id = await add(connection, "a")
    (job_id,) = await enqueue(connection, source_id)
    worker = upkeep(FaultyRuntime(connection))
    assert not await worker.is_drained()  # it waits

    await take(connection)
    await begin(connection, job_id, source_id)

    assert not await worker.is_drained()  # nobody holds its lock


async def test_a_worker_with_something_in_hand_has_not_drained_the_queue(connection: Connection) -> None:
    runtime = FaultyRuntime(connection)

    assert await upkeep(runtime).is_drained()
    assert not await upkeep(runtime, in_hand=1).is_drained()


async def test_a_database_that_is_away_is_told_of_once_and_drains_nothing(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = FaultyRuntime(connection)
    worker = upkeep(runtime)
    runtime.failures = 3

    assert [await worker.is_drained() for _ in range(4)] == [False, False, False, True]

    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "the queue cannot be looked after: the database does not answer",
        "the queue can be looked after again",
    ]


@pytest.mark.parametrize(("keep", "left"), [(dt.timedelta(days=90), 5), (None, 9)])
async def test_old_records_of_runs_are_deleted_unless_they_are_kept_for_ever(
    connection: Connection, keep: dt.timedelta | None, left: int
) -> None:
    await connection.execute(
        """
        INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, queued_at)
        SELECT %s, 'schedule', 'failed', 'lost', now() - (100 + n) * interval '1 day' FROM generate_series(1, 9) AS n
        """,
        (await add(connection, "a"),),
    )
    worker = upkeep(FaultyRuntime(connection), dataclasses.replace(FLEET, keep_jobs=keep))

    await worker._thin()

    assert await value(connection, "SELECT count(*) FROM scrape_jobs") == left


async def test_a_worker_that_is_told_to_stop_leaves_the_building_of_indexes() -> None:
    settings = Settings(DEFAULTS)
    worker = Worker(settings, Config.from_settings(settings), FLEET, drain=True)
    begun, ended = asyncio.Event(), []

    async def build() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    working = asyncio.create_task(worker._unless_stopped(build()))
    await begun.wait()
    worker.stop()
    await working

    assert ended == [True]
