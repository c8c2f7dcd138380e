"""The embedder: what is sent together, what is sent once, and who hears of what goes wrong."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from pipelines import embedder as module
from pipelines import patience
from pipelines.embedder import Stopped
from pipelines.providers import (
    Embedded,
    KeepsFailing,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    UnusableVector,
)
from tests.support.embedding import Meter, Provider, answer_to, embedder_over, turns


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_backoff", lambda _: 0.0)
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)


async def test_texts_of_pages_and_runs_that_ask_at_the_same_time_leave_in_one_request():
    provider = Provider()
    embedder = embedder_over(provider)
    await embedder.check()
    meters = [Meter(), Meter()]
    one, other = await asyncio.gather(embedder.embed(["a", "bb"], meters[0]), embedder.embed(["ccc"], meters[1]))
    assert provider.sent == [["a", "bb", "ccc"]]
    assert one.vectors[:, 1].tolist() == [1, 2]
    assert other.vectors[:, 1].tolist() == [3]
    assert [meter.counts for meter in meters] == [
        {"chunks/embedded": 2, "tokens/embedded": 3},
        {"chunks/embedded": 1, "tokens/embedded": 3},
    ]


async def test_a_lone_text_leaves_when_the_linger_is_over():
    provider = Provider()
    assert (await embedder_over(provider, linger=0.001).embed(["a"], Meter())).total_tokens == 1


async def test_what_is_urgent_does_not_wait_for_the_linger():
    provider = Provider()
    await embedder_over(provider, linger=3600.0).embed(["a"], Meter(), is_urgent=True)
    assert provider.sent == [["a"]]


async def test_a_full_batch_does_not_wait_for_the_linger():
    provider = Provider()
    embedder = embedder_over(provider, linger=3600.0, batch_size=2)
    await embedder.embed(["a", "b", "c", "d"], Meter())
    assert provider.sent == [["a", "b"], ["c", "d"]]


async def test_a_request_holds_no_more_tokens_than_configured():
    provider = Provider()
    await embedder_over(provider, tokens_per_request=10).embed(["a" * 24, "b" * 15, "c" * 3, "d" * 300], Meter())
    assert provider.sent == [["a" * 24], ["b" * 15, "c" * 3], ["d" * 300]]


async def test_no_more_requests_run_at_a_time_than_configured():
    provider = Provider()
    provider.gate.clear()
    embedder = embedder_over(provider, batch_size=1, concurrency=3)
    asking = asyncio.create_task(embedder.embed(list("abcdefgh"), Meter()))
    await turns(30)
    assert len(provider.sent) == 3
    provider.gate.set()
    await asking
    assert provider.most_at_a_time == 3


async def test_while_all_requests_are_busy_the_next_batch_fills():
    provider = Provider()
    provider.gate.clear()
    embedder = embedder_over(provider, concurrency=1)
    asking = [asyncio.create_task(embedder.embed([text], Meter())) for text in "ab"]
    await turns(30)
    asking += [asyncio.create_task(embedder.embed([text], Meter())) for text in "cd"]
    await turns(30)
    provider.gate.set()
    await asyncio.gather(*asking)
    assert provider.sent == [["a", "b"], ["c", "d"]]


async def test_a_text_that_two_runs_ask_for_is_sent_once_and_paid_for_by_the_first():
    provider = Provider()
    provider.gate.clear()
    embedder = embedder_over(provider)
    first, second = Meter(), Meter()
    one = asyncio.create_task(embedder.embed_each(["a", "shared"], first))
    await turns()
    other = asyncio.create_task(embedder.embed_each(["shared", "b", "shared"], second))
    await turns()
    provider.gate.set()
    assert [answer.is_own for answer in await one] == [True, True]
    assert [answer.is_own for answer in await other] == [False, True, False]
    assert sorted(provider.texts) == ["a", "b", "shared"]
    assert (first.counts["chunks/embedded"], second.counts["chunks/embedded"]) == (2, 1)


async def test_a_text_is_still_embedded_when_the_first_who_wanted_it_does_not_any_more():
    provider = Provider()
    provider.gate.clear()
    embedder = embedder_over(provider)
    first = asyncio.create_task(embedder.embed(["shared"], Meter()))
    await turns()
    second = asyncio.create_task(embedder.embed(["shared"], Meter()))
    await turns()
    first.cancel()
    provider.gate.set()
    assert (await second).vectors.shape == (1, 2)


async def test_texts_that_nobody_wants_any_more_are_not_sent():
    provider = Provider()
    provider.gate.clear()
    embedder = embedder_over(provider, concurrency=1)
    first = asyncio.create_task(embedder.embed(["a"], Meter()))
    await turns()
    second = asyncio.create_task(embedder.embed(["b"], Meter()))
    await turns()
    second.cancel()
    await turns()
    provider.gate.set()
    await first
    await turns()
    assert provider.texts == ["a"]


async def test_texts_beyond_the_waiting_room_wait_at_the_door_and_all_get_their_turn(monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 100)
    provider = Provider()
    provider.gate.clear()
    embedder = embedder_over(provider, batch_size=1, concurrency=1)
    asking = [asyncio.create_task(embedder.embed([f"{n:040}"], Meter())) for n in range(10)]
    await turns(30)
    assert embedder._room.bytes == 80
    provider.gate.set()
    assert [len(answer.vectors) for answer in await asyncio.gather(*asking)] == [1] * 10
    assert embedder._room.bytes == 0


async def test_a_refused_batch_is_halved_until_the_refused_text_stands_alone():
    provider = Provider()
    found = await embedder_over(provider).embed_each(["a", "b", "bad", "c", "d"], Meter())
    assert [isinstance(answer, ProviderRefused) for answer in found] == [False, False, True, False, False]
    assert provider.sent[-1] == ["c", "d"]
    assert ["bad"] in provider.sent


async def test_a_batch_that_is_refused_only_for_its_size_makes_the_next_ones_smaller():
    provider = Provider()
    provider.plan.append(ProviderRefused("at most 2 texts"))
    embedder = embedder_over(provider)
    await embedder.embed(list("abcd"), Meter())
    await embedder.embed(list("efgh"), Meter())
    assert [len(sent) for sent in provider.sent] == [4, 2, 2, 2, 2]


async def test_a_provider_that_refuses_everything_is_asked_whether_it_is_well():
    provider = Provider()
    embedder = embedder_over(provider, batch_size=1, concurrency=1)
    await embedder.check()
    provider.probes.append(ProviderMisconfigured("no such model"))
    with pytest.raises(ProviderMisconfigured, match="no such model"):
        await embedder.embed_each(["bad 1", "bad 2", "bad 3", "bad 4"], Meter())
    assert len(provider.sent) == 3


async def test_many_texts_may_be_refused_by_a_provider_that_is_well():
    provider = Provider()
    found = await embedder_over(provider, batch_size=1).embed_each([f"bad {n}" for n in range(10)], Meter())
    assert all(type(answer) is ProviderRefused for answer in found)


async def test_a_text_without_a_vector_costs_its_neighbours_nothing():
    provider = Provider()
    found = await embedder_over(provider).embed_each(["a", "void", "b"], Meter())
    assert isinstance(found[1], UnusableVector)
    assert len(provider.sent) == 1


async def test_a_provider_without_a_vector_for_three_texts_in_a_row_is_ill():
    provider = Provider()
    with pytest.raises(ProviderUnavailable, match="3 times in a row"):
        await embedder_over(provider).embed_each([f"void {n}" for n in range(8)], Meter())


def short(texts):
    answer = answer_to(texts)
    return Embedded(answer.vectors[:-1], None, 1)


async def test_an_answer_that_is_short_once_is_asked_for_again_in_halves():
    provider = Provider()
    provider.plan.append(short)
    embedded = await embedder_over(provider).embed(list("abcd"), Meter())
    assert len(embedded.vectors) == 4
    assert [len(sent) for sent in provider.sent] == [4, 2, 2]


async def test_vectors_of_another_length_than_the_models_end_the_waiting():
    provider = Provider()
    provider.plan.append(lambda texts: Embedded(np.ones((len(texts), 3), np.float32), None, 1))
    with pytest.raises(ProviderUnavailable, match="3 dimensions"):
        await embedder_over(provider).embed(["a"], Meter())


async def test_a_batch_that_keeps_failing_while_the_provider_is_well_is_halved():
    provider = Provider()
    embedder = embedder_over(provider)
    await embedder.check()

    async def fails_at_poison(texts):
        provider.sent.append(list(texts))
        if "poison" in texts:
            raise ProviderBusy("500")
        return answer_to(texts)

    provider.embed = fails_at_poison
    found = await embedder.embed_each(["a", "poison", "b"], Meter())
    assert [isinstance(answer, KeepsFailing) for answer in found] == [False, True, False]


async def test_when_a_provider_is_given_up_everybody_hears_of_it_and_nothing_more_is_sent(monkeypatch):
    provider = Provider()
    embedder = embedder_over(provider, batch_size=1, concurrency=2)
    await embedder.check()

    async def is_down(texts):
        provider.sent.append(list(texts))
        raise ProviderBusy("503")

    provider.embed = is_down
    asking = [asyncio.create_task(embedder.embed([text], Meter())) for text in "abcdef"]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ProviderUnavailable}
    assert "503" in str(answers[0])
    sent = len(provider.sent)
    with pytest.raises(ProviderUnavailable, match="given up"):
        await embedder.embed(["g"], Meter())
    assert len(provider.sent) == sent
    assert not embedder._room.orders


async def test_a_missing_key_found_in_the_middle_of_a_run_ends_everybodys_waiting():
    provider = Provider()
    embedder = embedder_over(provider, batch_size=1)
    await embedder.check()
    provider.plan.append(ProviderMisconfigured("the key was revoked"))
    answers = await asyncio.gather(*(embedder.embed([text], Meter()) for text in "abc"), return_exceptions=True)
    assert ProviderMisconfigured in {type(answer) for answer in answers}


async def test_an_unforeseen_error_leaves_nobody_waiting():
    provider = Provider()
    provider.plan.append(RuntimeError("a bug"))
    with pytest.raises(ProviderUnavailable, match="RuntimeError"):
        await embedder_over(provider).embed(["a"], Meter())


async def test_a_run_that_is_stopping_asks_for_nothing_more():
    provider, meter = Provider(), Meter()
    meter.stop_reason = "lock_lost"
    with pytest.raises(Stopped, match="lock_lost"):
        await embedder_over(provider).embed(["a"], meter)
    assert provider.sent == []


async def test_a_run_that_stops_while_it_waits_is_let_go_at_once_and_others_go_on():
    provider, stopping = Provider(), Meter()
    provider.gate.clear()
    embedder = embedder_over(provider, concurrency=1)
    other = asyncio.create_task(embedder.embed(["a"], Meter()))
    await turns()
    waiting = asyncio.create_task(embedder.embed(["b"], stopping))
    await turns()
    stopping.stop_reason = "shutdown"
    with pytest.raises(Stopped):
        await waiting
    provider.gate.set()
    await other
    assert provider.texts == ["a"]


async def test_what_is_on_its_way_for_a_run_that_stops_has_a_moment_to_arrive(monkeypatch):
    provider, meter = Provider(), Meter()
    provider.gate.clear()
    embedder = embedder_over(provider)
    asking = asyncio.create_task(embedder.embed(["a"], meter))
    await turns()
    meter.stop_reason = "shutdown"
    await turns(50)
    assert not asking.done()
    provider.gate.set()
    assert len((await asking).vectors) == 1


async def test_a_hanging_provider_does_not_keep_a_run_that_stops(monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.0)
    provider, meter = Provider(), Meter()
    provider.gate.clear()
    asking = asyncio.create_task(embedder_over(provider).embed(["a"], meter))
    await turns()
    meter.stop_reason = "shutdown"
    with pytest.raises(Stopped):
        await asking


async def test_closing_ends_what_waits_and_what_is_on_its_way():
    provider = Provider()
    provider.gate.clear()
    embedder = embedder_over(provider)
    asking = asyncio.create_task(embedder.embed(["a"], Meter()))
    await turns()
    await embedder.close()
    with pytest.raises(Stopped, match="closed"):
        await asking
    assert provider.is_closed
    assert not embedder._workers


async def test_the_sum_of_the_tokens_is_shared_out_exactly_where_only_the_sum_is_told():
    provider, meter = Provider(), Meter()
    provider.plan.append(lambda texts: Embedded(answer_to(texts).vectors, None, 100))
    found = await embedder_over(provider).embed_each(["a" * 10, "b" * 50, "c" * 333], meter)
    tokens = [answer.tokens for answer in found]
    assert sum(tokens) == 100 == meter.counts["tokens/embedded"]
    assert tokens == sorted(tokens)


async def test_a_provider_that_tells_no_tokens_leaves_them_unknown():
    provider = Provider()
    provider.plan.append(lambda texts: Embedded(answer_to(texts).vectors, None, 0))
    (found,) = await embedder_over(provider).embed_each(["a"], Meter())
    assert found.tokens is None


async def test_a_check_is_asked_once_for_all_who_want_to_know_and_not_again_for_a_while():
    provider = Provider()
    embedder = embedder_over(provider)
    assert await asyncio.gather(*(embedder.check() for _ in range(5))) == [2] * 5
    assert await embedder.check() == 2
    assert provider.probed == 1


async def test_a_health_check_answered_with_zeros_is_no_answer():
    provider = Provider()
    provider.probe = lambda: provider.embed(["void"])
    with pytest.raises(ProviderUnavailable, match="health check"):
        await embedder_over(provider).check()
