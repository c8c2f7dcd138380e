"""A worker that is there and does nothing any more, under a refresh that waits for it."""

import os
import signal

import pytest
from scrapy.settings import Settings

from db import queue
from db.connection import Connection
from lcl_spiders.fleet import children, coordinator
from lcl_spiders.fleet.config import FleetConfig
from lcl_spiders.fleet.coordinator import Coordinator, Progress
from lcl_spiders.local_site import LocalSite, Page
from tests.support.faulty_runtime import FaultyRuntime
from tests.support.fleet import QUICK, register
from tests.support.postgres import rows
from tests.support.scrapy import ROOT, environment
from tests.support.site import small_town

OPTIONS = ("-s", "AUTOTHROTTLE_ENABLED=false")


async def test_a_worker_that_is_stopped_is_killed_and_its_runs_are_made_by_another(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**environment(database_url), **QUICK}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(coordinator, "RECOVER_EVERY", 1)
    fleet = FleetConfig.from_settings(Settings({name: QUICK[name] for name in QUICK}))
    stopped: list[int] = []
    said: list[str] = []
    with LocalSite({path: Page(page, delay=1.0) for path, page in small_town().items()}) as site:
        await register(connection, [site])
        await queue.enqueue_due(connection, trigger="queue", args={})
        source_ids = await queue.open_sources(connection)
        refresh = Coordinator(
            FaultyRuntime(connection),  # type: ignore[arg-type]  # a double that forces a fault
            fleet,
            source_ids,
            worker_options=OPTIONS,
            say=said.append,
        )

        def show(progress: Progress) -> None:
            if progress.running and not stopped:
                stopped.append(int(str(progress.running[0].worker).rpartition(":")[2]))
                os.kill(stopped[0], signal.SIGSTOP)
                monkeypatch.setattr(children, "STUCK_AFTER", 0.0)
            elif stopped and stopped[0] not in [child.process.pid for child in refresh._workers.alive]:
                monkeypatch.setattr(children, "STUCK_AFTER", 600.0)  # for its successor, which takes a while to start

        await refresh.watch(show)

    assert await rows(connection, "SELECT status, finish_reason, attempt FROM scrape_jobs ORDER BY attempt") == [
        ("failed", "lost", 1),
        ("succeeded", "finished", 2),
    ], said
    assert await rows(connection, "SELECT count(*) FROM scraped_pages") == [(4,)]
