"""When an embedder asks whether its provider is well, and what it sends to one that was given up."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pipelines import embedder as module
from pipelines import patience
from pipelines.embedder import Answer, Embedder, Stopped
from pipelines.patience import Patience
from pipelines.providers import Embedded, ProviderBusy, ProviderMisconfigured, ProviderUnavailable
from pipelines.providers.base import Quota, RateLimits
from tests.support.embedding import Meter, Provider, answer_to, embedder_over, turns

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_backoff", lambda _: 0.0)
    monkeypatch.setattr(module, "Patience", partial(Patience, open_for=0))


def grow_old(embedder: Embedder) -> None:
    """Let the last check be long ago."""
    embedder._checked_at = -math.inf


async def test_while_texts_are_answered_nobody_asks_whether_the_provider_is_well() -> None:
    provider = Provider()
    embedder = embedder_over(provider)
    await embedder.embed(["a"], Meter())
    grow_old(embedder)
    assert await embedder.check() == 2
    assert provider.probed == 1


async def test_while_limits_make_texts_wait_a_run_that_begins_does_not_wait_behind_them() -> None:
    provider = Provider()
    embedder = embedder_over(provider)
    await embedder.check()
    grow_old(embedder)
    embedder._limits.pause(3600)
    assert await embedder.check() == 2
    assert provider.probed == 1


async def test_a_provider_that_was_given_up_gets_nothing_but_the_check_until_that_is_answered() -> None:
    provider = Provider()
    embedder = embedder_over(provider)
    await embedder.check()
    provider.plan.append(ProviderUnavailable("down"))
    with pytest.raises(ProviderUnavailable):
        await embedder.embed(["a"], Meter())
    answered = asyncio.Event()

    async def probe() -> object:
        provider.probed += 1
        await answered.wait()
        return answer_to(["health check"])

    provider.probe = probe  # type: ignore[method-assign,assignment]  # one method of the double, held up
    asking = [asyncio.create_task(embedder.embed([text], Meter())) for text in "bcd"]
    await turns(30)
    asking += [asyncio.create_task(embedder.embed([text], Meter())) for text in "ef"]
    await turns(30)
    assert (provider.sent, provider.probed) == ([["a"]], 2)
    answered.set()
    await asyncio.gather(*asking)
    assert sorted(provider.texts) == list("abcdef")


async def test_a_key_that_was_refused_in_a_run_is_tried_before_the_next_begins() -> None:
    provider = Provider()
    embedder = embedder_over(provider)
    await embedder.embed(["a"], Meter())
    provider.plan.append(ProviderMisconfigured("the key was revoked"))
    provider.probes.append(ProviderMisconfigured("the key was revoked"))
    with pytest.raises(ProviderMisconfigured):
        await embedder.embed(["b"], Meter())
    with pytest.raises(ProviderMisconfigured):
        await embedder.check()
    assert provider.probed == 2


async def test_texts_that_were_answered_before_the_provider_was_given_up_keep_their_vectors() -> None:
    provider = Provider()
    provider.plan += [answer_to, ProviderUnavailable("down")]
    embedder = embedder_over(provider, batch_size=1, concurrency=1)
    first, *others = await embedder.embed_each(["a", "b", "c"], Meter())
    assert isinstance(first, Answer)
    assert [(type(error), str(error)) for error in others] == [(ProviderUnavailable, "down")] * 2
    assert not embedder._room.orders


async def test_a_run_that_stops_does_not_wait_for_a_check_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)
    provider, meter = Provider(), Meter()
    embedder = embedder_over(provider)
    answered = asyncio.Event()

    async def probe() -> object:
        await answered.wait()
        return answer_to(["health check"])

    provider.probe = probe  # type: ignore[method-assign,assignment]  # one method of the double
    stopping = asyncio.create_task(embedder.embed(["a"], meter))
    other = asyncio.create_task(embedder.embed(["b"], Meter()))
    await turns()
    meter.stop_reason = "shutdown"
    with pytest.raises(Stopped):
        await stopping
    answered.set()
    await other
    assert provider.texts == ["b"]


async def test_an_account_with_a_small_limit_on_tokens_gets_requests_that_fit() -> None:
    provider = Provider()
    told = RateLimits(tokens=Quota(limit=500, remaining=500))

    async def embed(texts: Sequence[str]) -> Embedded:
        provider.sent.append(list(texts))
        if len(texts) > 1:
            raise ProviderBusy("429: request too large", is_limit=True, limits=told)
        return replace(answer_to(texts), limits=told)

    provider.embed = embed  # type: ignore[method-assign]  # one method of the double
    embedder = embedder_over(provider)
    assert len((await embedder.embed([letter * 900 for letter in "abcdef"], Meter())).vectors) == 6
    provider.sent.clear()
    assert len((await embedder.embed([letter * 900 for letter in "ghijkl"], Meter())).vectors) == 6
    assert [len(sent) for sent in provider.sent] == [1] * 6
