"""What a run says of itself while it is at work: its counters every few seconds, for whoever watches."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import PoolTimeout

from db import jobs
from db.errors import one_line

if TYPE_CHECKING:
    from pipelines.run import Run

logger = logging.getLogger(__name__)

EVERY = 2.0  # seconds
WAIT = 5.0  # seconds for a connection; a busy pool has more urgent callers


async def report(run: Run) -> None:
    """Write the run's counters into its record until cancelled, and stop the run when somebody asks for it (B14)."""
    while True:
        await asyncio.sleep(EVERY)  # the rhythm of the reports
        stats = {**run.counters(), "pages/known": run.known_pages}
        try:
            async with run.runtime.pool.connection(timeout=WAIT) as connection:
                reason = await jobs.report(connection, run.job_id, stats)
        except (psycopg.Error, PoolTimeout) as error:
            # A database that is gone ends the run through its lock and its writes.
            logger.debug("%s: no report: %s", run.source.slug, one_line(error))
            continue
        if reason == "cancelled":
            run.stop("cancelled", "somebody cancelled the run; what it did is kept")
        elif reason == "lost":
            run.stop("lock_lost", "the domain lock was lost, and another process closed the job; what it did is kept")
