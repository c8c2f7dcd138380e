"""The schedule: at each time of `LCL_REFRESH_CRON` one worker queues what is due (A19), and tells what is overdue."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

import psycopg
from procrastinate import RetryStrategy

from db import overview, queue
from db.errors import DatabaseProblem, one_line
from lcl_spiders.health import some

if TYPE_CHECKING:
    import procrastinate

    from pipelines.runtime import Runtime

logger = logging.getLogger(__name__)

LATEST = 3_600  # seconds after its time within which a schedule that no worker saw is made good
FIRST = 2**31 - 1  # priority: what falls due must not wait behind all that waits already
AGAIN_AFTER = 30  # seconds
ATTEMPTS = 20


def put_on(app: procrastinate.App, runtime: Runtime, cron: str) -> None:
    """Let an app's workers queue what is due at the times of `cron` (UTC).

    A time at which the database fails them is tried again for ten minutes: queueing bears repetition.
    """
    again = RetryStrategy(max_attempts=ATTEMPTS, wait=AGAIN_AFTER, retry_exceptions={DatabaseProblem, psycopg.Error})

    @app.periodic(cron=cron)
    @app.task(name="refresh", queue=queue.SCHEDULE, priority=FIRST, retry=again)
    async def refresh(timestamp: int) -> None:
        at = f"{dt.datetime.fromtimestamp(timestamp, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
        try:
            queued = await runtime.use_connection(
                lambda connection: queue.enqueue_due(connection, trigger="schedule", args={})
            )
        except (DatabaseProblem, psycopg.Error) as error:
            logger.warning("the schedule of %s queued nothing: %s. Again in %d s", at, one_line(error), AGAIN_AFTER)
            raise
        logger.info("the schedule of %s queued %d sources", at, len(queued))
        if overdue := await runtime.use_connection(overview.overdue):
            logger.warning("alert overdue_sources: without a success in their interval: %s", some(overdue))
