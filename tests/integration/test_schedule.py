"""The schedule's own job: first in the queue, and tried again where the database failed it."""

from collections.abc import AsyncIterator

import procrastinate
import pytest

from db import queue
from db.connection import Connection
from lcl_spiders.fleet import schedule
from tests.support.faulty_runtime import FaultyRuntime
from tests.support.postgres import rows
from tests.support.queue import add, enqueue

NEVER = "0 0 29 2 *"  # no time of its own comes while the test runs


@pytest.fixture
def runtime(connection: Connection) -> FaultyRuntime:
    return FaultyRuntime(connection)


@pytest.fixture
async def app(database_url: str, runtime: FaultyRuntime) -> AsyncIterator[procrastinate.App]:
    made = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=database_url, min_size=1, max_size=2))
    schedule.put_on(made, runtime, NEVER)  # type: ignore[arg-type]  # a double that forces a fault
    async with made.open_async():
        await made.tasks["refresh"].defer_async(timestamp=0)
        yield made


async def work(app: procrastinate.App) -> None:
    """Carry out what is due in the schedule's queue."""
    await app.run_worker_async(
        queues=[queue.SCHEDULE], wait=False, install_signal_handlers=False, listen_notify=False, delete_jobs="always"
    )


async def test_a_time_at_which_the_database_fails_is_tried_again(
    connection: Connection, app: procrastinate.App, runtime: FaultyRuntime
) -> None:
    source_id = await add(connection, "a")
    runtime.failures = 1

    await work(app)

    assert await rows(connection, "SELECT status::text, scheduled_at > now() FROM procrastinate_jobs") == [
        ("todo", True)
    ]
    await connection.execute("UPDATE procrastinate_jobs SET scheduled_at = now()")

    await work(app)

    assert await rows(connection, "SELECT source_id, trigger FROM scrape_jobs") == [(source_id, "schedule")]
    assert await rows(connection, "SELECT task_name FROM procrastinate_jobs") == [(queue.CRAWL,)]


@pytest.mark.usefixtures("app")
async def test_what_falls_due_does_not_wait_behind_all_that_waits_already(connection: Connection) -> None:
    await enqueue(connection, await add(connection, "urgent", priority=1000))

    taken = await rows(
        connection,
        """
        WITH worker AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)
        SELECT (procrastinate_fetch_job_v2(ARRAY['crawls', 'schedule'], worker.id)).task_name FROM worker
        """,
    )

    assert taken == [("refresh",)]
