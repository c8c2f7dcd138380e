"""Crawls while a model is built beside the active one, and while it takes the other's place: C8."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from db import activation, manifests, models, pages, pending
from lcl_spiders.local_site import LocalSite, Page
from pipelines import index_model, runtime
from pipelines.reembedding.build import Build
from tests.support.crawl import crawl, last_job, stats
from tests.support.door import PATIENT, Door
from tests.support.embeddings import EmbeddingServer, embedding_server
from tests.support.postgres import rows, value
from tests.support.reembedding import FINE, NEW, OLD, config, text_of
from tests.support.scrapy import started_scrapy
from tests.support.site import html, prose, small_town, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection
    from db.models import Model

ENV = {"LCL_EMBEDDING_PROVIDER": "openai", "LCL_EMBEDDING_MODEL": "old"}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    with embedding_server() as served:
        for name, given in served.env.items():
            monkeypatch.setenv(name, given)
        yield served


@pytest.fixture
def env(provider: EmbeddingServer) -> dict[str, str]:
    return {**ENV, **provider.env}


async def build(database_url: str, model: Model) -> None:
    """Cover every page with a model that is being built, as `scrapy reembed` does."""
    shared = await runtime.lease(config(database_url))
    try:
        await Build(shared, model, await index_model.embedder_of(shared, model)).run()
    finally:
        await runtime.give_back(shared)


async def covered(connection: Connection, model: Model) -> set[str]:
    """Return the paths of the pages that a model covers."""
    found = await rows(
        connection,
        """
        SELECT substring(p.url FROM '//[^/]+(/.*)') FROM page_manifests AS m JOIN scraped_pages AS p ON p.id = m.page_id
        WHERE m.model_id = %s AND m.content_hash = p.content_hash AND m.refusal IS NULL
        """,
        model.id,
    )
    return {path for (path,) in found}


async def is_sound(connection: Connection) -> bool:
    return (await pages.broken_pages(connection), await pages.broken_covers(connection)) == ([], [])


@pytest.mark.parametrize("wanted", [NEW, FINE], ids=["another model", "another chunk size"])
async def test_new_and_changed_pages_are_embedded_under_both(database_url, connection, provider, env, wanted):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        model = await models.build(connection, wanted)
        await build(database_url, model)
        before = provider.sent("new")
        site["/market"] = html("Market", tale("cheese"), links=["/mill"])
        site["/mill"] = html("Mill", tale("flour"))
        done = crawl(site, database_url, env=env)
    assert done.code == 0, done.stderr
    assert await covered(connection, model) == {"/", "/harbour", "/library", "/market", "/mill"}
    assert await is_sound(connection)
    counted = await stats(connection)
    assert counted["building/pages/covered"] == 2
    assert counted["building/chunks/embedded"] == len(provider.sent("new")) - len(before) > 0
    assert counted["chunks/embedded"] <= counted["chunks/total"]


async def test_a_second_model_whose_provider_is_away_makes_no_crawl_worse(database_url, connection, provider, env):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        model = await models.build(connection, NEW)
        provider.down.add("new")
        site["/market"] = html("Market", tale("cheese"))
        done = crawl(site, database_url, env={**env, "LCL_EMBEDDING_TIMEOUT": "2"})
    assert done.code == 0, done.stderr
    assert done.stderr.count("the run goes on without openai/new") == 1
    assert (await stats(connection))["pages/changed"] == 1
    assert await covered(connection, model) == set()
    assert await is_sound(connection)


async def test_a_second_model_that_fails_in_mid_run_is_left_out_from_there(database_url, connection, provider, env):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        model = await models.build(connection, NEW)
        provider.failing.add("new")
        site["/market"] = html("Market", tale("cheese"))
        site["/harbour"] = html("Harbour", tale("boats"))
        done = crawl(site, database_url, env={**env, "LCL_EMBEDDING_TIMEOUT": "1"})
    assert done.code == 0, done.stderr
    assert done.stderr.count("the run goes on without openai/new") == 1
    assert (await stats(connection))["pages/changed"] == 2
    assert await covered(connection, model) == set()
    assert await is_sound(connection)


async def test_a_second_model_that_meets_a_limit_on_tokens_is_left_out_from_there(
    database_url, connection, provider, env
):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        model = await models.build(connection, NEW)
        site["/market"] = html("Market", tale("cheese"))
        # Room for the page under one model by estimate, a third of its bytes, and not for as much again.
        used = await value(connection, "SELECT sum(tokens) FROM embedding_usage")
        limit = str(used + len(text_of("cheese")) * 14 // 30)
        done = crawl(site, database_url, env={**env, "LCL_MAX_TOKENS_PER_DAY": limit})
    assert done.code == 0, done.stderr
    assert done.stderr.count("the run goes on without openai/new") == 1
    counted = await stats(connection)
    assert counted["pages/changed"] == 1
    assert [alert["name"] for alert in counted["alerts"]] == ["building_left_behind"]
    assert await covered(connection, model) == set()
    assert await is_sound(connection)
    kept = await rows(connection, "SELECT text FROM pending_texts WHERE model_id = %s ORDER BY text", model.id)
    assert [text for (text,) in kept] == sorted(provider.sent("new")) != []


async def test_a_run_has_one_limit_for_both_models(database_url, connection, provider, env):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        model = await models.build(connection, NEW)
        site["/market"] = html("Market", tale("cheese"))
        limit = str(len(text_of("cheese")) * 14 // 30)  # as above
        done = crawl(site, database_url, env={**env, "LCL_MAX_TOKENS_PER_RUN": limit})
    assert done.code == 0, done.stderr
    counted = await stats(connection)
    assert counted["pages/changed"] == 1
    assert counted["tokens/embedded"] + counted["building/tokens/embedded"] <= int(limit)
    assert [alert["name"] for alert in counted["alerts"]] == ["building_left_behind"]
    assert await covered(connection, model) == set()


async def test_a_page_whose_texts_are_in_a_batch_is_left_to_it(database_url, connection, provider, env):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        model = await models.build(connection, NEW)
        texts = await rows(connection, "SELECT DISTINCT chunk_hash, content FROM page_embeddings")
        await pending.record(connection, model.id, dict(texts))
        opened = "INSERT INTO embedding_batches (model_id, texts, day) VALUES (%s, 1, now()) RETURNING id"
        ((batch,),) = await rows(connection, opened, model.id)
        await connection.execute("UPDATE pending_texts SET batch_id = %s", (batch,))
        site["/market"] = html("Market", [*prose("market"), "A word of its own. " * 60], links=["/mill"])
        site["/mill"] = html("Mill", tale("flour"))
        done = crawl(site, database_url, env=env)
    assert done.code == 0, done.stderr
    assert await covered(connection, model) == {"/mill"}
    assert (await stats(connection))["building/pages/waiting"] == 1
    assert await is_sound(connection)


async def test_a_page_that_the_second_model_refuses_is_written_under_the_active_one(
    database_url, connection, provider, env
):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        model = await models.build(connection, NEW)
        await build(database_url, model)
        site["/market"] = html("Market", prose("poison"))
        site["/harbour"] = html("Harbour", tale("boats"))
        # The active model knows these texts, so that only the second is asked.
        provider.refuse = "poison"
        await connection.execute("UPDATE embedding_models SET name = 'tolerant' WHERE state = 'active'")
        provider.tolerant.add("tolerant")
        done = crawl(site, database_url, env={**env, "LCL_EMBEDDING_MODEL": "tolerant"})
    assert done.code == 0, done.stderr
    assert (await stats(connection))["building/pages/refused"] == 1
    assert await covered(connection, model) == {"/", "/harbour", "/library"}
    assert await is_sound(connection)


async def crawl_through_a_switch(
    site: LocalSite, database_url: str, env: dict[str, str], connection: Connection, model: Model | None = None
) -> tuple[Model, int, str]:
    """Crawl a site; while it keeps the crawl waiting, build a model and switch to it. `model`: one that crawls know."""
    door = Door()
    site.not_found = door  # robots.txt, above all
    try:
        with started_scrapy("crawl", site.domain, database_url=database_url, env=env, settings=PATIENT) as process:
            await asyncio.to_thread(door.wait_for_knock, 60)
            model = model or await models.build(connection, FINE)
            await build(database_url, model)
            assert await activation.activate(connection, model, pause=20) == 0
            door.open()
            _, stderr = await asyncio.to_thread(process.communicate, timeout=60)
            return model, process.returncode, stderr
    finally:
        door.open()


async def test_a_run_goes_on_with_a_model_that_took_over_while_it_was_built(database_url, connection, provider, env):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        site["/market"] = html("Market", tale("cheese"))
        known = await models.build(connection, FINE)
        model, code, stderr = await crawl_through_a_switch(site, database_url, env, connection, known)
    assert code == 0, stderr
    assert (await stats(connection))["pages/changed"] == 1
    assert await is_sound(connection)
    longest = await value(
        connection,
        "SELECT max(length(e.content)) FROM page_embeddings AS e JOIN scraped_pages AS p ON p.id = e.page_id "
        "WHERE p.url ~ 'market' AND e.model_id = %s",
        model.id,
    )
    assert longest <= 300
    # The old model's way back knows that it has to catch up with what changed since.
    old = await models.build(connection, OLD)
    assert await manifests.count_pending(connection, old.id) == 1


async def test_a_run_that_parks_pages_while_its_model_is_replaced_ends_cleanly(database_url, connection, provider, env):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        site["/market"] = html("Market", tale("cheese"))
        known = await models.build(connection, FINE)
        by_batch = {**env, "LCL_EMBEDDING_BATCH": "true"}
        _, code, stderr = await crawl_through_a_switch(site, database_url, by_batch, connection, known)
        assert code == 1, stderr
        job = await last_job(connection)
        assert (job["status"], job["reason"]) == ("failed", "model_changed")
        assert await value(connection, "SELECT count(*) FROM pending_pages") == 0
        assert await is_sound(connection)
        site.not_found = lambda _: Page("not found", status=404)
        assert crawl(site, database_url, env=by_batch).code == 0
    assert await rows(connection, "SELECT model_id FROM pending_pages") == [(known.id,)]


async def test_a_run_that_knows_nothing_of_the_new_model_ends_cleanly_and_blames_nobody(
    database_url, connection, provider, env
):
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
        site["/market"] = html("Market", tale("cheese"))
        _, code, stderr = await crawl_through_a_switch(site, database_url, env, connection)
        assert code == 1, stderr
        job = await last_job(connection)
        assert (job["status"], job["reason"]) == ("failed", "model_changed")
        assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 0
        assert await is_sound(connection)
        site.not_found = lambda _: Page("not found", status=404)
        assert crawl(site, database_url, env=env).code == 0
    assert (await stats(connection))["pages/changed"] == 1
    assert await is_sound(connection)
