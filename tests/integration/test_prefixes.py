"""A model that wants queries and passages told apart: all texts of its index are made alike, by every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite
from pipelines import runtime
from pipelines.batch_api.apply import apply
from tests.support.crawl import crawl, stats
from tests.support.embeddings import EmbeddingServer, embedding_server
from tests.support.postgres import rows, value
from tests.support.reembedding import config
from tests.support.scrapy import run_scrapy
from tests.support.site import html, small_town, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

PREFIXES = {"LCL_EMBEDDING_QUERY_PREFIX": "query: ", "LCL_EMBEDDING_PASSAGE_PREFIX": "passage: "}


@pytest.fixture
def provider() -> Iterator[EmbeddingServer]:
    with embedding_server() as served:
        yield served


async def test_an_index_keeps_the_prefixes_it_was_made_with_until_it_is_moved(
    database_url: str, connection: Connection, provider: EmbeddingServer
) -> None:
    env = {**provider.env, "LCL_EMBEDDING_PROVIDER": "openai", "LCL_EMBEDDING_MODEL": "e5"}
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env={**env, **PREFIXES}).code == 0
        assert provider.sent("e5")
        site["/market"] = html("Market", tale("cheese"), links=["/"])
        done = crawl(site, database_url, env={**env, "LCL_EMBEDDING_PASSAGE_PREFIX": "text: "})
        assert done.code == 0
        assert "LCL_EMBEDDING_PASSAGE_PREFIX names 'text: '" in done.stderr
    assert (await stats(connection))["chunks/embedded"] > 0
    assert all(text.startswith("passage: ") for text in provider.sent("e5"))
    assert await value(connection, "SELECT count(*) FROM page_embeddings WHERE content LIKE 'passage:%%'") == 0
    assert run_scrapy("search", "cheese", "--json", database_url=database_url, env=provider.env).code == 0
    assert provider.sent("e5")[-1] == "query: cheese"

    move = ("reembed", "--query-prefix", "q: ", "--passage-prefix", "", "--yes", "--activate")
    before = len(provider.sent("e5"))
    moved = run_scrapy(*move, database_url=database_url, env=provider.env)
    assert moved.code == 0, moved.stderr
    again = provider.sent("e5")[before:]
    assert again
    assert not any(text.startswith("passage: ") for text in again)
    assert await rows(connection, "SELECT chunker_version FROM embedding_models WHERE state = 'active'") == [
        ('markdown-1000-v1 ["q: ", ""]',)
    ]
    assert await pages.broken_pages(connection) == []


async def test_texts_that_wait_for_a_batch_are_kept_as_they_are_sent(
    database_url: str, connection: Connection, provider: EmbeddingServer
) -> None:
    env = {**provider.env, **PREFIXES, "LCL_EMBEDDING_PROVIDER": "openai", "LCL_EMBEDDING_BATCH": "true"}
    with LocalSite(small_town()) as site:
        assert crawl(site, database_url, env=env).code == 0
    waiting = await rows(connection, "SELECT chunk_hash, text FROM pending_texts ORDER BY 1")
    assert waiting
    assert all(text.startswith("passage: ") for _, text in waiting)
    await connection.execute("DELETE FROM pending_texts")
    await connection.execute("UPDATE pending_pages SET awaits = '{}'")
    shared = await runtime.lease(config(database_url))
    try:
        assert (await apply(shared)).pages == {"incomplete": 4}
    finally:
        await runtime.give_back(shared)
    assert await rows(connection, "SELECT chunk_hash, text FROM pending_texts ORDER BY 1") == waiting
