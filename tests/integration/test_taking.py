"""What a worker tells the queue of the jobs that it has taken."""

import datetime as dt
import logging

import pytest
from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status

from db import recovery
from db.connection import Connection
from db.errors import DatabaseUnavailable
from lcl_spiders.fleet.taking import Jobs, in_one_line
from tests.support.postgres import rows
from tests.support.queue import add, enqueue, take


@pytest.fixture
async def jobs(database_url: str):
    connector = PsycopgConnector(conninfo=database_url, min_size=1, max_size=1, timeout=5)
    await connector.open_async()
    yield Jobs(connector)
    await connector.close_async()


@pytest.fixture
async def job(connection: Connection) -> Job:
    await enqueue(connection, await add(connection, "a"))
    await take(connection)
    ((queue_id,),) = await rows(connection, "SELECT id FROM procrastinate_jobs")
    return Job(id=queue_id, queue="crawls", lock="a.org", queueing_lock=None, task_name="crawl", priority=0)


async def left(connection: Connection) -> list[tuple[str, bool]]:
    """Return of each job in the queue its status, and whether a worker has it."""
    return await rows(connection, "SELECT status::text, worker_id IS NOT NULL FROM procrastinate_jobs")


async def test_a_job_that_was_carried_out_leaves_the_queue(connection: Connection, jobs: Jobs, job: Job) -> None:
    await jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)

    assert await left(connection) == []


async def test_a_job_whose_end_could_not_be_recorded_is_left_to_others(
    connection: Connection, jobs: Jobs, job: Job
) -> None:
    await jobs.finish_job(job, Status.FAILED, delete_job=True)
    assert await left(connection) == [("doing", True)]

    await jobs.leave()

    assert await left(connection) == [("doing", False)]
    assert len(await recovery.recover(connection, dt.timedelta(seconds=30))) == 1
    await jobs.leave()  # and once only
    assert await left(connection) == [("todo", False)]


async def test_a_job_that_was_taken_away_meanwhile_is_no_error(
    connection: Connection, jobs: Jobs, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    await connection.execute("DELETE FROM procrastinate_jobs")

    with caplog.at_level(logging.INFO, "lcl_spiders"):
        await jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)

    assert "was taken from this worker" in caplog.text


async def test_an_end_that_the_queue_does_not_hear_of_ends_no_task(
    connection: Connection, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = PsycopgConnector(conninfo="host=/nowhere connect_timeout=1", min_size=0, max_size=1, timeout=0.1)
    await nobody.open_async()
    try:
        jobs = Jobs(nobody)
        await jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)
        with pytest.raises(ConnectorException):
            await jobs.leave()
    finally:
        await nobody.close_async()

    assert "the queue was not told" in caplog.text
    assert await left(connection) == [("doing", True)]


@pytest.mark.parametrize("error", [ConnectorException("away"), DatabaseUnavailable("away")])
def test_a_database_that_is_away_is_told_in_a_line_and_other_errors_keep_their_traceback(error: Exception) -> None:
    def record(of: Exception) -> logging.LogRecord:
        return logging.LogRecord("procrastinate", logging.ERROR, "", 0, "job %s ended", (1,), (type(of), of, None))

    away, other = record(error), record(KeyError("x"))

    assert in_one_line(away)
    assert in_one_line(other)
    assert (away.getMessage(), away.exc_info) == ("job 1 ended: away", None)
    assert other.exc_info is not None
