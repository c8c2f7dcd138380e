"""Batches, files and providers that are gone: each costs its own texts time, and nobody else anything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from db import models, pending
from db.locks import OneAtATime
from pipelines import runtime
from pipelines.batch_api.apis import Apis
from pipelines.batch_api.apply import apply
from pipelines.batch_api.cancel import cancel
from pipelines.batch_api.poll import poll
from pipelines.batch_api.round import go_round
from pipelines.batch_api.submit import LOCK, submit
from pipelines.providers import ProviderError, ProviderUnavailable
from tests.support.batch_provider import TOKENS, BatchProvider
from tests.support.batches import config, park, serving_batches, urls
from tests.support.faulty_provider import DIMENSIONS
from tests.support.index import Index, chunk, digest, page, vector
from tests.support.postgres import rows
from tests.support.scrapy import run_scrapy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.models import Model
    from db.sources import Source
    from pipelines.runtime import Runtime


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchProvider]:
    with serving_batches(monkeypatch) as running:
        yield running


@pytest.fixture
async def index(connection: Connection, source: Source) -> Index:
    model = await models.ensure_active(
        connection, provider="openai", name="double", dimensions=DIMENSIONS, chunker_version="test-1"
    )
    return await Index.opened(connection, source, model)


@pytest.fixture
async def shared(provider: BatchProvider, database_url: str) -> AsyncIterator[Runtime]:
    leased = await runtime.lease(config(database_url))
    yield leased
    await runtime.give_back(leased)


@pytest.fixture
async def apis(shared: Runtime) -> AsyncIterator[Apis]:
    async with Apis(shared) as made:
        yield made


async def states(connection: Connection) -> list[tuple[str, bool]]:
    return await rows(connection, "SELECT state, settled_at IS NOT NULL FROM embedding_batches ORDER BY id")


async def beside(index: Index, **fields: object) -> Model:
    """Make a second model, with a text that waits."""
    made = await models.build(index.connection, replace(index.model, id=0, name="beside", **fields))  # type: ignore[arg-type]  # fields by name
    await pending.add_texts(index.connection, made.id, {digest("of another model"): "of another model"})
    return made


async def test_a_batch_that_the_provider_lost_is_told_of_and_holds_up_no_other(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"), page(index.url("b"), "two"))
    await submit(shared, apis, max_texts=1)
    provider.end()
    del provider.batches[next(iter(provider.batches))]
    found = await poll(shared, apis)
    assert (found.ended, found.results) == ([2], 1)
    (problem,) = found.problems
    assert "does not know batch_" in problem
    assert "scrapy batches cancel 1" in problem
    assert await states(connection) == [("validating", False), ("completed", True)]

    assert (await cancel(shared, apis, {1})).batches == [1]
    assert await states(connection) == [("cancelled", True), ("completed", True)]
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    assert (await apply(shared)).pages == {"indexed": 2}


async def test_a_lost_batch_keeps_nobody_waiting_for_it(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, database_url: str, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"), page(index.url("b"), "two"))
    await submit(shared, apis, max_texts=1)
    provider.end()
    del provider.batches[next(iter(provider.batches))]
    ran = run_scrapy("batches", "run", "--every", "1", database_url=database_url, env=provider.env)
    assert ran.code == 1
    assert "scrapy batches cancel 1" in ran.stderr
    assert len(await urls(connection)) == 1


async def test_texts_whose_results_are_gone_wait_for_another_batch(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    await submit(shared, apis)
    provider.end()
    (batch,) = provider.batches.values()
    del provider.files[batch["output_file_id"]]
    found = await poll(shared, apis)
    assert (found.ended, found.results, found.returned) == ([1], 0, 1)
    assert "Its texts without a result wait for another batch" in found.problems[0]
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    assert (await apply(shared)).pages == {"indexed": 1}


async def test_a_file_that_breaks_off_is_read_again_and_no_result_counted_twice(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, *(page(index.url(f"p{n}"), f"text number {n}") for n in range(6)))
    await submit(shared, apis)
    provider.end()
    provider.cuts_files = True
    with pytest.raises(ProviderUnavailable, match=r"does not answer"):
        await poll(shared, apis)
    assert await states(connection) == [("completed", False)]
    provider.cuts_files = False
    await poll(shared, apis)
    assert (await apply(shared)).pages == {"indexed": 6}
    assert await rows(connection, "SELECT texts, tokens FROM embedding_usage") == [(6, 6 * TOKENS)]


async def test_an_uploaded_file_that_is_gone_gives_its_texts_back(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    provider.refusal = (503, "away")
    with pytest.raises(ProviderUnavailable):
        await submit(shared, apis)
    provider.refusal = None
    provider.files.clear()
    assert "does not know the file" in (await submit(shared, apis)).problems[0]
    assert (await submit(shared, apis)).texts == 1
    assert provider.asked == ["one"]


async def test_a_model_whose_provider_is_away_holds_up_no_other(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    away = await beside(index, base_url="http://127.0.0.1:9/v1")
    await park(index, page(index.url("a"), "one"))
    with pytest.raises(ProviderError, match="is not the server of OPENAI_BASE_URL"):
        await go_round(shared, apis)
    provider.end()
    with pytest.raises(ProviderError, match="is not the server of OPENAI_BASE_URL"):
        await go_round(shared, apis)
    assert await urls(connection) == [index.url("a")]
    assert (await pending.count_texts(connection, away.id)).free == 1


async def test_what_came_is_written_though_the_provider_takes_no_more(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    await pending.add_texts(connection, index.model.id, {digest("more"): "more"})
    provider.fault = "echo"
    async with Apis(shared) as fresh:
        with pytest.raises(ProviderError, match=r"refuses"):
            await go_round(shared, fresh)
    assert await urls(connection) == [index.url("a")]


async def test_a_batch_that_is_just_being_submitted_is_not_cancelled(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    provider.refusal = (503, "away")
    with pytest.raises(ProviderUnavailable):
        await submit(shared, apis)
    provider.refusal = None
    async with OneAtATime(shared.direct_url, LOCK):
        done = await cancel(shared, apis, None)
    assert (done.batches, done.busy) == ([], [1])
    assert await states(connection) == [("preparing", False)]
    assert (await cancel(shared, apis, None)).batches == [1]
    assert (await pending.standing(connection)).free_texts == 1


async def test_a_state_that_the_api_does_not_document_is_one_of_being_at_work(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    await submit(shared, apis)
    (batch,) = provider.batches.values()
    batch["status"] = "queued"
    assert (await poll(shared, apis)).ended == []
    assert await states(connection) == [("in_progress", False)]


async def test_a_source_that_is_removed_meanwhile_holds_up_no_other(
    index: Index,
    shared: Runtime,
    apis: Apis,
    provider: BatchProvider,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await park(index, page(index.url("a"), "one"))
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    found = pending.ready_sources

    async def with_one_that_is_gone(connection: Connection) -> Sequence[UUID]:
        return [uuid4(), *await found(connection)]

    monkeypatch.setattr(pending, "ready_sources", with_one_that_is_gone)
    assert (await apply(shared)).pages == {"indexed": 1}


# What nobody needs a batch for any more.


async def test_a_text_that_was_embedded_at_once_meanwhile_is_not_paid_for_again(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "shared", "own"))
    await pending.add_texts(connection, index.model.id, {digest("recorded"): "recorded"})
    chunks = [chunk(text, embedding=vector(text, index.model.dimensions)) for text in ("shared", "recorded")]
    await index.write(page(index.url("b"), "shared", "recorded", language="en", chunks=chunks))
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    assert provider.asked == ["own"]
    assert (await apply(shared)).pages == {"indexed": 1}
    assert await index.texts(index.url("a")) == {"shared", "own"}


async def test_texts_of_a_retired_model_keep_nobody_waiting(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await models.retire(connection, await beside(index))
    await go_round(shared, apis)
    assert (await pending.standing(connection)).free_texts == 0
    assert provider.asked == []


async def test_vectors_for_a_model_that_is_being_built_are_kept_until_it_is(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    made = await beside(index)
    await pending.add_texts(connection, index.model.id, {digest("one"): "one"})
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    await connection.execute("UPDATE pending_texts SET created_at = now() - interval '31 days'")
    await pending.tidy(connection)
    assert await rows(connection, "SELECT model_id FROM pending_texts") == [(made.id,)]
