"""The settings of the fleet, checked before anything is queued or started."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import croniter

from db.connection import POOL_SIZE
from pipelines.numbers import whole_number

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

MB = 2**20
HEARTBEATS_MISSED = 6
QUEUE_CONNECTIONS = 3  # two of the queue's own pool, one that listens
INDEX_CONNECTIONS = 1  # to build the search indexes


@dataclass(frozen=True)
class FleetConfig:
    """How many workers there are, what each of them takes on, and when the schedules run."""

    max_workers: int
    jobs_per_worker: int
    sources_at_a_time: int
    cron: str
    batch_cron: str
    max_jobs: int
    max_memory: int
    heartbeat: int
    busy_delay: int
    keep_jobs: dt.timedelta | None

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> FleetConfig:
        """Read the settings. Raises `ValueError` naming the one that is wrong and what it may be (B7)."""
        return cls(
            max_workers=whole_number(settings, "LCL_MAX_CONCURRENT_WORKERS", 1, 10, default=5),
            jobs_per_worker=whole_number(settings, "LCL_JOBS_PER_WORKER", 5, 20, default=10),
            sources_at_a_time=whole_number(settings, "LCL_SOURCES_AT_A_TIME", 1, 64, default=8),
            cron=_cron("LCL_REFRESH_CRON", settings.get("LCL_REFRESH_CRON") or "0 2 * * *"),
            batch_cron=_cron("LCL_BATCH_CRON", settings.get("LCL_BATCH_CRON") or "*/10 * * * *"),
            max_jobs=whole_number(settings, "LCL_WORKER_MAX_JOBS", 1, 10**6, default=500),
            max_memory=whole_number(settings, "LCL_WORKER_MEMORY", 128 * MB, 2**40, default=1024 * MB),
            heartbeat=whole_number(settings, "LCL_WORKER_HEARTBEAT", 1, 60, default=5),
            keep_jobs=dt.timedelta(days=days) if (days := keep_jobs_days(settings)) else None,
            busy_delay=whole_number(settings, "LCL_BUSY_RETRY_DELAY", 1, 3600, default=30),
        )

    @property
    def silence(self) -> dt.timedelta:
        """How long a worker may be unheard before it counts as dead."""
        return dt.timedelta(seconds=self.heartbeat * HEARTBEATS_MISSED)

    @property
    def connections_per_worker(self) -> int:
        """How many database connections a worker takes at most: its pool, a lock for each source, and those above."""
        return POOL_SIZE + self.sources_at_a_time + QUEUE_CONNECTIONS + INDEX_CONNECTIONS

    def workers_for(self, jobs: int) -> int:
        """Return how many workers share so many jobs: `min(max, ceil(jobs / jobs per worker))`, at least one (B7)."""
        return max(1, min(self.max_workers, math.ceil(jobs / self.jobs_per_worker)))

    def retry_delay(self, attempt: int) -> dt.timedelta:
        """Return how long a source waits that could not be crawled through no fault of its own: twice with each try."""
        return dt.timedelta(seconds=self.busy_delay * 2 ** (attempt - 1))


def keep_jobs_days(settings: BaseSettings) -> int:
    """Return for how many days the records of runs are kept, 0 for ever. Raises `ValueError`."""
    return whole_number(settings, "LCL_KEEP_JOBS_DAYS", 0, 36_500, default=90)


def _cron(name: str, given: str) -> str:
    try:
        croniter.croniter(given).get_next()  # also a date that never comes, as the 31st of February, is refused
    except (ValueError, KeyError) as error:
        msg = (
            f"{name} is {given!r} ({error}): give minute, hour, day, month and weekday, as in '0 2 * * *' "
            "(every day at 02:00 UTC); a sixth field is of seconds"
        )
        raise ValueError(msg) from None
    return given
