"""Calls of `scrapy reembed` that meet each other, a database that is away, or what an earlier one left undone: C8."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from db import activation, manifests, models, pages
from lcl_spiders.console import CommandFailed
from lcl_spiders.reembedding.asked import Asked
from lcl_spiders.reembedding.call import Reembedding
from lcl_spiders.reembedding.display import Display
from lcl_spiders.reembedding.reservation import Busy
from tests.support.embeddings import EmbeddingServer, embedding_server
from tests.support.postgres import rows, until_true, value
from tests.support.reembedding import FINE, OLD, Moving, moving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from db.models import Model

TOPICS = ("harbour", "library")
WANTED = Asked(provider="openai", model="new")

END_RESERVATIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    with embedding_server() as served:
        for name, given in served.env.items():
            monkeypatch.setenv(name, given)
        yield served


@pytest.fixture
async def index(connection, source, provider, database_url) -> AsyncIterator[Moving]:
    async with moving(connection, source, provider, database_url, TOPICS) as made:
        yield made


def call(index: Moving) -> Reembedding:
    return Reembedding(index.shared, Display(Console(file=io.StringIO()), is_silent=True))


async def built(index: Moving, wanted: Asked = WANTED, *, pause: float | None = None) -> Model:
    model, embedder = await call(index).find(wanted)
    return (await call(index).build(model, embedder, pages=0, retry=False, pause=pause)).model


async def test_a_build_whose_session_was_ended_goes_on_in_a_new_one(index, provider):
    provider.wait_for = "harbour"
    building = asyncio.create_task(built(index, pause=20))
    assert await asyncio.to_thread(provider.waiting.wait, 30)
    assert await value(index.connection, END_RESERVATIONS) == 1
    await until_true(index.connection, "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')")
    provider.open()
    assert (await building).state == "active"
    assert await index.active() == "new"


async def test_a_build_whose_model_another_process_took_meanwhile_leaves_it_alone(index, provider):
    provider.wait_for = "harbour"
    building = asyncio.create_task(built(index, pause=20))
    assert await asyncio.to_thread(provider.waiting.wait, 30)
    await index.connection.execute(END_RESERVATIONS)
    await until_true(index.connection, "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')")
    (model,) = [each for each in await models.every(index.connection) if each.state == "building"]
    assert await models.reserve(index.connection, model)
    provider.open()
    with pytest.raises(Busy, match=r"another process works on openai/new"):
        await building
    assert await index.active() == "old"


async def test_a_model_that_another_process_activated_meanwhile_is_not_built_upon(index, provider):
    model, embedder = await call(index).find(WANTED)
    await built(index, pause=20)
    model, embedder = await call(index).find(Asked(provider="openai", model="old"))
    assert model.state == "retired"
    await built(index, Asked(provider="openai", model="old"), pause=20)
    with pytest.raises(CommandFailed, match=r"was made the index's model meanwhile"):
        await call(index).build(model, embedder, pages=0, retry=False, pause=20)
    assert await value(index.connection, "SELECT count(*) FROM page_manifests WHERE model_id = %s", model.id) == 0
    assert (await pages.broken_pages(index.connection), await pages.broken_covers(index.connection)) == ([], [])


async def test_a_database_that_goes_away_is_told_of_with_what_is_kept(index, provider, monkeypatch):
    model, embedder = await call(index).find(WANTED)

    async def full(*_: object) -> None:
        await index.connection.execute("SELECT 1 FROM nowhere")

    monkeypatch.setattr(manifests, "cover", full)
    with pytest.raises(CommandFailed, match=r"nowhere.* The 0 pages that were covered are kept; the same command"):
        await call(index).build(model, embedder, pages=0, retry=False, pause=None)


async def test_a_server_with_another_model_of_the_same_name_is_not_taken_for_it(index, provider):
    await built(index)
    with embedding_server() as other:
        there = Asked(provider="openai", model="new", base_url=other.url, api_key_env="OPENAI_API_KEY")
        assert (await call(index).find(there))[0].base_url == other.url
        other.salt = "other weights "
        with pytest.raises(CommandFailed, match=r"is another model than the one whose vectors are stored"):
            await call(index).find(replace(there, base_url=other.url + "/"))
    assert {each.base_url for each in await models.every(index.connection)} == {None}


async def test_what_keeps_a_model_from_being_freed_is_told_with_what_to_do(index, monkeypatch):
    model = await built(index)

    async def locked(*_: object) -> None:
        await index.connection.execute("SELECT 1 FROM nowhere")

    monkeypatch.setattr(activation.indexes, "drop", locked)
    with pytest.raises(CommandFailed, match=r"openai/new .* is retired, but .*nowhere.* The same command goes on"):
        await call(index).free(model)
    monkeypatch.undo()
    assert (await call(index).free(model)).freed.pages == len(TOPICS)


async def test_what_changes_between_the_preparation_of_a_switch_and_the_switch_is_kept_as_it_is(index, monkeypatch):
    model = await built(index)
    switch = activation._switch

    async def after_a_change(*given, **named):
        page = "SELECT id FROM scraped_pages WHERE url ~ 'harbour'"
        await index.connection.execute(
            f"DELETE FROM page_embeddings WHERE page_id = ({page}) AND model_id = 1 "  # type: ignore[arg-type]  # no literal: it is made of parts
            f"AND chunk_hash <> (SELECT chunk_hashes[1] FROM scraped_pages WHERE id = ({page}))"
        )
        await index.connection.execute(
            "UPDATE scraped_pages SET chunk_hashes = chunk_hashes[1:1] WHERE url ~ 'harbour'"
        )
        return await switch(*given, **named)

    monkeypatch.setattr(activation, "_switch", after_a_change)
    assert await activation.activate(index.connection, model, pause=20) == 0
    assert (await pages.broken_pages(index.connection), await pages.broken_covers(index.connection)) == ([], [])


async def test_a_model_that_is_not_active_any_more_keeps_its_manifests(index):
    model = await built(index, pause=20)
    old = await models.find(index.connection, OLD)
    assert old is not None
    assert await activation.settle(index.connection, old) == 0
    assert await value(index.connection, "SELECT count(*) FROM page_manifests WHERE model_id = %s", old.id) == 2
    assert await value(index.connection, "SELECT count(*) FROM page_manifests WHERE model_id = %s", model.id) == 0


class TestChecks:
    """What the pages' checks tell to be saved is of the model that is active."""

    QUERY = "SELECT sum(chunks), sum(tokens) FROM page_checks"
    TRUTH = "SELECT count(*), sum(token_count) FROM page_embeddings WHERE model_id = %s"

    @pytest.fixture
    async def checked(self, index) -> Moving:
        await index.connection.execute(
            "INSERT INTO page_checks (page_id, source_id, next_check_at, check_interval, chunks, tokens) "
            "SELECT id, source_id, now(), '1 day', 1, 7 FROM scraped_pages"
        )
        return index

    async def test_they_follow_a_switch(self, checked):
        model = await built(checked, Asked(chunk_size=300, provider="openai", model="new"), pause=20)
        assert model.is_same(FINE)
        assert await rows(checked.connection, self.QUERY) == await rows(checked.connection, self.TRUTH, model.id)

    async def test_those_that_a_killed_switch_left_are_made_good_by_the_same_command(self, checked):
        model = await built(checked)
        assert await activation.activate(checked.connection, model, pause=20) == 0
        found, _ = await call(checked).find(WANTED)
        assert found.state == "active"
        await call(checked).keep_active(found)
        assert await rows(checked.connection, self.QUERY) == await rows(checked.connection, self.TRUTH, model.id)

    async def test_they_are_left_alone_by_who_comes_too_late(self, checked):
        model = await built(checked)
        assert await activation.settle(checked.connection, model) == 0
        old = await models.find(checked.connection, OLD)
        assert old is not None
        assert await activation.settle(checked.connection, old) == len(TOPICS)
        assert await activation.settle(checked.connection, old) == 0
