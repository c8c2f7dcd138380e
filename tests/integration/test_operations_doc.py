"""docs/operations.md keeps what it says: its SQL answers, its backup can be restored, its files are there."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, cast

import pytest
from psycopg.rows import dict_row

from db import queue
from db.connection import connect
from lcl_spiders.local_site import LocalSite
from tests.support.crawl import contents, succeeded
from tests.support.postgres import value
from tests.support.scrapy import ROOT, environment
from tests.support.site import small_town

if TYPE_CHECKING:
    from db.connection import Connection
    from db.sources import Source

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
QUERIES = dict(re.findall(r"^([^\n]+):\n\n```sql\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
SCRIPTS = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def run(script: str, programs: str, database_url: str, backup: Path) -> None:
    """Run one of the document's scripts as a person would, with the server's programs and `scrapy` on PATH."""
    own = environment(database_url)
    path = os.pathsep.join([sysconfig.get_path("scripts"), programs, own["PATH"]])
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=ROOT,
        env={**own, "PATH": path, "BACKUP": str(backup)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
async def day(connection: Connection, source: Source) -> None:
    """Two successes of 10 and 20 s, a failure with an alert, a run at work and one that waits."""
    await queue.enqueue(connection, [source.id], trigger="queue", args={})
    await connection.execute(
        """
        INSERT INTO scrape_jobs (source_id, trigger, status, started_at, completed_at, finish_reason, stats)
        SELECT %s, 'manual', status, now() - seconds * interval '1 second', ended, reason, stats::jsonb
        FROM (
            VALUES
                ('succeeded', 10, now(), 'finished', '{"alerts": []}'),
                ('succeeded', 20, now(), 'finished', '{}'),
                ('failed', 60, now(), 'yield_collapse', '{"alerts": [{"name": "yield_collapse", "message": "none"}]}'),
                ('running', 5, NULL, NULL, '{}')
        ) AS made (status, seconds, ended, reason, stats)
        """,
        (source.id,),
    )


async def ask(connection: Connection, about: str) -> list[dict[str, Any]]:
    """Ask one of the document's queries, which must only read."""
    async with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("SET TRANSACTION READ ONLY")
        await cursor.execute(cast("LiteralString", QUERIES[about]))
        return await cursor.fetchall()


def test_every_query_says_what_it_is_about() -> None:
    assert len(QUERIES) == TEXT.count("```sql")


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize("about", QUERIES)
async def test_every_query_can_be_asked(connection: Connection, about: str) -> None:
    await ask(connection, about)


@pytest.mark.usefixtures("day")
async def test_throughput_and_average_duration_are_one_query(connection: Connection) -> None:
    (row,) = await ask(connection, "Throughput and average duration of the last day")

    assert (row["succeeded"], row["failed"], row["skipped"]) == (2, 1, 0)
    assert row["average_duration"] == dt.timedelta(seconds=15)
    assert row["longest_duration"] == dt.timedelta(seconds=20)


@pytest.mark.usefixtures("day")
async def test_what_waits_and_what_was_alarming_is_told(connection: Connection) -> None:
    (open_jobs,) = await ask(connection, "What waits, and since when")
    (alert,) = await ask(connection, "Alerts")
    (reason,) = await ask(connection, "Why runs failed")

    assert (open_jobs["waiting"], open_jobs["running"]) == (1, 1)
    assert (alert["alert"], alert["message"]) == ("yield_collapse", "none")
    assert (reason["finish_reason"], reason["runs"], reason["sources"]) == ("yield_collapse", 1, 1)


@pytest.mark.parametrize("scripts", [SCRIPTS[:2], SCRIPTS[2:]], ids=["whole", "without vectors"])
async def test_what_a_backup_restores_is_the_index_it_was_made_of_and_crawls_go_on(
    connection: Connection, database_url: str, empty_database_url: str, tmp_path: Path, scripts: list[str]
) -> None:
    backup, restore = scripts
    programs = await value(connection, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")
    with LocalSite(small_town()) as site:
        succeeded(site, database_url)
        run(backup, programs, database_url, tmp_path / "dump")
        run(restore, programs, empty_database_url, tmp_path / "dump")
        async with connect(empty_database_url) as restored:
            assert await contents(restored) == await contents(connection)
            succeeded(site, empty_database_url)
            assert await contents(restored) == await contents(connection)
