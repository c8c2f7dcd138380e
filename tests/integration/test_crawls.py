"""What a worker does about a run that has ended, or that cannot begin."""

import asyncio
from uuid import UUID

import pytest
from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.settings import Settings

from db import queue, recovery, sources
from db.connection import Connection
from db.queue import Request
from lcl_spiders.extensions.verdict import Verdict
from lcl_spiders.fleet import crawls as crawls_module
from lcl_spiders.fleet import outage
from lcl_spiders.fleet.config import FleetConfig
from lcl_spiders.fleet.crawls import _TROUBLES, Crawls
from lcl_spiders.fleet.outage import Outage
from pipelines.providers import ProviderUnavailable
from tests.support.faulty_runtime import FaultyRuntime
from tests.support.fleet import QUICK, local_sites, register
from tests.support.postgres import rows
from tests.support.queue import add, begin, enqueue, status, take
from tests.support.scrapy import run_scrapy

NO_WAY = "http://255.255.255.255/"  # no machine has a route for a connection to this address


@pytest.fixture
def crawls(connection: Connection) -> Crawls:
    settings = Settings()
    return Crawls(settings, FleetConfig.from_settings(settings), FaultyRuntime(connection))  # type: ignore[arg-type]  # a double that forces a fault


@pytest.fixture
async def job_id(connection: Connection) -> UUID:
    """A run of the source "a" that this worker has taken."""
    (queued,) = await enqueue(connection, await add(connection, "a"))
    assert await take(connection) == queued
    return queued


async def request(connection: Connection, job_id: UUID) -> Request:
    found = await queue.request(connection, job_id)
    assert found is not None
    return found


async def waiting(connection: Connection) -> tuple[int, int]:
    """Return how many jobs wait, and how many of them for a later time."""
    total = await queue.count_waiting(connection)
    return total, total - await queue.count_waiting(connection, now=True)


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (recovery.INTERRUPTED, (1, 0)),
        (recovery.HINDERED, (1, 1)),
        (("finished", "site_unreachable", "cancelled", "internal_error", "too_many_failures"), (0, 0)),
    ],
)
async def test_what_ended_through_no_fault_of_the_source_is_made_again(
    connection: Connection, crawls: Crawls, reasons: tuple[str, ...], expected: tuple[int, int]
) -> None:
    for number, reason in enumerate(reasons):
        (queued,) = await enqueue(connection, await add(connection, f"a{number}"))
        assert await take(connection) == queued

        await crawls._finish(await request(connection, queued), Verdict.failure(reason, "why"))

        assert await waiting(connection) == expected, reason
        await connection.execute("DELETE FROM procrastinate_jobs")


def test_every_trouble_in_which_a_run_is_put_off_is_told_by_its_name() -> None:
    assert set(_TROUBLES) == set(recovery.HINDERED)


async def test_a_worker_that_was_taken_for_dead_says_so_and_queues_nothing(
    connection: Connection, crawls: Crawls, job_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await request(connection, job_id)
    await connection.execute("DELETE FROM procrastinate_jobs")

    await crawls._finish(asked, Verdict.failure("lock_lost", "why"))

    assert "taken for dead" in caplog.text
    assert await waiting(connection) == (0, 0)


async def test_a_source_that_is_removed_while_it_waits_is_no_error(
    connection: Connection, crawls: Crawls, job_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await request(connection, job_id)
    await connection.execute("DELETE FROM scraper_sources")
    assert await crawls._crawl(asked) is None  # while it waited for its turn in this worker

    await crawls.carry_out(job_id)  # before the worker took it

    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert (crawls.done, crawls.in_hand) == (1, 0)


async def test_a_source_that_is_disabled_while_its_worker_is_busy_is_not_crawled(
    connection: Connection, crawls: Crawls, job_id: UUID
) -> None:
    asked = await request(connection, job_id)
    await sources.set_enabled(connection, asked.source_id, enabled=False)

    verdict = await crawls._crawl(asked)

    assert verdict is not None
    assert (verdict.status, verdict.reason) == ("skipped", "disabled")


async def test_a_worker_that_is_stopped_begins_nothing_and_gives_it_back(
    connection: Connection, crawls: Crawls, job_id: UUID
) -> None:
    await begin(connection, job_id, (await request(connection, job_id)).source_id)
    await crawls.stop()

    await crawls.carry_out(job_id)

    assert await status(connection, job_id) == ("failed", "shutdown", 1)
    assert await waiting(connection) == (1, 0)


async def test_in_an_outage_of_the_provider_jobs_are_put_off_together(
    connection: Connection, crawls: Crawls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "HELD_FOR", -1.0)
    monkeypatch.setattr(outage, "TOLD_FOR", 3600.0)
    checks = []

    async def check() -> None:
        checks.append(len(checks))
        raise ProviderUnavailable("down")

    async def ends(*_: object) -> Verdict:
        return Verdict.failure("provider_unavailable", "it fails in mid-run")

    crawls._outage = Outage(check)
    monkeypatch.setattr(crawls, "_run", ends)
    for number in range(4):
        (queued,) = await enqueue(connection, await add(connection, f"a{number}"))
        assert await take(connection) == queued
        await crawls.carry_out(queued)
        if number:  # the first is begun, and records its end by itself
            assert await status(connection, queued) == ("failed", "provider_unavailable", 1)
    assert checks == [0]
    assert await waiting(connection) == (4, 4)


async def test_a_source_that_is_slow_to_begin_keeps_the_others_waiting_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crawls_module, "LONGEST_BEGINNING", 0)
    crawl = asyncio.create_task(asyncio.Event().wait())  # its provider does not answer

    await crawls_module._begun(Crawler(Spider), crawl)  # type: ignore[arg-type]  # any task will do

    assert not crawl.done()
    crawl.cancel()


async def test_a_machine_without_a_way_to_a_site_blames_nobody_and_tries_again(
    connection: Connection, database_url: str
) -> None:
    with local_sites(1) as sites:
        (here,) = await register(connection, sites)
        far, _ = await sources.add(connection, NO_WAY)

        done = run_scrapy("refresh", database_url=database_url, env=QUICK, settings={"RETRY_ENABLED": "false"})

        assert done.code == 1, done.stderr
        assert f"{far.slug}: failed (network_unavailable)" in done.stdout
        assert "this machine had no network; retry 3/3" in done.stderr
    assert await rows(connection, "SELECT finish_reason, count(*) FROM scrape_jobs GROUP BY 1 ORDER BY 1") == [
        ("finished", 1),
        ("network_unavailable", 4),
    ]
    assert [(await sources.get(connection, name)).consecutive_failures for name in (here, far.slug)] == [0, 0]
