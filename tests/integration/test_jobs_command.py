"""`scrapy jobs`: watching the queue, and names that are nobody's."""

import json
from uuid import uuid4

import pytest

from db import queue
from db.connection import Connection
from tests.support.postgres import rows
from tests.support.queue import add, begin, enqueue
from tests.support.scrapy import run_scrapy, started_scrapy


def test_watching_ends_when_nothing_is_queued_or_running(database_url: str) -> None:
    done = run_scrapy("jobs", "watch", database_url=database_url)

    assert (done.code, done.stdout.strip()) == (0, "nothing is queued or running")


async def test_watching_tells_programs_of_each_look_in_a_line(connection: Connection, database_url: str) -> None:
    at_work, waiting = await add(connection, "at-work"), await add(connection, "waiting")
    running = uuid4()
    await begin(connection, running, at_work)
    await enqueue(connection, waiting)

    with started_scrapy("jobs", "watch", "--json", database_url=database_url) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())  # it comes at once, not when a buffer is full
        await queue.cancel(connection, await queue.open_jobs(connection, waiting))
        await connection.execute("UPDATE scrape_jobs SET status = 'succeeded' WHERE id = %s", (running,))
        others = [json.loads(line) for line in process.stdout]

        assert process.wait() == 0
    assert [(run["slug"], run["id"]) for run in first["running"]] == [("at-work", str(running))]
    assert first["waiting"] == 1
    assert (others[-1]["running"], others[-1]["waiting"]) == ([], 0)


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_an_id_of_no_job_and_no_source_is_called_that(database_url: str, action: str) -> None:
    unknown = str(uuid4())

    done = run_scrapy("jobs", action, unknown, database_url=database_url)

    assert done.code == 1
    assert done.stderr.strip() == (
        f"scrapy jobs: there is no job and no source with the id {unknown}: `scrapy jobs` lists the newest jobs"
    )


async def test_a_name_that_is_not_there_cancels_nothing_else(connection: Connection, database_url: str) -> None:
    await enqueue(connection, await add(connection, "a"))

    done = run_scrapy("jobs", "cancel", "a", "nobody", database_url=database_url)

    assert (done.code, "nobody" in done.stderr) == (1, True)
    assert await rows(connection, "SELECT status FROM scrape_jobs") == [("queued",)]
