"""Before, around and after a crawl: checks, lock, fence, record, and what a killed process leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import psycopg
import pytest

from db import pages, sources
from db.locks import DomainLock
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import contents
from tests.support.postgres import rows, value
from tests.support.scrapy import ROOT, run_scrapy, start_scrapy
from tests.support.site import html, prose, small_town

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

    from db.connection import Connection

MANY = 40


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


@pytest.fixture
def slow_site() -> Iterator[LocalSite]:
    """A site of many pages, that takes its time: a run is caught in the middle."""
    names = [f"/p{n}" for n in range(MANY)]
    with LocalSite({name: Page(html(name, prose(name, 4)), delay=0.1) for name in names}) as running:
        running["/"] = html("All", prose("all"), links=names)
        yield running


def crawl_of(site: LocalSite) -> tuple[str, ...]:
    return ("crawl", "website", "-a", f"url={site.url('/')}")


def started(site: LocalSite, database_url: str) -> Popen[str]:
    return start_scrapy(*crawl_of(site), database_url=database_url, settings={"CONCURRENT_REQUESTS_PER_DOMAIN": "1"})


async def until_pages(connection: Connection, count: int) -> None:
    async with asyncio.timeout(30):
        # Another process writes them: there is no event to wait for.
        while await value(connection, "SELECT count(*) FROM scraped_pages") < count:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.05)  # see above


async def ended(process: Popen[str]) -> tuple[int, str]:
    _, stderr = await asyncio.to_thread(process.communicate, timeout=60)
    return process.returncode, stderr


async def jobs(connection: Connection) -> list[tuple[str, str]]:
    found = await rows(connection, "SELECT status, finish_reason FROM scrape_jobs ORDER BY queued_at")
    return [(status, reason) for status, reason in found]


def is_one_clear_line(stderr: str) -> bool:
    return "Traceback" not in stderr and "scrapy crawl: " in stderr.splitlines()[-1]


# The checks before the first request (A9).


async def test_an_unreachable_database_is_one_clear_line(site):
    done = run_scrapy(*crawl_of(site), database_url="postgresql://someone:secret@127.0.0.1:1/lcl")
    assert done.code == 1
    assert "cannot reach the database" in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert is_one_clear_line(done.stderr)
    assert site.requests == []


async def test_a_foreign_database_is_never_migrated_unasked(site, empty_database_url):
    done = run_scrapy(*crawl_of(site), database_url=empty_database_url)
    assert done.code == 1
    assert "scrapy migrate" in done.stderr
    assert is_one_clear_line(done.stderr)
    assert site.requests == []
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT to_regclass('scraper_sources')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"LCL_EMBEDDING_PROVIDER": "openai"}, "OPENAI_API_KEY is not set"),
        ({"LCL_EMBEDDING_DIMENSIONS": "128"}, "LCL_EMBEDDING_DIMENSIONS is 128"),
        ({"LCL_EMBEDDING_MODEL": "other"}, "LCL_EMBEDDING_MODEL is 'other'"),
        (
            {
                "LCL_EMBEDDING_PROVIDER": "openai",
                "OPENAI_API_KEY": "k",
                "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
                "LCL_EMBEDDING_TIMEOUT": "1",
            },
            "127.0.0.1:1 does not answer",
        ),
    ],
    ids=["no key", "wrong dimension", "unknown model", "provider away"],
)
async def test_a_provider_that_cannot_serve_ends_the_run_and_never_blames_the_source(
    site, database_url, connection, env, says
):
    done = run_scrapy(*crawl_of(site), database_url=database_url, env=env)
    assert done.code == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert site.requests == []
    assert await jobs(connection) == [("failed", "provider_unavailable")]
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 0


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("LCL_CHUNK_SIZE", "large"),
        ("LCL_EMBEDDING_PROVIDER", "magic"),
        ("LCL_MAX_FAILURE_SHARE", "2"),
        ("LCL_EXTRACTION_WORKERS", "0"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_named_before_anything_happens(site, database_url, name, given):
    done = run_scrapy(*crawl_of(site), database_url=database_url, env={name: given})
    assert done.code == 1
    assert f"{name} is '{given}'" in done.stderr
    assert is_one_clear_line(done.stderr)
    assert site.requests == []


async def test_a_chunk_size_that_is_not_that_of_the_index_is_told_and_not_followed(site, database_url, connection):
    assert run_scrapy(*crawl_of(site), database_url=database_url).code == 0
    before = await contents(connection)
    done = run_scrapy(*crawl_of(site), "-a", "reembed=true", database_url=database_url, env={"LCL_CHUNK_SIZE": "500"})
    assert done.code == 0, done.stderr
    assert done.stderr.count("LCL_CHUNK_SIZE names markdown-500-v1") == 1
    assert "markdown-1000-v1" in done.stderr
    assert await contents(connection) == before


async def test_chunks_that_this_code_cannot_cut_end_the_run(site, database_url, connection):
    assert run_scrapy(*crawl_of(site), database_url=database_url).code == 0
    site.reset()
    await connection.execute("UPDATE embedding_models SET chunker_version = 'markdown-1000-v2'")
    done = run_scrapy(*crawl_of(site), database_url=database_url)
    assert done.code == 1
    assert "cut by 'markdown-1000-v2', which this version of LCL Spiders cannot" in done.stderr
    assert site.requests == []
    assert (await jobs(connection))[-1] == ("failed", "model_mismatch")


# One run for each domain (A4, A5).


async def test_a_second_run_of_a_busy_domain_does_nothing_and_exits_75(site, database_url, connection):
    await sources.add(connection, site.url("/"), slug="town")
    lock = DomainLock(database_url, site.domain)
    assert await lock.acquire()
    try:
        done = run_scrapy("crawl", "town", database_url=database_url)
    finally:
        await lock.release()
    assert done.code == 75
    assert site.requests == []
    assert await jobs(connection) == [("skipped", "domain_locked")]
    assert await rows(connection, "SELECT consecutive_failures, last_run_at FROM scraper_sources") == [(0, None)]


async def test_of_two_runs_started_together_one_works_and_one_is_turned_away(slow_site, database_url, connection):
    both = [started(slow_site, database_url) for _ in range(2)]
    codes = sorted([(await ended(process))[0] for process in both])
    assert codes == [0, 75]
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == MANY + 1
    assert await pages.broken_pages(connection) == []


async def test_a_run_whose_lock_connection_is_cut_stops_as_lock_lost(slow_site, database_url, connection):
    process = started(slow_site, database_url)
    await until_pages(connection, 3)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    code, stderr = await ended(process)
    assert code == 1
    assert "lock_lost" in stderr
    assert (await jobs(connection))[-1] == ("failed", "lock_lost")
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 0
    assert await pages.broken_pages(connection) == []


async def test_a_run_whose_fence_was_passed_writes_nothing_more(slow_site, database_url, connection):
    process = started(slow_site, database_url)
    await until_pages(connection, 3)
    await connection.execute("UPDATE domain_fences SET fence = fence + 1")
    count = await value(connection, "SELECT count(*) FROM scraped_pages")
    code, stderr = await ended(process)
    assert code == 1
    assert "lock_lost" in stderr
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == count
    assert await value(connection, "SELECT count(*) FROM failed_pages") == 0


# Processes are disposable (A7, A18).


async def test_after_a_kill_the_index_is_whole_and_the_next_run_does_the_rest(slow_site, database_url, connection):
    process = started(slow_site, database_url)
    await until_pages(connection, 5)
    os.killpg(process.pid, signal.SIGKILL)
    await ended(process)
    assert await pages.broken_pages(connection) == []
    assert await value(connection, "SELECT count(*) FROM scraped_pages") <= MANY
    done = run_scrapy(*crawl_of(slow_site), database_url=database_url)
    assert done.code == 0, done.stderr
    assert await jobs(connection) == [("failed", "lost"), ("succeeded", "finished")]
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == MANY + 1
    assert await pages.broken_pages(connection) == []


async def test_a_run_that_is_told_to_stop_says_so_and_gives_its_lock_back(slow_site, database_url, connection):
    process = started(slow_site, database_url)
    await until_pages(connection, 3)
    process.send_signal(signal.SIGTERM)
    code, _ = await ended(process)
    assert code != 0
    assert await jobs(connection) == [("failed", "shutdown")]
    lock = DomainLock(database_url, slow_site.domain)
    assert await lock.acquire()
    await lock.release()


async def test_writer_connections_that_are_cut_cost_nothing(slow_site, database_url, connection):
    process = started(slow_site, database_url)
    await until_pages(connection, 3)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid NOT IN "
        "(SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
    )
    code, stderr = await ended(process)
    assert code == 0, stderr
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == MANY + 1
    assert await pages.broken_pages(connection) == []


async def test_a_database_that_goes_away_for_good_ends_the_run_with_a_reason(
    slow_site, server, database_url, connection
):
    process = started(slow_site, database_url)
    await until_pages(connection, 3)
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as admin:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        code, stderr = await ended(process)
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert code == 1
    assert "lock_lost" in stderr or "database_unavailable" in stderr


async def test_a_run_that_is_cut_short_deletes_nothing(slow_site, database_url, connection):
    assert run_scrapy(*crawl_of(slow_site), database_url=database_url).code == 0
    for n in range(MANY):
        slow_site[f"/p{n}"] = Page("gone", status=404, delay=0.1)
    process = started(slow_site, database_url)
    async with asyncio.timeout(30):
        # Another process asks: there is no event to wait for.
        while sum(request.status == 404 for request in slow_site.requests) < 5:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.05)  # see above
    process.send_signal(signal.SIGTERM)
    await ended(process)
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == MANY + 1
    assert await value(connection, "SELECT count(*) FROM page_tombstones") == 0


async def test_a_run_that_cannot_be_recorded_is_no_success(site, database_url, connection):
    await connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$"
    )
    await connection.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE OF completed_at ON scrape_jobs FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    done = run_scrapy(*crawl_of(site), database_url=database_url)
    assert done.code == 1
    assert "could not be recorded" in done.stderr


async def test_a_source_stored_with_settings_that_make_no_sense_is_one_clear_line(site, database_url, connection):
    await sources.add(connection, site.url("/"), slug="town", config={"allow": ["("], "colour": "red"})
    done = run_scrapy("crawl", "town", database_url=database_url)
    assert done.code == 1
    assert "colour" in done.stderr
    assert is_one_clear_line(done.stderr)
    await connection.execute("UPDATE scraper_sources SET config = '{}', spider = 'magic'")
    done = run_scrapy("crawl", "town", database_url=database_url)
    assert done.code == 1
    assert "magic" in done.stderr
    assert is_one_clear_line(done.stderr)


async def test_an_error_in_the_spider_ends_in_failed_pages_and_the_others_go_on(
    site, database_url, connection, tmp_path
):
    # The only way to force what nobody foresaw: the spider of this one process fails on one page.
    (tmp_path / "sitecustomize.py").write_text(
        "import lcl_spiders.base_spiders.source as source\n"
        "read = source.SourceSpider._read\n"
        "def broken(self, response, url):\n"
        "    if url.endswith('/market'): raise RuntimeError('boom')\n"
        "    return read(self, response, url)\n"
        "source.SourceSpider._read = broken\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = run_scrapy(*crawl_of(site), database_url=database_url, env=env)
    assert done.code == 0, done.stderr
    assert await rows(connection, "SELECT url, kind FROM failed_pages") == [(site.url("/market"), "internal_error")]
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 3
