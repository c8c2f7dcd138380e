"""Crawls whose provider fails in every way that passes, that hangs, and that tells secrets."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite
from tests.support.crawl import crawl, last_job
from tests.support.faulty_provider import HANG, POISON, PROBE, RESET, FaultyProvider, Reply, faulty_provider, refusal
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy, started_scrapy
from tests.support.site import html, prose, small_town

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-very-secret"
PASSWORD = "pass-word"
PASSES = [
    refusal(429, retry_after_ms="20"),
    refusal(500, retry_after_ms="1"),
    RESET,
    Reply(200, b"<html>a proxy's page</html>"),
    refusal(408, retry_after_ms="1"),
]


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


@pytest.fixture
def provider() -> Iterator[FaultyProvider]:
    with faulty_provider() as running:
        yield running


async def test_faults_that_pass_cost_no_page_and_no_text_is_sent_twice(site, provider, database_url, connection):
    provider.plan += PASSES
    done = crawl(site, database_url, env=provider.env)
    assert done.code == 0, done.stderr
    assert not provider.plan
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 4
    assert await value(connection, "SELECT count(*) FROM failed_pages") == 0
    assert await pages.broken_pages(connection) == []
    assert len(provider.texts) == len(set(provider.texts))
    stats = (await last_job(connection))["stats"]
    assert stats["chunks/embedded"] == stats["tokens/embedded"] == len(provider.texts)
    assert stats["cache/vector_bytes"] > 0
    assert await value(connection, "SELECT sum(token_count) FROM page_embeddings") >= len(provider.texts)


@pytest.mark.parametrize("reply", [HANG, refusal(429, retry_after="100")], ids=["hangs", "asks to wait"])
async def test_a_crawl_that_is_told_to_stop_does_not_wait_for_a_provider_that_makes_it_wait(
    site, provider, database_url, connection, reply
):
    assert crawl(site, database_url, env=provider.env).code == 0
    before = await rows(connection, "SELECT url, content_hash FROM scraped_pages ORDER BY url")
    site["/market"] = html("Market", prose("stall"))
    provider.plan += [reply] * 20
    env = {**provider.env, "LCL_EMBEDDING_TIMEOUT": "600"}
    with started_scrapy(
        "crawl", "website", "-a", f"url={site.url('/')}", database_url=database_url, env=env
    ) as process:
        assert await asyncio.to_thread(provider.met_plan.wait, 60)
        process.send_signal(signal.SIGINT)
        _, stderr = await asyncio.to_thread(process.communicate, timeout=60)
    assert "Traceback" not in stderr
    job = await last_job(connection)
    assert (job["status"], job["reason"]) == ("failed", "shutdown")
    assert await rows(connection, "SELECT url, content_hash FROM scraped_pages ORDER BY url") == before
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 0


async def test_a_provider_without_money_ends_the_run_and_says_so(site, provider, database_url, connection):
    provider.plan += [refusal(429, code="insufficient_quota")] * 20
    done = crawl(site, database_url, env=provider.env)
    assert done.code == 1
    assert "no money left" in done.stderr
    job = await last_job(connection)
    assert job["reason"] == "provider_unavailable"
    assert "no money left" in job["error"]


@pytest.mark.parametrize("command", [("crawl", "website", "-a", "url={url}"), ("doctor", "--json")], ids=lambda c: c[0])
async def test_no_secret_reaches_a_log_a_row_or_json(site, provider, database_url, connection, command):
    provider.fault = "echo"
    url = provider.url.replace("http://", f"http://user:{PASSWORD}@")
    env = {**provider.env, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url}
    words = [word.format(url=site.url("/")) for word in command]
    done = run_scrapy(*words, database_url=database_url, env=env, settings={"LOG_LEVEL": "DEBUG"})
    assert done.code == 1
    told = [done.stdout, done.stderr, *await rows(connection, "SELECT j::text FROM scrape_jobs AS j")]
    told += await rows(connection, "SELECT s::text FROM scraper_sources AS s")
    authorization = provider.requests[0].headers["Authorization"].removeprefix("Basic ")
    assert [secret for secret in (KEY, PASSWORD, authorization) if secret in str(told)] == []
    assert "bad credentials" in str(told)
    if command[0] == "doctor":
        (finding,) = [finding for finding in json.loads(done.stdout) if finding["check"] == "provider"]
        assert finding["state"] == "wrong"


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"OPENAI_BASE_URL": "nonsense"}, "OPENAI_BASE_URL is no URL"),
        ({"OPENAI_API_KEY": ""}, "OPENAI_API_KEY is not set"),
        ({"OPENAI_API_KEY": "sk-1  "}, "OPENAI_API_KEY holds characters that no key has"),
        ({"OPENAI_BASE_URL": "{url}/typo"}, "Check OPENAI_API_KEY, OPENAI_BASE_URL"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "127.0.0.1:9 does not answer"),
        ({"LCL_EMBEDDING_DIMENSIONS": "7"}, "LCL_EMBEDDING_DIMENSIONS"),
        ({"LCL_EMBEDDING_LINGER": "soon"}, "LCL_EMBEDDING_LINGER is 'soon': give a number from 0 to 10"),
    ],
    ids=["no URL", "no key", "a blank in the key", "another path", "nobody there", "another dimension", "no number"],
)
async def test_what_is_misconfigured_is_named_before_the_first_request(site, provider, database_url, env, says):
    provider.answer = lambda texts, _: FaultyProvider.answer(provider, texts, {})
    reply = provider.reply
    provider.reply = lambda request: reply(request) if request.path == "/v1/embeddings" else refusal(404, "not found")
    given = {name: word.format(url=provider.url) for name, word in env.items()}
    done = crawl(site, database_url, env={**provider.env, **given})
    assert done.code == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert site.requests == []


async def test_a_model_too_long_for_an_index_is_named_before_the_first_request(
    site, provider, database_url, connection
):
    provider.dimensions = 4096
    done = crawl(site, database_url, env=provider.env)
    assert done.code == 1
    assert "4,096 dimensions" in done.stderr
    assert "LCL_EMBEDDING_DIMENSIONS" in done.stderr
    assert site.requests == []
    assert await value(connection, "SELECT count(*) FROM embedding_models") == 0


async def test_texts_answered_before_the_provider_was_given_up_are_paid_for_once(
    site, provider, database_url, connection
):
    reply = provider.reply

    def until_no_money(request):
        if request.body["input"] != PROBE and len(provider.texts) == 2:
            return refusal(429, code="insufficient_quota")
        return reply(request)

    env = {**provider.env, "LCL_EMBEDDING_BATCH_SIZE": "1", "LCL_EMBEDDING_CONCURRENCY": "1"}
    provider.reply = until_no_money
    assert crawl(site, database_url, env=env).code == 1
    assert len(provider.texts) == 2
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 0
    provider.reply = reply
    assert crawl(site, database_url, env=env).code == 0
    assert len(provider.texts) == len(set(provider.texts)) > 2
    assert await pages.broken_pages(connection) == []


async def test_the_other_texts_of_a_page_with_a_refused_one_are_paid_for_once(site, provider, database_url, connection):
    site["/market"] = html("Market", [*prose("market"), f"Keep away from the {POISON}. " * 20])
    for _ in range(2):
        done = crawl(site, database_url, env=provider.env)
        assert done.code == 0, done.stderr
        assert await rows(connection, "SELECT kind FROM failed_pages") == [("embedding_refused",)]
    assert len(provider.texts) == len(set(provider.texts))
    assert [text for text in provider.texts if "market" in text]


async def test_the_texts_of_a_page_that_the_database_refuses_are_paid_for_once(
    site, provider, database_url, connection
):
    await connection.execute("ALTER TABLE scraped_pages ADD CONSTRAINT no_market CHECK (url NOT LIKE '%/market')")
    for _ in range(2):
        assert crawl(site, database_url, env=provider.env).code == 0
        assert await rows(connection, "SELECT kind FROM failed_pages") == [("write_failed",)]
    await connection.execute("ALTER TABLE scraped_pages DROP CONSTRAINT no_market")
    assert crawl(site, database_url, env=provider.env).code == 0
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 4
    assert len(provider.texts) == len(set(provider.texts))
    assert await pages.broken_pages(connection) == []
