"""The source of vectors: the run's cache, the database, and only then the provider."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipelines import vectors as module
from pipelines.embedder import Stopped
from pipelines.providers import ProviderMisconfigured, ProviderUnavailable
from pipelines.vectors import ENTRY_BYTES, VectorSource
from tests.support.embedding import DIMENSIONS, Meter, Provider, answer_to, embedder_over, turns

if TYPE_CHECKING:
    from pipelines.embedder import Embedder


class Database:
    """Counts the questions, and knows the vectors of `stored`."""

    def __init__(self, *stored: str) -> None:
        self.questions = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._stored = {word.encode(): (np.array([9.0, 9.0], np.float32), 9) for word in stored}

    async def use_connection(self, _: Any) -> dict[bytes, Any]:
        self.questions += 1
        await self.gate.wait()
        return dict(self._stored)


def source_over(
    embedder: Embedder, database: Database | None = None, meter: Meter | None = None, **options: Any
) -> Any:
    runtime: Any = database or Database()
    return VectorSource(runtime, embedder, 1, options.pop("dimensions", DIMENSIONS), meter or Meter(), **options)


def texts(*words: str) -> dict[bytes, str]:
    return {word.encode(): word for word in words}


async def test_one_question_is_put_to_the_database_before_anything_is_sent():
    provider, database = Provider(), Database("known")
    found = await source_over(embedder_over(provider), database).get(texts("known", "a", "b"))
    assert (database.questions, provider.sent) == (1, [["a", "b"]])
    assert set(found.vectors) == {b"known", b"a", b"b"}
    assert found.embedded == {b"a", b"b"}
    assert found.vectors[b"known"][1] == 9


async def test_what_a_run_has_embedded_is_neither_asked_for_nor_sent_again():
    provider, database = Provider(), Database()
    vectors = source_over(embedder_over(provider), database)
    await vectors.get(texts("a", "b"))
    again = await vectors.get(texts("a", "b"))
    assert (set(again.vectors), again.embedded) == ({b"a", b"b"}, set())
    assert (database.questions, len(provider.sent)) == (1, 1)


async def test_a_text_that_two_batches_want_at_once_is_sent_once_and_counted_for_one():
    provider = Provider()
    provider.gate.clear()
    vectors = source_over(embedder_over(provider))
    both = [asyncio.create_task(vectors.get(texts(*words))) for words in (("a", "shared"), ("b", "shared"))]
    await turns()
    provider.gate.set()
    first, second = await asyncio.gather(*both)
    assert sorted(provider.texts) == ["a", "b", "shared"]
    assert (set(first.vectors), set(second.vectors)) == ({b"a", b"shared"}, {b"b", b"shared"})
    assert first.embedded | second.embedded == {b"a", b"b", b"shared"}
    assert not first.embedded & second.embedded


async def test_a_text_whose_batch_is_answered_in_part_is_not_sent_again():
    provider = Provider()
    late = asyncio.Event()

    async def embed(sent: Any) -> Any:
        provider.sent.append(list(sent))
        if "late" in sent:
            await late.wait()
        return answer_to(sent)

    provider.embed = embed  # type: ignore[method-assign]  # one method of the double, held up
    vectors = source_over(embedder_over(provider, batch_size=1))
    first = asyncio.create_task(vectors.get(texts("early", "late")))
    await turns(50)
    second = asyncio.create_task(vectors.get(texts("early", "own")))
    await turns(50)
    late.set()
    found = await asyncio.gather(first, second)
    assert sorted(provider.texts) == ["early", "late", "own"]
    assert [answer.embedded for answer in found] == [{b"early", b"late"}, {b"own"}]


async def test_two_runs_of_a_process_that_want_a_text_at_once_send_it_once():
    provider = Provider()
    provider.gate.clear()
    embedder = embedder_over(provider)
    both = [asyncio.create_task(source_over(embedder).get(texts("shared"))) for _ in range(2)]
    await turns()
    provider.gate.set()
    found = await asyncio.gather(*both)
    assert provider.sent == [["shared"]]
    assert [answer.embedded for answer in found] == [{b"shared"}, set()]


async def test_what_another_batch_got_while_the_database_was_asked_is_not_sent_again():
    provider, database = Provider(), Database()
    vectors = source_over(embedder_over(provider), database)
    database.gate.clear()
    both = [asyncio.create_task(vectors.get(texts("shared"))) for _ in range(2)]
    await turns()
    vectors._recent[b"shared"] = (np.ones(2, np.float32), 1)
    database.gate.set()
    await asyncio.gather(*both)
    assert provider.sent == []


async def test_a_refused_text_costs_no_other_its_vector_and_is_not_sent_again():
    provider = Provider()
    vectors = source_over(embedder_over(provider))
    found = await vectors.get(texts("a", "bad", "b"))
    assert (set(found.vectors), set(found.refused)) == ({b"a", b"b"}, {b"bad"})
    sent = len(provider.sent)
    again = await vectors.get(texts("bad", "a"))
    assert (set(again.vectors), set(again.refused)) == ({b"a"}, {b"bad"})
    assert len(provider.sent) == sent


async def test_without_reuse_the_database_is_not_asked():
    database = Database("known")
    found = await source_over(embedder_over(Provider()), database, reuse=False).get(texts("known"))
    assert (database.questions, found.embedded) == (0, {b"known"})


async def test_the_cache_is_bounded_by_bytes_holds_no_more_than_it_counts_and_tells_its_size(monkeypatch):
    monkeypatch.setattr(module, "CACHE_BYTES", 10 * (ENTRY_BYTES + 8))
    meter = Meter()
    vectors = source_over(embedder_over(Provider()), meter=meter)
    for n in range(50):
        await vectors.get(texts(f"{n}", f"{n} again"))
    assert len(vectors._recent) == 10
    assert meter.counts["cache/vector_bytes"] == vectors._recent.currsize <= module.CACHE_BYTES
    assert all(vector.base is None for vector, _ in vectors._recent.values())


async def test_a_provider_with_other_dimensions_than_the_index_writes_nothing():
    with pytest.raises(ProviderMisconfigured, match="3 dimensions"):
        await source_over(embedder_over(Provider()), dimensions=3).get(texts("a"))


async def test_a_run_that_is_stopping_asks_for_nothing_more():
    provider, meter = Provider(), Meter()
    meter.stop_reason = "lock_lost"
    with pytest.raises(Stopped):
        await source_over(embedder_over(provider), meter=meter).get(texts("a"))
    assert provider.sent == []


async def test_nothing_to_find_asks_nobody():
    database = Database()
    assert (await source_over(embedder_over(Provider()), database).get({})).vectors == {}
    assert database.questions == 0


async def test_what_had_come_before_the_provider_was_given_up_is_remembered_and_stored():
    provider, database = Provider(), Database()
    provider.plan += [answer_to, ProviderUnavailable("down")]
    vectors = source_over(embedder_over(provider, batch_size=1, concurrency=1), database)
    with pytest.raises(ProviderUnavailable):
        await vectors.get(texts("a", "b"))
    questions = database.questions
    await vectors.keep(texts("a", "b"))
    assert database.questions > questions
    assert (await vectors.find(texts("a"))).vectors.keys() == {b"a"}


async def test_nothing_is_stored_where_nothing_had_come():
    database, meter = Database(), Meter()
    meter.stop_reason = "lock_lost"
    vectors = source_over(embedder_over(Provider()), database, meter)
    with pytest.raises(Stopped):
        await vectors.get(texts("a"))
    questions = database.questions
    await vectors.keep(texts("a"))
    assert database.questions == questions
