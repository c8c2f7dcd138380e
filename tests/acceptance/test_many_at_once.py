"""Many crawls of one domain at once, whoever starts them: the command line, scrapyd, the queue (A4, A20)."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

from db.connection import Connection, connect
from tests.support.crawl import contents, succeeded
from tests.support.door import PATIENT, closed_site
from tests.support.fleet import register
from tests.support.postgres import rows, until_true
from tests.support.scrapy import run_scrapy, started_scrapy
from tests.support.scrapyd import PATIENCE, as_scrapyd_settings, running_scrapyd
from tests.support.site import small_town

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BY_HAND, BY_SCRAPYD, BY_QUEUE = 4, 3, 3
NOT_AGAIN = {"LCL_BUSY_RETRY_DELAY": "3600"}


async def test_of_ten_crawls_of_one_domain_one_runs_and_leaves_what_a_single_run_leaves(
    connection: Connection, database_url: str, make_database: Callable[[str], str], template: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        site, door = stack.enter_context(closed_site(small_town()))
        (slug,) = await register(connection, [site])
        queued = [
            run_scrapy("refresh", slug, "--no-wait", "--json", database_url=database_url) for _ in range(BY_QUEUE)
        ]
        scrapyd = stack.enter_context(running_scrapyd(tmp_path, database_url))
        scrapyd.deploy()

        def start(*command: str) -> subprocess.Popen[str]:
            return stack.enter_context(
                started_scrapy(*command, database_url=database_url, settings=PATIENT, env=NOT_AGAIN)
            )

        by_hand = [start("crawl", slug) for _ in range(BY_HAND)]
        by_scrapyd = [scrapyd.schedule(slug, *as_scrapyd_settings(PATIENT)) for _ in range(BY_SCRAPYD)]
        worker = start("worker")
        aside = BY_HAND + BY_SCRAPYD  # all but one of these and of the one that the queue took
        await until_true(
            connection, "SELECT count(*) = %s FROM scrape_jobs WHERE finish_reason = 'domain_locked'", aside
        )
        door.open()
        codes = sorted(crawl.wait(PATIENCE) for crawl in by_hand)
        scrapyd.wait_for(*by_scrapyd)
        await until_true(connection, "SELECT EXISTS (SELECT FROM scrape_jobs WHERE status = 'succeeded')")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0

        found = await rows(connection, "SELECT trigger, status FROM scrape_jobs WHERE status <> 'queued'")
        alone_url = make_database(template)
        succeeded(site, alone_url)
    assert [json.loads(each.stdout)["queued"] for each in queued] == [1, 0, 0]
    assert [status for _, status in found if status != "skipped"] == ["succeeded"]
    assert sorted(trigger for trigger, _ in found) == sorted(
        ["manual"] * BY_HAND + ["scrapyd"] * BY_SCRAPYD + ["queue"]
    )
    assert codes == [0 if ("manual", "succeeded") in found else 75, 75, 75, 75]
    assert await rows(connection, "SELECT count(*) <= 1 FROM scrape_jobs WHERE status = 'queued'") == [(True,)]
    async with connect(alone_url) as alone:
        assert await contents(connection) == await contents(alone)
    assert run_scrapy("doctor", database_url=database_url).code == 0
