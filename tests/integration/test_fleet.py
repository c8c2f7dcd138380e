"""`scrapy refresh`, `scrapy worker` and `scrapy jobs` as operators run them, against real sites."""

import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from db import queue, sources
from db.connection import Connection
from db.locks import DomainLock
from lcl_spiders.local_site import LocalSite
from lcl_spiders.local_site.page import Page
from tests.support.fleet import QUICK, local_sites, register
from tests.support.postgres import rows
from tests.support.scrapy import run_scrapy, start_scrapy
from tests.support.site import small_town


async def ended(connection: Connection) -> list[tuple[str, str, int]]:
    """Return status, reason and attempt of every run, in the order in which they were queued."""
    return [
        tuple(row)
        for row in await rows(
            connection, "SELECT status, finish_reason, attempt FROM scrape_jobs ORDER BY queued_at, attempt"
        )
    ]


async def wait_for(connection: Connection, query: str, seconds: float = 40) -> None:
    """Return when a query finds a row."""
    until = time.monotonic() + seconds
    while not await rows(connection, query):
        assert time.monotonic() < until, f"never: {query}"
        threading.Event().wait(0.05)


async def test_a_refresh_crawls_every_source_that_is_due(connection: Connection, database_url: str) -> None:
    with local_sites(12) as sites:
        slugs = await register(connection, sites)
        await sources.set_enabled(connection, (await sources.get(connection, slugs[0])).id, enabled=False)

        done = run_scrapy("refresh", "--json", database_url=database_url, timeout=120)

        assert done.code == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["queued"], told["succeeded"], told["failed"], told["skipped"]) == (11, 11, [], [])
        assert told["stats"]["pages/new"] == 44
        assert "Spawning 2 parallel workers for 11 jobs" in done.stderr
        assert await ended(connection) == [("succeeded", "finished", 1)] * 11
        assert await rows(connection, "SELECT count(*), count(DISTINCT url) FROM scraped_pages") == [(44, 44)]
        assert not sites[0].requests

        again = run_scrapy("refresh", database_url=database_url)

        assert again.code == 0
        assert "nothing is due" in again.stdout


async def test_named_sources_are_refreshed_whether_due_or_not_and_failures_are_told(
    connection: Connection, database_url: str
) -> None:
    with local_sites(3) as sites:
        good, bad, disabled = await register(connection, sites)
        await connection.execute("UPDATE scraper_sources SET last_success_at = now()")
        await sources.set_enabled(connection, (await sources.get(connection, disabled)).id, enabled=False)
        sites[1].stop()

        done = run_scrapy("refresh", good, bad, disabled, "-a", "max_pages=2", database_url=database_url)

        assert done.code == 1
        assert f"{bad}: failed (site_unreachable)" in done.stdout
        assert f"{disabled} is left out: it is disabled" in done.stderr
        assert await rows(
            connection,
            "SELECT s.slug, j.status, j.trigger, j.args->'max_pages' FROM scrape_jobs j "
            "JOIN scraper_sources s ON s.id = j.source_id ORDER BY j.status DESC",
        ) == [(good, "succeeded", "queue", 2), (bad, "failed", "queue", 2)]


async def test_a_refresh_waits_for_what_was_queued_before_it_and_tells_how_it_ended(
    connection: Connection, database_url: str
) -> None:
    with local_sites(2) as sites:
        good, bad = await register(connection, sites)
        await queue.enqueue_due(connection, trigger="queue", args={})
        sites[1].stop()

        done = run_scrapy("refresh", "--json", database_url=database_url)

        assert done.code == 1, done.stderr
        told = json.loads(done.stdout)
        assert (told["queued"], told["succeeded"], told["unfinished"]) == (0, 1, 0)
        assert [each["source"] for each in told["failed"]] == [bad]
        assert "0 sources queued, 2 were already" in done.stderr
        assert (await sources.get(connection, good)).last_success_at is not None


async def test_sources_of_one_domain_run_one_after_the_other_and_all_succeed(
    connection: Connection, database_url: str
) -> None:
    with local_sites(1) as (site,):
        for path in ("/", "/harbour", "/library"):
            await sources.add(connection, site.url(path))

        done = run_scrapy("refresh", database_url=database_url)

        assert done.code == 0, done.stderr
        times = await rows(connection, "SELECT started_at, completed_at FROM scrape_jobs ORDER BY started_at")
        assert len(times) == 3
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(times))


async def test_a_domain_held_from_outside_is_tried_three_times_more_and_left(
    connection: Connection, database_url: str
) -> None:
    with local_sites(1) as sites:
        (slug,) = await register(connection, sites)
        lock = DomainLock(database_url, sites[0].domain)
        assert await lock.acquire()

        done = run_scrapy("refresh", slug, database_url=database_url, env=QUICK)

        await lock.release()
        assert done.code == 75, done.stderr
        assert [f"retry {n}/3" in done.stderr for n in (1, 2, 3, 4)] == [True, True, True, False]
        assert await ended(connection) == [("skipped", "domain_locked", attempt) for attempt in (1, 2, 3, 4)]
        assert (await sources.get(connection, slug)).consecutive_failures == 0
        assert not sites[0].requests


async def test_the_jobs_of_a_worker_killed_with_kill_9_are_made_again(
    connection: Connection, database_url: str
) -> None:
    slow = {path: Page(page, delay=0.3) for path, page in small_town().items()}
    with local_sites(10) as sites, LocalSite(slow) as last:
        await register(connection, [*sites, last])
        process = start_scrapy("refresh", database_url=database_url, env={**QUICK, "LCL_SOURCES_AT_A_TIME": "4"})
        await wait_for(connection, "SELECT FROM scrape_jobs WHERE status = 'running'")
        ((worker,),) = await rows(connection, "SELECT worker FROM scrape_jobs WHERE status = 'running' LIMIT 1")
        os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=120)

        assert process.returncode == 0, stderr
        assert "11 succeeded" in stdout
        found = await ended(connection)
        assert found.count(("failed", "lost", 1)) == len(found) - 11 > 0
        assert await rows(connection, "SELECT count(*) FROM scraped_pages") == [(44,)]
        assert run_scrapy("doctor", database_url=database_url).code == 0


async def test_a_refresh_survives_the_loss_of_every_connection(
    connection: Connection, database_url: str, server: str
) -> None:
    slow = {path: Page(page, delay=0.7) for path, page in small_town().items()}
    with LocalSite(slow) as first, LocalSite(slow) as second:
        slugs = await register(connection, [first, second])
        process = start_scrapy("refresh", database_url=database_url, env=QUICK)
        await wait_for(connection, "SELECT FROM scrape_jobs WHERE status = 'running' HAVING count(*) = 2")
        await connection.execute("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
        """)
        stdout, stderr = process.communicate(timeout=120)

        assert process.returncode == 0, stderr
        assert "2 succeeded" in stdout
        failed = {reason for status, reason, _ in await ended(connection) if status == "failed"}
        assert failed <= {"lock_lost", "lost"}  # whoever noticed first wrote it down
        assert failed
        for slug in slugs:
            assert (await sources.get(connection, slug)).consecutive_failures == 0
        assert await rows(connection, "SELECT count(*) FROM scraped_pages") == [(8,)]


async def test_a_worker_that_is_told_to_stop_gives_its_sources_back(connection: Connection, database_url: str) -> None:
    slow = {path: Page(page, delay=1.0) for path, page in small_town().items()}
    with LocalSite(slow) as site:
        await register(connection, [site])
        await queue.enqueue_due(connection, trigger="queue", args={})
        process = start_scrapy("worker", database_url=database_url)
        await wait_for(connection, "SELECT FROM scrape_jobs WHERE status = 'running'")
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)

        assert process.returncode == 0, stderr
        assert await ended(connection) == [("failed", "shutdown", 1), ("queued", None, 2)]
        assert (await sources.list_all(connection))[0].consecutive_failures == 0

        done = run_scrapy("worker", "--drain", database_url=database_url)

        assert done.code == 0, done.stderr
        assert (await ended(connection))[-1] == ("succeeded", "finished", 2)


async def test_a_worker_is_replaced_after_its_number_of_jobs(connection: Connection, database_url: str) -> None:
    with local_sites(3) as sites:
        await register(connection, sites)
        await queue.enqueue_due(connection, trigger="queue", args={})

        done = run_scrapy(
            "worker", "--drain", database_url=database_url,
            settings={"LCL_WORKER_MAX_JOBS": "1", "LCL_SOURCES_AT_A_TIME": "1"},
        )  # fmt: skip

        assert done.code == 0, done.stderr
        assert "a fresh process takes over" in done.stderr
        assert await ended(connection) == [("succeeded", "finished", 1)] * 3
        assert await rows(connection, "SELECT count(DISTINCT worker) FROM scrape_jobs") == [(1,)]


async def test_the_schedule_queues_each_source_once_however_many_workers_there_are(
    connection: Connection, database_url: str
) -> None:
    with local_sites(3) as sites:
        await register(connection, sites)
        every_second = {"LCL_REFRESH_CRON": "* * * * * *"}
        workers = [start_scrapy("worker", database_url=database_url, env=every_second) for _ in range(2)]
        await wait_for(connection, "SELECT FROM scrape_jobs WHERE status = 'succeeded' HAVING count(*) = 3")
        await wait_for(connection, "SELECT FROM procrastinate_workers HAVING count(*) = 2")
        ((tick,),) = await rows(connection, "SELECT max(defer_timestamp) FROM procrastinate_periodic_defers")
        later = f"SELECT FROM procrastinate_periodic_defers WHERE defer_timestamp >= {tick + 3}"
        await wait_for(connection, later)
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        told = "".join(worker.communicate(timeout=60)[1] for worker in workers)

        assert await rows(connection, "SELECT DISTINCT trigger, status FROM scrape_jobs") == [("schedule", "succeeded")]
        ticks = re.findall(r"the schedule of (.*) UTC queued (\d+) sources", told)
        assert len({at for at, _ in ticks}) == len(ticks) >= 2  # no tick was carried out twice
        assert [count for _, count in ticks if count != "0"] == ["3"]
        assert len(await ended(connection)) == 3


async def test_a_run_at_work_is_cancelled_from_the_command_line_and_made_again_on_demand(
    connection: Connection, database_url: str
) -> None:
    slow = {path: Page(page, delay=3.0) for path, page in small_town().items()}
    with LocalSite(slow) as site:
        (slug,) = await register(connection, [site])
        process = start_scrapy("crawl", slug, database_url=database_url)
        await wait_for(connection, "SELECT FROM scrape_jobs WHERE status = 'running'")

        done = run_scrapy("jobs", "cancel", slug, database_url=database_url)

        _, stderr = process.communicate(timeout=60)
        assert (done.code, process.returncode) == (0, 1)
        assert "cancelled" in stderr
        assert await ended(connection) == [("skipped", "cancelled", 1)]

        assert run_scrapy("jobs", "retry", slug, database_url=database_url).code == 0
        listed = json.loads(run_scrapy("jobs", "--json", "--status", "queued", database_url=database_url).stdout)
        assert [(job["slug"], job["trigger"]) for job in listed] == [(slug, "queue")]
        assert run_scrapy("jobs", "cancel", "--all", database_url=database_url).code == 0
        assert run_scrapy("jobs", "cancel", "--all", database_url=database_url).code == 1


async def test_an_interrupted_refresh_gives_its_sources_back_and_the_next_one_goes_on(
    connection: Connection, database_url: str
) -> None:
    slow = {path: Page(page, delay=1.0) for path, page in small_town().items()}
    with LocalSite(slow) as site:
        await register(connection, [site])
        process = start_scrapy("refresh", "-a", "force_rescrape=true", database_url=database_url)
        await wait_for(connection, "SELECT FROM scrape_jobs WHERE status = 'running'")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

        assert process.returncode == 130, stderr
        assert "interrupted" in stderr
        assert await ended(connection) == [("failed", "shutdown", 1), ("queued", None, 2)]

        done = run_scrapy("refresh", database_url=database_url)

        assert done.code == 0, done.stderr
        assert "1 succeeded" in done.stdout
        assert await rows(connection, "SELECT DISTINCT args->'force_rescrape' FROM scrape_jobs") == [(True,)]


async def test_failed_sources_are_retried_with_their_arguments_and_cancelled_ones_are_not(
    connection: Connection, database_url: str
) -> None:
    failed, cancelled, fine = [
        (await sources.add(connection, f"https://{name}.org/"))[0] for name in ("failed", "cancelled", "fine")
    ]
    for source, status, reason in (
        (failed, "failed", "site_unreachable"),
        (cancelled, "skipped", "cancelled"),
        (fine, "succeeded", "finished"),
    ):
        await connection.execute(
            "INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, args, completed_at) "
            "VALUES (%s, 'queue', %s, %s, '{\"force_rescrape\": true, \"max_pages\": null}', now())",
            (source.id, status, reason),
        )

    done = run_scrapy("jobs", "retry", "--failed", "--priority", "-7", database_url=database_url)

    assert done.code == 0, done.stderr
    assert await rows(connection, "SELECT source_id, args, priority FROM scrape_jobs WHERE status = 'queued'") == [
        (failed.id, {"force_rescrape": True}, -7)
    ]


async def test_a_memory_limit_below_what_a_worker_takes_is_refused_at_its_start(
    connection: Connection, database_url: str
) -> None:
    done = run_scrapy("worker", "--drain", database_url=database_url, settings={"LCL_WORKER_MEMORY": str(128 * 2**20)})

    assert done.code == 1
    assert "LCL_WORKER_MEMORY is 134,217,728 bytes, and a worker takes" in done.stderr


async def test_a_source_that_is_disabled_while_it_waits_is_not_crawled(
    connection: Connection, database_url: str
) -> None:
    with local_sites(1) as sites:
        (slug,) = await register(connection, sites)
        await queue.enqueue_due(connection, trigger="queue", args={})
        await sources.set_enabled(connection, (await sources.get(connection, slug)).id, enabled=False)

        assert run_scrapy("worker", "--drain", database_url=database_url).code == 0

        assert await ended(connection) == [("skipped", "disabled", 1)]
        assert not sites[0].requests


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LCL_MAX_CONCURRENT_WORKERS", "11"),
        ("LCL_MAX_CONCURRENT_WORKERS", "0"),
        ("LCL_JOBS_PER_WORKER", "4"),
        ("LCL_JOBS_PER_WORKER", "21"),
        ("LCL_REFRESH_CRON", "at night"),
    ],
)
def test_values_outside_their_range_are_refused_at_start(database_url: str, name: str, value: str) -> None:
    done = run_scrapy("refresh", database_url=database_url, env={name: value})

    assert done.code == 1
    assert name in done.stderr
    assert value in done.stderr


async def test_workers_that_cannot_work_end_the_refresh_with_their_reason(
    connection: Connection, database_url: str
) -> None:
    with local_sites(1) as sites:
        await register(connection, sites)

        done = run_scrapy("refresh", database_url=database_url, settings={"LCL_EXTRACTION_WORKERS": "none"})

        assert done.code == 1
        assert "LCL_EXTRACTION_WORKERS" in done.stderr
        assert subprocess.list2cmdline(done.stderr.splitlines()[-1:]).find("the jobs stay queued") > 0
        assert await queue.count_waiting(connection) == 1
