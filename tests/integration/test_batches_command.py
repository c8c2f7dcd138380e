"""Embedding by the Batch API, through the commands."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from db import pages, queue, sources
from db.connection import connect
from lcl_spiders.local_site import LocalSite, Page
from tests.support.batch_provider import TOKENS, BatchProvider, batch_provider
from tests.support.crawl import contents, crawl, last_job, paths, snapshot, succeeded
from tests.support.postgres import rows, until_true, value
from tests.support.scrapy import run_scrapy, started_scrapy
from tests.support.site import html, prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.connection import Connection

NAMES = ["/boats", "/books", "/bread"]


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite({name: html(name, prose(name, 3)) for name in NAMES}) as running:
        running["/"] = html("All", prose("all"), links=NAMES)
        yield running


@pytest.fixture
def provider() -> Iterator[BatchProvider]:
    with batch_provider() as running:
        yield running


def batches(provider: BatchProvider, database_url: str, *words: str, code: int = 0) -> Any:
    ended = run_scrapy("batches", *words, "--json", database_url=database_url, env=provider.env)
    assert ended.code == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return json.loads(ended.stdout) if ended.stdout else None


async def test_a_site_embedded_by_batch_becomes_the_index_of_a_plain_crawl_and_is_paid_once(
    site: LocalSite,
    provider: BatchProvider,
    database_url: str,
    connection: Connection,
    make_database: Callable[[str], str],
    template: str,
) -> None:
    for _ in range(2):
        done = crawl(site, database_url, env=provider.env)
        assert done.code == 0, done.stderr
        assert "4 pages waiting for a batch" in done.stdout
        assert await paths(connection, site) == set()
        job = await last_job(connection)
        assert (job["status"], job["stats"]["pages/pending"], job["stats"]["pages/failed"]) == ("succeeded", 4, 0)
    assert provider.texts == []
    texts = await value(connection, "SELECT count(*) FROM pending_texts")

    assert batches(provider, database_url, "submit")["texts"] == texts
    assert batches(provider, database_url, "submit")["batches"] == []
    provider.start()
    assert batches(provider, database_url, "poll")["ended"] == []
    assert batches(provider, database_url, "apply")["pages"] == {}
    provider.end()
    assert batches(provider, database_url, "poll")["results"] == texts
    assert await paths(connection, site) == set()
    assert batches(provider, database_url, "apply")["pages"] == {"indexed": 4}
    assert batches(provider, database_url, "list")["waiting"]["pages"] == 0

    assert sorted(provider.asked) == sorted(set(provider.asked))
    assert len(provider.asked) == texts
    assert await rows(connection, "SELECT texts, tokens, batched, reserved FROM embedding_usage") == [
        (texts, texts * TOKENS, texts * TOKENS, 0)
    ]
    assert await pages.broken_pages(connection) == []
    assert await value(connection, "SELECT count(*) FROM pending_texts") == 0
    other_url = make_database(template)
    succeeded(site, other_url, env={**provider.env, "LCL_EMBEDDING_BATCH": "false"})
    async with connect(other_url) as other:
        assert await contents(connection) == await contents(other)

    before = await snapshot(connection)
    succeeded(site, database_url, env=provider.env)
    assert await snapshot(connection) == before
    assert (await last_job(connection))["stats"]["pages/unchanged"] == 4


async def test_a_submission_that_is_killed_before_it_knows_its_batch_is_not_made_twice(
    site: LocalSite, provider: BatchProvider, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url, env=provider.env)
    provider.lets_go.clear()
    with started_scrapy("batches", "submit", database_url=database_url, env=provider.env) as process:
        assert provider.begun.wait(60)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    provider.lets_go.set()
    provider.end()

    ran = run_scrapy("batches", "run", "--every", "1", database_url=database_url, env=provider.env)
    assert ran.code == 0, ran.stderr
    assert len(provider.batches) == 1
    assert await paths(connection, site) == {"/", *NAMES}
    settled = await rows(connection, "SELECT state FROM embedding_batches WHERE settled_at IS NOT NULL")
    assert settled == [("completed",)]


async def test_a_known_page_keeps_its_old_version_until_its_new_texts_are_there(
    site: LocalSite, provider: BatchProvider, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url, env={**provider.env, "LCL_EMBEDDING_BATCH": "false"})
    before = await contents(connection)
    site["/boats"] = html("/boats", [*prose("/boats", 3), *prose("submarines", 1)])
    succeeded(site, database_url, env=provider.env)
    assert await contents(connection) == before
    counted = (await last_job(connection))["stats"]
    assert (counted["pages/pending"], counted["pages/unchanged"], counted.get("pages/unasked", 0)) == (1, 3, 0)
    shown = run_scrapy("status", database_url=database_url).stdout
    assert "1 pages wait for texts in batches: scrapy batches" in shown
    batches(provider, database_url, "submit")
    provider.end()
    batches(provider, database_url, "poll")
    assert batches(provider, database_url, "apply")["pages"] == {"indexed": 1}
    found = await value(connection, "SELECT content FROM scraped_pages WHERE url LIKE '%%/boats'")
    assert "submarines" in found
    assert await pages.broken_pages(connection) == []


async def test_a_crawl_that_knows_better_forgets_what_was_parked(
    site: LocalSite, provider: BatchProvider, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url, env=provider.env)
    batches(provider, database_url, "submit")
    provider.end()
    batches(provider, database_url, "poll")
    del site["/boats"]
    site["/books"] = html("/books", prose("other books", 3))
    succeeded(site, database_url, env={**provider.env, "LCL_EMBEDDING_BATCH": "false"})
    assert await value(connection, "SELECT count(*) FROM pending_pages") == 0
    assert set(provider.texts).isdisjoint(provider.asked)
    before = await contents(connection)
    assert batches(provider, database_url, "apply")["pages"] == {}
    assert await contents(connection) == before
    assert await paths(connection, site) == {"/", "/books", "/bread"}
    assert await pages.broken_pages(connection) == []


async def test_a_page_that_moved_stays_at_its_old_place_until_its_new_one_is_indexed(
    site: LocalSite, provider: BatchProvider, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url, env={**provider.env, "LCL_EMBEDDING_BATCH": "false"})
    site["/boats"] = Page("", status=301, headers={"Location": "/ships"})
    site["/ships"] = html("/ships", prose("ships", 3))
    succeeded(site, database_url, env=provider.env)
    assert await paths(connection, site) == {"/", *NAMES}
    provider_ran = batches(provider, database_url, "submit")
    assert provider_ran["texts"] > 0
    provider.end()
    batches(provider, database_url, "poll")
    assert batches(provider, database_url, "apply")["pages"] == {"indexed": 1}
    succeeded(site, database_url, env=provider.env)
    assert await paths(connection, site) == {"/", "/books", "/bread", "/ships"}


async def test_a_worker_looks_after_the_batches_of_what_it_crawls(
    site: LocalSite, provider: BatchProvider, database_url: str, connection: Connection
) -> None:
    await sources.add(connection, site.url("/"))
    await queue.enqueue_due(connection, trigger="queue", args={})
    env = {**provider.env, "LCL_BATCH_CRON": "* * * * * *"}
    with started_scrapy("worker", database_url=database_url, env=env) as worker:
        await until_true(connection, "SELECT count(*) > 0 FROM embedding_batches WHERE submitted_at IS NOT NULL")
        await until_true(connection, "SELECT bool_and(status = 'succeeded') FROM scrape_jobs")
        async with asyncio.timeout(120):
            while not await value(connection, "SELECT count(*) = 4 FROM scraped_pages"):
                provider.end()
                await asyncio.sleep(0.05)  # it happens in another process
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=60)
    assert worker.returncode == 0, told
    assert sorted(provider.asked) == sorted(set(provider.asked))
    assert await pages.broken_pages(connection) == []


async def test_a_local_model_takes_no_batches_and_says_so(site: LocalSite, database_url: str) -> None:
    done = crawl(site, database_url, env={"LCL_EMBEDDING_BATCH": "true"})
    assert done.code == 1
    assert "the provider local takes no batches: unset LCL_EMBEDDING_BATCH" in done.stderr.splitlines()[-1]
    assert site.requests == []
