"""Limits on tokens, through the command: what a crawl does that meets one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite
from tests.support.crawl import crawl, last_job, paths, succeeded
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy
from tests.support.site import html, prose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

NAMES = [f"/p{n}" for n in range(8)]
PER_DAY, PER_RUN = "LCL_MAX_TOKENS_PER_DAY", "LCL_MAX_TOKENS_PER_RUN"
USED = "SELECT coalesce(sum(tokens + reserved), 0)::bigint FROM embedding_usage"


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite({name: html(name, prose(name, 2)) for name in NAMES}) as running:
        running["/"] = html("All", prose("all"), links=NAMES)
        yield running


@pytest.mark.parametrize("limit", [PER_DAY, PER_RUN])
async def test_a_run_that_would_exceed_a_limit_stops_cleanly_and_the_next_goes_on(
    limit: str, site: LocalSite, database_url: str, connection: Connection
) -> None:
    stopped = crawl(site, database_url, env={limit: "1500"})
    assert stopped.code == 1
    assert "token_limit_reached" in stopped.stderr.splitlines()[-1]
    assert f"1,500 ({limit})" in stopped.stderr.splitlines()[-1]
    assert "Traceback" not in stopped.stderr
    job = await last_job(connection)
    assert (job["status"], job["reason"]) == ("failed", "token_limit_reached")
    assert [alert["name"] for alert in job["stats"]["alerts"]] == ["token_limit_reached"]
    assert await rows(connection, "SELECT consecutive_failures, backoff_until FROM scraper_sources") == [(0, None)]
    committed = await paths(connection, site)
    assert committed
    assert len(committed) < len(NAMES) + 1
    assert await pages.broken_pages(connection) == []
    spent = await value(connection, USED)
    assert 0 < spent <= 1500
    assert spent == job["stats"]["tokens/embedded"]

    stored = await value(connection, "SELECT sum(token_count) FROM page_embeddings")
    kept = await value(connection, "SELECT coalesce(sum(token_count), 0) FROM pending_texts")
    assert stored + kept == spent  # nothing that was paid for is lost

    if limit == PER_DAY:
        assert crawl(site, database_url, env={limit: str(spent)}).code == 1
        assert await value(connection, USED) == spent

    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", *NAMES}
    assert await value(connection, USED) == await value(connection, "SELECT sum(token_count) FROM page_embeddings")


async def test_a_run_without_new_texts_succeeds_after_the_limit_was_reached(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    succeeded(site, database_url, env={PER_DAY: "1", PER_RUN: "1"})
    ((requests, tokens),) = await rows(connection, "SELECT requests, tokens FROM embedding_usage")
    assert requests > 0
    told = run_scrapy("status", "--json", database_url=database_url, env={"LCL_PRICE_PER_MILLION_TOKENS": "1000000"})
    in_all = json.loads(told.stdout)["tokens"]["in_all"]
    assert (in_all["tokens"], in_all["money"]["spent"]) == (tokens, tokens)
    assert in_all["saved"] > 0
    shown = run_scrapy("status", database_url=database_url, env={"LCL_PRICE_PER_MILLION_TOKENS": "1"}).stdout
    assert "spent, USD" in shown
    assert shown.splitlines()[-1].startswith("in all")


@pytest.mark.parametrize("name", [PER_DAY, PER_RUN])
async def test_a_limit_that_is_no_number_is_named(name: str, database_url: str) -> None:
    ended = run_scrapy("crawl", "website", "-a", "url=https://example.org/", database_url=database_url, env={name: "x"})
    assert ended.code == 1
    assert f"{name} is 'x'" in ended.stderr.splitlines()[-1]
