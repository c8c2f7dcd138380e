"""A model whose texts come by the provider's batches, for half the price: C8 by way of the Batch API."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from db import batches, pages, pending
from lcl_spiders.console import CommandFailed
from lcl_spiders.reembedding.asked import Asked
from lcl_spiders.reembedding.call import Reembedding
from lcl_spiders.reembedding.display import Display
from pipelines.batch_api.apis import Apis
from pipelines.batch_api.poll import poll
from pipelines.batch_api.submit import submit
from pipelines.reembedding.by_batch import record
from tests.support.batch_provider import TOKENS, BatchProvider
from tests.support.batches import serving_batches
from tests.support.postgres import rows, value
from tests.support.reembedding import FINE, NEW, Moving, moving, text_of
from tests.support.scrapy import run_scrapy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from db.models import Model

TOPICS = ("harbour", "library", "market")
WANTED = Asked(provider="openai", model="new")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchProvider]:
    with serving_batches(monkeypatch) as running:
        yield running


@pytest.fixture
async def index(connection, source, provider, database_url) -> AsyncIterator[Moving]:
    async with moving(connection, source, provider, database_url, TOPICS) as made:
        yield made


def call(index: Moving) -> Reembedding:
    return Reembedding(index.shared, Display(Console(file=io.StringIO()), is_silent=True))


async def all_texts(index: Moving, model: Model) -> list[str]:
    return sorted(set().union(*(await index.expected(model)).values()))


async def answered(index: Moving, provider: BatchProvider, **end: Any) -> None:
    """Submit what waits, have the batches end, and take what came of it."""
    async with Apis(index.shared) as apis:
        await submit(index.shared, apis)
        provider.end(**end)
        await poll(index.shared, apis)


@pytest.mark.parametrize("wanted", [NEW, FINE], ids=["another model", "another chunk size"])
async def test_what_batches_embedded_is_what_the_model_is_built_from_and_paid_once(index, provider, wanted):
    model, build = await index.begin(wanted)
    texts = await all_texts(index, model)
    recorded = await record(index.shared, model)
    assert (recorded.pages, recorded.texts) == (len(TOPICS), len(texts))
    assert (await record(index.shared, model)).texts == 0
    await answered(index, provider)
    assert (await record(index.shared, model)).texts == 0

    assert await build.run() == 0
    assert await index.texts(model) == await index.expected(model)
    assert (sorted(provider.asked), provider.texts) == (texts, [])
    assert await rows(index.connection, "SELECT texts, tokens, batched FROM embedding_usage") == [
        (len(texts), len(texts) * TOKENS, len(texts) * TOKENS)
    ]
    assert (await pages.broken_pages(index.connection), await pages.broken_covers(index.connection)) == ([], [])
    assert await pending.tidy(index.connection) == len(texts)


async def test_of_a_page_that_changed_meanwhile_only_what_is_new_is_embedded_at_once(index, provider):
    model, build = await index.begin()
    await record(index.shared, model)
    await answered(index, provider)
    await index.write("harbour", text_of("harbour") + "\n\n" + "The new pier is open. " * 60)
    assert await build.run() == 0
    assert 0 < len(provider.texts) < len(provider.asked)
    assert not set(provider.texts) & set(provider.asked)


async def test_what_a_batch_did_not_answer_is_asked_for_by_the_next_one_only(index, provider):
    model, _ = await index.begin()
    await record(index.shared, model)
    await answered(index, provider, status="expired", done=2)
    assert (await record(index.shared, model)).texts == 0
    await answered(index, provider)
    texts = await all_texts(index, model)
    assert len(provider.asked) == 2 * len(texts) - 2
    assert await value(index.connection, "SELECT sum(texts) FROM embedding_usage") == len(texts)


async def test_a_text_that_the_provider_refuses_is_named_by_the_build(index, provider):
    await index.write("poisoned", "Beware of arsenic in the old wallpaper.")
    model, build = await index.begin()
    await record(index.shared, model)
    await answered(index, provider)
    assert await build.run() == 0
    assert build.progress.refused == 1
    assert provider.texts == []


async def test_texts_in_a_batch_are_not_embedded_at_once_as_well(index, provider):
    model, _ = await index.begin()
    found, embedder = await call(index).find(WANTED)
    await record(index.shared, model)
    async with Apis(index.shared) as apis:
        await submit(index.shared, apis)
    for attempt in (
        lambda: call(index).waiting(found),
        lambda: call(index).build(found, embedder, pages=0, retry=False, pause=None),
    ):
        with pytest.raises(CommandFailed, match=r"are in batches, and would be paid for twice.*scrapy batches cancel"):
            await attempt()
    assert provider.texts == []
    (batch,) = await batches.unsettled(index.connection)
    assert batch.texts == len(await all_texts(index, model))


async def test_texts_that_no_batch_has_yet_are_withdrawn_by_a_build_at_once(index, provider):
    model, _ = await index.begin()
    found, embedder = await call(index).find(WANTED)
    await record(index.shared, model)
    assert (await call(index).waiting(found)).free == len(await all_texts(index, model))
    done = await call(index).build(found, embedder, pages=0, retry=False, pause=None)
    assert (done.pending, done.built.pages) == (0, len(TOPICS))
    async with Apis(index.shared) as apis:
        assert (await submit(index.shared, apis)).texts == 0
    assert await value(index.connection, "SELECT count(*) FROM pending_texts") == 0


async def test_the_estimate_of_batches_leaves_out_what_waits_for_one_already(index, provider):
    model, _ = await index.begin()
    found, embedder = await call(index).find(WANTED)
    texts = await all_texts(index, model)
    before = await call(index).estimate(found, embedder, 1.0, by_batch=True)
    await record(index.shared, model)
    after = await call(index).estimate(found, embedder, 1.0, by_batch=True)
    at_once = await call(index).estimate(found, embedder, 1.0)
    assert (before.texts, before.stored) == (len(texts), 0)
    assert (after.texts, after.stored, after.tokens) == (0, len(texts), 0)
    assert at_once.texts == len(texts)
    await answered(index, provider)
    assert (await call(index).estimate(found, embedder, 1.0)).texts == 0


async def test_an_operator_moves_the_index_at_half_the_price(index, provider, database_url):
    def reembed(*words: str, code: int = 0) -> Any:
        price = {"LCL_PRICE_PER_MILLION_TOKENS": "2"}
        ended = run_scrapy("reembed", *words, "--json", database_url=database_url, env={**provider.env, **price})
        assert ended.code == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return json.loads(ended.stdout) if ended.stdout else ended.stderr

    words = ("--provider", "openai", "--model", "new")
    assert "leave" in reembed(*words, "--batch", code=1)
    assert await value(index.connection, "SELECT count(*) FROM embedding_models") == 1
    left = reembed(*words, "--batch", "--yes")
    assert left["recorded"] == left["waiting"]["free"] == left["estimate"]["texts"] > len(TOPICS)
    assert left["estimate"]["money"] == pytest.approx(left["estimate"]["tokens"] * 1e-6)
    await answered(index, provider)
    done = reembed("--activate")
    assert (done["is_active"], done["built"]["embedded"], done["estimate"]["texts"]) == (True, 0, 0)
    assert (await index.active(), provider.texts) == ("new", [])
