"""Retries, and when to stop: what may pass is tried again, what will not is told at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pipelines import patience
from pipelines.limits import Limits
from pipelines.patience import ATTEMPTS, FIRST_TOKENS, Patience
from pipelines.providers import (
    KeepsFailing,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
)
from pipelines.providers.base import Quota, RateLimits
from tests.support.embedding import Provider, answer_to, turns

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = ProviderBusy("503")
LIMIT = partial(ProviderBusy, "429", is_limit=True)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_backoff", lambda _: 0.0)


@pytest.fixture
def elapse(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock by which trouble is measured."""
    now = patience.time.monotonic()

    class Clock:
        time = staticmethod(patience.time.time)

        @staticmethod
        def monotonic() -> float:
            return now

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(patience, "time", Clock)
    return move


def over(provider: Provider, *, limits: Limits | None = None, **options: Any) -> Patience:
    return Patience(provider, limits or Limits(None, None), timeout=5, most_tokens=100_000, **options)


async def test_what_may_pass_is_tried_again():
    provider = Provider()
    provider.plan += [BUSY, BUSY]
    assert len((await over(provider).embed(["a"], 1)).vectors) == 1
    assert len(provider.sent) == 3


@pytest.mark.parametrize("error", [ProviderMisconfigured("401"), ProviderRefused("400"), ProviderUnavailable("quota")])
async def test_what_will_not_pass_is_told_at_once(error):
    provider = Provider()
    provider.plan.append(error)
    with pytest.raises(type(error), match=str(error)):
        await over(provider).embed(["a"], 1)
    assert len(provider.sent) == 1


async def test_retries_are_bounded_in_number():
    provider = Provider()
    provider.plan += [BUSY] * 100
    with pytest.raises(ProviderUnavailable, match="given up"):
        await over(provider).embed(["a"], 1)
    assert len(provider.sent) == ATTEMPTS + 1  # and the probe


async def test_retries_are_bounded_in_time(elapse):
    provider = Provider()

    def slow(_: Any) -> None:
        elapse(70)
        raise BUSY

    provider.plan += [slow] * 100
    with pytest.raises(ProviderUnavailable):
        await over(provider).embed(["a"], 1)
    assert len(provider.sent) == 3


async def test_a_batch_that_fails_while_the_provider_is_well_is_the_batchs_fault():
    provider = Provider()
    provider.plan += [BUSY] * ATTEMPTS
    with pytest.raises(KeepsFailing):
        await over(provider).embed(["a"], 1)


async def test_a_limit_is_no_fault_however_often_it_is_met_as_long_as_others_get_through():
    provider = Provider()
    provider.plan += [LIMIT()] * 50
    assert len((await over(provider).embed(["a"], 1)).vectors) == 1


async def test_after_retry_after_nobody_sends_before_that_time():
    provider, limits = Provider(), Limits(None, None)
    provider.plan.append(LIMIT(retry_after=60))
    asked = over(provider, limits=limits)
    asking = [asyncio.create_task(asked.embed([text], 1)) for text in "abc"]
    await turns(30)
    assert provider.sent == [["a"]]
    assert 59 < limits.delay(1) <= 60
    for task in asking:
        task.cancel()


async def test_a_wait_that_is_longer_than_anybody_would_wait_is_told_at_once():
    provider = Provider()
    provider.plan.append(LIMIT(retry_after=3600))
    with pytest.raises(ProviderUnavailable, match="429"):
        await over(provider).embed(["a"], 1)
    assert len(provider.sent) == 1


async def test_what_a_failed_answer_says_of_limits_is_heeded():
    provider, limits = Provider(), Limits(None, None)
    provider.plan.append(LIMIT(limits=RateLimits(requests=Quota(60, 0, 60.0))))
    asking = asyncio.create_task(over(provider, limits=limits).embed(["a"], 1))
    await turns(30)
    assert 0 < limits.delay(1) <= 1
    asking.cancel()


async def test_a_provider_that_was_given_up_is_not_asked_until_its_time_has_come():
    provider = Provider()
    asked = over(provider, open_for=3600)
    provider.plan += [BUSY] * 100
    with pytest.raises(ProviderUnavailable):
        await asked.embed(["a"], 1)
    sent = len(provider.sent)
    with pytest.raises(ProviderUnavailable, match="3600 s later"):
        await asked.embed(["b"], 1)
    assert len(provider.sent) == sent
    assert 3590 < (await asked.opens_in() or 0) <= 3600


async def test_then_a_check_that_succeeds_closes_the_breaker_and_one_that_fails_opens_it_again():
    provider = Provider()
    asked = over(provider, open_for=0)
    provider.plan += [BUSY] * (ATTEMPTS + 1)
    with pytest.raises(ProviderUnavailable):
        await asked.embed(["a"], 1)
    provider.probes += [BUSY] * 3
    with pytest.raises(ProviderUnavailable):
        await asked.check()
    assert await asked.opens_in() == 0
    await asked.check()
    assert await asked.opens_in() is None
    assert len((await asked.embed(["a"], 1)).vectors) == 1


async def test_a_check_that_hangs_does_not_close_the_breaker(monkeypatch):
    provider = Provider()
    asked = Patience(provider, Limits(None, None), timeout=0.001, most_tokens=1000, open_for=0)

    async def hangs() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(provider, "probe", hangs)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="health check"):
            await asked.check()
        assert await asked.opens_in() == 0


async def test_no_answer_in_time_divides_a_batch_instead_of_asking_for_it_again():
    provider = Provider()
    provider.gate.clear()
    asked = Patience(provider, Limits(None, None), timeout=0.001, most_tokens=100_000)
    with pytest.raises(KeepsFailing):
        await asked.embed(["a", "b"], 600)
    assert len(provider.sent) == 1
    assert asked.batch_tokens <= 100


async def test_batches_begin_small_and_grow_with_what_the_provider_shows_it_can(elapse):
    provider = Provider()
    asked = over(provider)
    assert asked.batch_tokens == FIRST_TOKENS

    async def takes(seconds: float, tokens: int) -> int:
        provider.embed = slowly(seconds)
        await asked.embed(["a"], tokens)
        return asked.batch_tokens

    def slowly(seconds: float) -> Any:
        async def embed(texts: Any) -> Any:
            elapse(seconds)
            return await Provider().embed(texts)

        return embed

    assert await takes(0.1, 2000) == 33_333
    assert await takes(0.1, 20_000) == 100_000  # the most that is configured
    assert await takes(0.1, 10) == 100_000  # a small one tells nothing
    assert await takes(4, 100_000) == pytest.approx(41_666, abs=1)


async def test_a_request_that_is_never_made_gives_its_permit_back():
    provider, limits = Provider(), Limits(60, None)
    asked = over(provider, limits=limits, open_for=3600)
    provider.probes += [BUSY] * 3
    with pytest.raises(ProviderUnavailable):
        await asked.check()
    limits._requests._level = 1.0
    await limits.acquire(lambda: 5)
    with pytest.raises(ProviderUnavailable):
        await asked.embed(["a"], 5, is_permitted=True)
    assert limits._requests._away == limits._tokens._away == 0


async def test_a_check_that_waits_for_its_turn_is_not_late():
    provider, limits = Provider(), Limits(None, None)
    asked = Patience(provider, limits, timeout=0.01, most_tokens=1000)
    limits.pause(0.05)
    assert len((await asked.check()).vectors) == 1


async def test_what_others_check_meanwhile_makes_nobody_wait_longer_for_a_provider_that_fails(elapse):
    provider = Provider()
    asked = over(provider, open_for=0)
    provider.probes += [BUSY] * 1000

    async def fails(texts: Any) -> None:
        provider.sent.append(texts)
        elapse(70)
        with suppress(ProviderUnavailable):
            await asked.check()
        raise BUSY

    provider.embed = fails
    with pytest.raises(ProviderUnavailable):
        await asked.embed(["a"], 1)
    assert len(provider.sent) == 3


async def test_a_provider_that_asks_to_be_left_alone_for_long_is(elapse):
    provider = Provider()
    provider.plan.append(LIMIT(retry_after=600))
    asked = over(provider)
    with pytest.raises(ProviderUnavailable, match="left alone for 600 s"):
        await asked.embed(["a"], 1)
    elapse(300)
    with pytest.raises(ProviderUnavailable, match="in 300 s"):
        await asked.check()
    assert provider.probed == 0


async def test_a_wait_that_makes_no_sense_is_bounded(elapse):
    provider = Provider()
    provider.probes.append(LIMIT(retry_after=1e9))
    asked = over(provider)
    with pytest.raises(ProviderUnavailable, match="is for 3600 s"):
        await asked.check()
    assert await asked.opens_in() == pytest.approx(patience.LONGEST_PAUSE)


async def test_a_clock_that_is_set_back_does_not_keep_a_provider_given_up(monkeypatch):
    provider = Provider()
    asked = over(provider, open_for=3600)
    provider.probes += [BUSY] * 3
    with pytest.raises(ProviderUnavailable):
        await asked.check()
    back = patience.time.time() - 86_400
    monkeypatch.setattr(patience.time, "time", lambda: back)
    assert await asked.opens_in() == 0
    assert len((await asked.check()).vectors) == 1
    assert await asked.opens_in() is None


async def test_no_request_is_larger_than_what_the_provider_takes_in_a_minute():
    provider = Provider()
    asked = over(provider)
    told = RateLimits(tokens=Quota(1500, 1000, 20.0))
    provider.plan.append(lambda texts: replace(answer_to(texts), limits=told))
    await asked.embed(["a"], 400)
    assert asked.batch_tokens == 1500


async def test_what_is_beyond_the_limit_of_a_minute_is_divided_instead_of_asked_for_again():
    provider, limits = Provider(), Limits(None, None)
    told = RateLimits(tokens=Quota(500, 500))
    provider.plan.append(LIMIT(limits=told))
    asked = over(provider, limits=limits)
    with pytest.raises(KeepsFailing):
        await asked.embed(["a", "b"], 600)
    assert len(provider.sent) == 1
    provider.plan.append(LIMIT(limits=told))
    assert len((await asked.embed(["a", "b"], 400)).vectors) == 2
