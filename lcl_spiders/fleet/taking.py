"""Taking jobs from the queue, for as long as the worker lives, also after the database was away for a while."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as QueueWorker

from db.errors import DatabaseUnavailable, one_line
from pipelines.tasks import end

if TYPE_CHECKING:
    import procrastinate
    from procrastinate.connector import BaseConnector
    from procrastinate.jobs import Job

    from lcl_spiders.fleet.config import FleetConfig

logger = logging.getLogger(__name__)

POLL_EVERY = 1.0  # seconds; a job whose domain has become free is announced by nobody
STEADY = 60.0  # seconds after which a failure of the queue is a new one
MAX_FAILURES = 6  # in a row: some two minutes
LONGEST_WAIT = 30.0  # seconds


class Jobs(JobManager):
    """The queue as a worker uses it."""

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._unfinished: set[int] = set()

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Take a job from the queue whose run has ended and is recorded. Any other is left to others, see `leave`."""
        if status is not Status.FAILED:
            try:
                await super().finish_job(job, status, delete_job)
                return
            except ConnectorException as error:
                if isinstance(error.__cause__, psycopg.errors.RaiseException):
                    logger.info("job %s of the queue was taken from this worker, which was not heard for long", job.id)
                    return
                logger.warning("the queue was not told of the end of job %s: %s", job.id, _cause(error))
        if job.id is not None:
            self._unfinished.add(job.id)

    async def leave(self) -> None:
        """Let go of jobs that could not be finished: `db.recovery` then makes their runs again, or frees their places.

        Called with each heartbeat, since the database may be away. Raises `ConnectorException`.
        """
        ids = list(self._unfinished)
        if ids:
            await self.connector.execute_query_async(
                "UPDATE procrastinate_jobs SET worker_id = NULL WHERE id = ANY(%(ids)s::bigint[]) AND status = 'doing'",
                ids=ids,
            )
            self._unfinished.difference_update(ids)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Return a job to carry out, None when there is none, or when another worker was first."""
        try:
            return await super().fetch_job(queues, worker_id)
        except UniqueViolation:  # both reached for jobs of one domain
            return None


def in_one_line(record: logging.LogRecord) -> bool:
    """Tell in one line that the database was away, where the library adds a traceback: a filter for its loggers."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (ConnectorException, DatabaseUnavailable)):
        record.msg, record.args = "%s: %s", (record.getMessage().split("\n")[0], _cause(error))
        record.exc_info = record.exc_text = None
    return True


def _cause(error: BaseException) -> str:
    """Return what is behind an error of the library, whose own message says nothing."""
    return one_line(error.__cause__ or error)


class Taking:
    """Takes jobs while `run` runs, until `stop`."""

    def __init__(self, app: procrastinate.App, fleet: FleetConfig, queues: Iterable[str]) -> None:
        self._app = app
        self._fleet = fleet
        self._queues = list(queues)
        self._worker: QueueWorker | None = None
        self._stopped = asyncio.Event()
        self._name = f"{os.uname().nodename}:{os.getpid()}"
        app.job_manager = self._jobs = Jobs(app.connector)
        for name in ("procrastinate.utils", "procrastinate.worker", f"procrastinate.worker.{self._name}"):
            logging.getLogger(name).addFilter(in_one_line)

    def stop(self) -> None:
        """Take no more jobs; `run` returns when those that were taken have ended."""
        self._stopped.set()
        if self._worker is not None:
            self._worker.stop()  # type: ignore[no-untyped-call]  # the library leaves its methods untyped

    async def run(self) -> None:
        """Take jobs. Raises `DatabaseUnavailable` when the queue stays away."""
        failures = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            reason = "one of its tasks ended"
            self._worker = worker = QueueWorker(
                self._app,
                queues=self._queues,
                name=self._name,
                concurrency=self._fleet.sources_at_a_time,
                fetch_job_polling_interval=POLL_EVERY,
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=self._fleet.heartbeat,
                stalled_worker_timeout=self._fleet.silence.total_seconds(),
            )
            beating = asyncio.create_task(self._beat(worker))
            try:
                await worker.run()  # type: ignore[no-untyped-call]  # see stop
            except (ConnectorException, psycopg.Error) as error:
                reason = f"{type(error).__name__}: {_cause(error)}"
            finally:
                await end(beating)
            if self._stopped.is_set():
                return
            failures = 1 if time.monotonic() - began > STEADY else failures + 1
            if failures > MAX_FAILURES:
                msg = f"the queue cannot be reached: {reason}"
                raise DatabaseUnavailable(msg)
            wait = min(2.0**failures, LONGEST_WAIT)
            logger.warning("the queue was lost (%s); taking jobs again in %.0f s", reason, wait)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), wait)

    async def _beat(self, worker: QueueWorker) -> None:
        """Say that the worker lives until its last crawl has ended: the library's own heartbeat ends before that."""
        while True:
            await asyncio.sleep(self._fleet.heartbeat)  # the rhythm of the heartbeat
            if worker.worker_id is None:
                continue
            try:
                await self._jobs.update_heartbeat(worker.worker_id)
                await self._jobs.leave()
            except (ConnectorException, psycopg.Error) as error:
                logger.debug("no heartbeat: %s", _cause(error))
