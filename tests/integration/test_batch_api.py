"""Batches that do not go as they should, and what becomes of the pages that wait for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from db import batches, manifests, models, pages, pending
from pipelines import runtime
from pipelines.batch_api.apis import Apis
from pipelines.batch_api.apply import Applied, apply
from pipelines.batch_api.cancel import cancel
from pipelines.batch_api.poll import ATTEMPTS, poll
from pipelines.batch_api.submit import submit
from pipelines.providers import ProviderUnavailable
from pipelines.writer import Writer
from tests.support.batch_provider import TOKENS, BatchProvider
from tests.support.batches import config, park, serving_batches, urls
from tests.support.faulty_provider import DIMENSIONS, POISON, VOID
from tests.support.index import Index, digest, page
from tests.support.postgres import rows, value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from db.connection import Connection
    from db.sources import Source
    from pipelines.runtime import Runtime
    from pipelines.writer import Done, Write


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchProvider]:
    with serving_batches(monkeypatch) as running:
        yield running


@pytest.fixture
async def index(connection: Connection, source: Source) -> Index:
    model = await models.ensure_active(
        connection, provider="openai", name="double", dimensions=DIMENSIONS, chunker_version="markdown-1000-v1"
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


async def went_round(shared: Runtime, apis: Apis, provider: BatchProvider, **end: object) -> Applied:
    """Submit, have the batches end, and apply what came of it."""
    await submit(shared, apis)
    provider.end(**end)  # type: ignore[arg-type]  # parameters of the test
    await poll(shared, apis)
    return await apply(shared)


async def test_a_refused_text_fails_its_page_alone(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("good"), "one", "two"), page(index.url("bad"), "three", f"{POISON} here"))
    await park(index, page(index.url("void"), f"{VOID} here"))
    done = await went_round(shared, apis, provider)
    assert done.pages == {"indexed": 1, "failed": 2}
    assert await urls(connection) == [index.url("good")]
    assert await rows(connection, "SELECT url, kind FROM failed_pages ORDER BY url") == [
        (index.url("bad"), "embedding_refused"),
        (index.url("void"), "unusable_vector"),
    ]
    assert await value(connection, "SELECT count(*) FROM pending_pages") == 0
    assert await rows(connection, "SELECT text FROM pending_texts") == [("three",)]  # paid for, and may be wanted again
    assert await value(connection, "SELECT tokens FROM embedding_usage") == 4 * TOKENS
    assert await pages.broken_pages(connection) == []


async def test_what_an_expired_batch_did_not_come_to_is_asked_once_more(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    texts = [f"text number {n}" for n in range(10)]
    await park(index, *(page(index.url(f"p{n}"), text) for n, text in enumerate(texts)))
    done = await went_round(shared, apis, provider, status="expired", done=6)
    assert done.pages == {"indexed": 6}
    assert (await went_round(shared, apis, provider)).pages == {"indexed": 4}
    assert len(provider.asked) == 14
    assert await rows(connection, "SELECT texts, tokens FROM embedding_usage") == [(10, 10 * TOKENS)]


async def test_a_text_at_which_the_server_always_fails_is_given_up_in_the_end(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("broken"), "it breaks the server"))
    for attempt in range(ATTEMPTS):
        assert await value(connection, "SELECT count(*) FROM pending_pages") == 1, attempt
        await went_round(shared, apis, provider, broken="breaks")
    assert await rows(connection, "SELECT url, kind FROM failed_pages") == [(index.url("broken"), "embedding_refused")]
    assert (await submit(shared, apis)).batches == []


async def test_a_batch_that_fails_as_a_whole_gives_its_texts_back_and_says_why(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one", "two"))
    await submit(shared, apis)
    provider.fail("Enqueued token limit reached")
    found = await poll(shared, apis)
    assert found.returned == 2
    assert found.problems == ["batch 1 failed as a whole: token_limit_exceeded: Enqueued token limit reached"]
    assert (await went_round(shared, apis, provider)).pages == {"indexed": 1}


async def test_a_batch_that_is_refused_at_once_gives_its_texts_back(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    provider.refusal = (400, "no")
    done = await submit(shared, apis)
    assert done.batches == []
    assert "refuses a batch" in done.problems[0]
    assert await rows(connection, "SELECT state, settled_at IS NULL FROM embedding_batches") == [("failed", False)]
    provider.refusal = None
    assert (await went_round(shared, apis, provider)).pages == {"indexed": 1}


async def test_a_server_that_dies_while_a_batch_is_begun_leaves_it_to_be_found(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    provider.refusal = (503, "away")
    with pytest.raises(ProviderUnavailable):
        await submit(shared, apis)
    provider.refusal = None
    assert len((await submit(shared, apis)).batches) == 1
    assert len(provider.files) == 1
    assert (await went_round(shared, apis, provider)).pages == {"indexed": 1}
    assert provider.asked == ["one"]


async def test_texts_are_parted_into_batches_of_the_size_that_is_allowed(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, *(page(index.url(f"p{n}"), f"text number {n}") for n in range(7)))
    done = await submit(shared, apis, max_texts=3)
    assert (len(done.batches), done.texts) == (3, 7)
    provider.end()
    await poll(shared, apis)
    assert (await apply(shared)).pages == {"indexed": 7}


async def test_a_cancelled_batch_keeps_what_was_done(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"), page(index.url("b"), "two"))
    await submit(shared, apis)
    assert (await cancel(shared, apis, None)).batches == [1]
    provider.end("cancelled", done=1)
    assert (await poll(shared, apis)).returned == 1
    assert (await apply(shared)).pages == {"indexed": 1}
    assert (await pending.standing(connection)).free_texts == 1


# What changed while pages waited.


async def test_a_page_that_changed_or_came_or_went_since_it_was_parked_is_not_brought_back(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await index.write(page(index.url("changed"), "its new text"))
    await park(index, page(index.url("changed"), "its old text"), known_hash=digest("an older one"))
    await park(index, page(index.url("went"), "its text"), known_hash=digest("it was there"))
    await index.write(page(index.url("came"), "what it says now"))
    await park(index, page(index.url("came"), "what it said"))
    assert (await went_round(shared, apis, provider)).pages == {"outdated": 3}
    assert await urls(connection) == [index.url("came"), index.url("changed")]
    assert await index.texts(index.url("changed")) == {"its new text"}
    assert await value(connection, "SELECT count(*) FROM pending_pages") == 0


async def test_a_vector_that_was_to_be_reused_and_is_gone_is_asked_for(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "shared", "own"))
    await connection.execute("UPDATE pending_pages SET awaits = ARRAY[%s]", (digest("own"),))
    await connection.execute("DELETE FROM pending_texts WHERE chunk_hash = %s", (digest("shared"),))
    assert (await went_round(shared, apis, provider)).pages == {"incomplete": 1}
    assert (await went_round(shared, apis, provider)).pages == {"indexed": 1}
    assert sorted(provider.asked) == ["own", "shared"]
    assert await index.texts(index.url("a")) == {"own", "shared"}


async def test_pages_of_a_model_that_is_not_the_active_one_any_more_are_left_to_the_next_crawl(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    await connection.execute("UPDATE embedding_models SET state = 'retired'")
    await models.ensure_active(connection, provider="local", name="x", dimensions=2, chunker_version="1")
    assert (await apply(shared)).pages == {"other_model": 1}
    assert await urls(connection) == []


async def test_a_page_of_a_model_that_is_only_built_by_now_is_left_to_the_next_crawl_and_its_vectors_are_kept(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    await connection.execute("UPDATE embedding_models SET state = 'building'")
    await models.ensure_active(connection, provider="local", name="x", dimensions=2, chunker_version="1")
    assert (await apply(shared)).pages == {"other_model": 1}
    assert await urls(connection) == []
    assert set(await pages.reusable_vectors(connection, index.model.id, [digest("one")])) == {digest("one")}


async def test_a_page_that_is_applied_is_left_uncovered_under_a_model_that_is_being_built(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await index.write(page(index.url("a"), "old"))
    beside = await models.build(connection, replace(index.model, id=0, name="beside"))
    await park(index, page(index.url("a"), "new"), known_hash=digest("old"))
    before = await manifests.count_pending(connection, beside.id)
    assert (await went_round(shared, apis, provider)).pages == {"indexed": 1}
    assert await index.texts(index.url("a")) == {"new"}
    assert (before, await manifests.count_pending(connection, beside.id)) == (1, 1)
    assert (await pages.broken_pages(connection), await pages.broken_covers(connection)) == ([], [])


async def test_a_switch_between_reading_and_committing_leaves_the_page_to_the_next_crawl(
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
    write = Writer.write

    async def switched_before(self: Writer, batch: Sequence[Write]) -> list[Done]:
        await connection.execute("UPDATE embedding_models SET state = 'retired'")
        await models.ensure_active(connection, provider="local", name="x", dimensions=2, chunker_version="1")
        return await write(self, batch)

    monkeypatch.setattr(Writer, "write", switched_before)
    assert (await apply(shared)).pages == {"other_model": 1}
    assert await urls(connection) == []
    assert await value(connection, "SELECT count(*) FROM pending_pages") == 0


async def test_the_row_says_where_the_batches_of_a_model_are(
    index: Index,
    shared: Runtime,
    apis: Apis,
    provider: BatchProvider,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await park(index, page(index.url("a"), "one"))
    url = provider.env["OPENAI_BASE_URL"]
    await connection.execute("UPDATE embedding_models SET base_url = %s, api_key_env = 'OTHER_KEY'", (url,))
    monkeypatch.setenv("OTHER_KEY", "another-word")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert (await went_round(shared, apis, provider)).pages == {"indexed": 1}


async def test_nothing_is_submitted_for_a_model_that_is_retired(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    await pending.add_texts(connection, index.model.id, {digest("two"): "two"})
    await connection.execute("UPDATE embedding_models SET state = 'retired'")
    assert (await submit(shared, apis)).batches == []
    assert await value(connection, "SELECT count(*) FROM pending_pages") == 0
    assert await value(connection, "SELECT count(*) FROM pending_texts") == 0


async def test_a_source_that_a_run_holds_waits(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one"))
    key = "lcl-domain:" + index.source.domain
    await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (key,))
    done = await went_round(shared, apis, provider)
    assert (done.pages, done.busy) == ({}, [index.source.slug])
    await connection.execute("SELECT pg_advisory_unlock_all()")
    assert (await apply(shared)).pages == {"indexed": 1}


async def test_texts_that_no_page_waits_for_any_more_are_not_submitted(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "first"))
    await park(index, page(index.url("a"), "second"))
    await pending.add_texts(connection, index.model.id, {digest("for a new model"): "for a new model"})
    await submit(shared, apis)
    assert sorted(provider.asked) == ["for a new model", "second"]


async def test_a_vector_of_a_batch_is_found_like_any_other_before_its_page_is_written(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await pending.add_texts(connection, index.model.id, {digest("one"): "one"})
    await submit(shared, apis)
    provider.end()
    await poll(shared, apis)
    found = await pages.reusable_vectors(connection, index.model.id, [digest("one"), digest("two")])
    assert set(found) == {digest("one")}
    assert found[digest("one")][1] == TOKENS


# The limit of the day.


async def test_no_more_is_submitted_than_the_day_has_room_for(
    index: Index, provider: BatchProvider, connection: Connection, database_url: str
) -> None:
    await park(index, *(page(index.url(f"p{n}"), f"text number {n}") for n in range(7)))  # 5 tokens each by estimate
    shared = await runtime.lease(config(database_url, LCL_MAX_TOKENS_PER_DAY="22"))
    async with Apis(shared) as apis:
        done = await submit(shared, apis)
        assert done.texts == 4
        assert "would exceed the day's 22 (LCL_MAX_TOKENS_PER_DAY)" in done.problems[0]
        assert await rows(connection, "SELECT tokens, reserved FROM embedding_usage") == [(0, 20)]
        provider.end()
        await poll(shared, apis)
    await runtime.give_back(shared)
    assert await rows(connection, "SELECT tokens, reserved FROM embedding_usage") == [(4 * TOKENS, 0)]


async def test_a_result_is_taken_once_however_often_it_is_read(
    index: Index, shared: Runtime, apis: Apis, provider: BatchProvider, connection: Connection
) -> None:
    await park(index, page(index.url("a"), "one", "two"))
    await submit(shared, apis)
    provider.end()
    (batch,) = await batches.unsettled(connection)
    for _ in range(2):
        await poll(shared, apis)
        await connection.execute("UPDATE embedding_batches SET settled_at = NULL")
    assert await rows(connection, "SELECT texts, tokens FROM embedding_usage") == [(2, 2 * TOKENS)]
    assert batch.texts == 2
