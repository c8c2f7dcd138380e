import datetime as dt

import pytest
from scrapy.settings import Settings

from lcl_spiders.fleet.config import FleetConfig


@pytest.mark.parametrize(
    ("jobs", "workers"), [(0, 1), (1, 1), (10, 1), (11, 2), (40, 4), (41, 5), (50, 5), (51, 5), (10_000, 5)]
)
def test_workers_are_jobs_by_jobs_per_worker_between_one_and_the_most(jobs: int, workers: int) -> None:
    assert FleetConfig.from_settings(Settings()).workers_for(jobs) == workers


def test_the_bounds_of_the_formula_are_settings() -> None:
    fleet = FleetConfig.from_settings(Settings({"LCL_MAX_CONCURRENT_WORKERS": "10", "LCL_JOBS_PER_WORKER": "5"}))
    assert [fleet.workers_for(jobs) for jobs in (5, 6, 46, 100)] == [1, 2, 10, 10]


def test_a_busy_domain_is_tried_again_after_twice_the_time_each_time() -> None:
    fleet = FleetConfig.from_settings(Settings())
    assert [fleet.retry_delay(attempt) / dt.timedelta(seconds=1) for attempt in (1, 2, 3)] == [30, 60, 120]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LCL_MAX_CONCURRENT_WORKERS", 0),
        ("LCL_MAX_CONCURRENT_WORKERS", 11),
        ("LCL_JOBS_PER_WORKER", 4),
        ("LCL_JOBS_PER_WORKER", 21),
        ("LCL_SOURCES_AT_A_TIME", "many"),
        ("LCL_REFRESH_CRON", "61 2 * * *"),
        ("LCL_REFRESH_CRON", "0 0 31 2 *"),
        ("LCL_WORKER_HEARTBEAT", 0),
        ("LCL_KEEP_JOBS_DAYS", -1),
    ],
)
def test_a_setting_outside_its_range_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        FleetConfig.from_settings(Settings({name: value}))


def test_records_of_runs_are_kept_for_a_number_of_days_or_for_ever() -> None:
    kept = [FleetConfig.from_settings(Settings(given)).keep_jobs for given in ({}, {"LCL_KEEP_JOBS_DAYS": 0})]
    assert kept == [dt.timedelta(days=90), None]
