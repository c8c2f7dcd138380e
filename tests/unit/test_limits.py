"""Rate limits: never above the limit, and all of it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.limits import Bucket, Limits
from pipelines.providers.base import Quota, RateLimits
from tests.support.embedding import turns


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def drain(bucket: Bucket, clock: Clock, seconds: float, amounts: list[int]) -> tuple[float, float]:
    """Send as fast as the bucket lets, for so long; return what was sent, and the seconds until the last of it."""
    began, sent = clock.now, 0
    last = began
    for amount in amounts * 10_000:
        wait = bucket.delay(amount)
        if clock.now + wait > began + seconds:
            break
        clock.now += wait
        bucket.take(amount)
        sent += amount
        last = clock.now
    return sent, last - began


def test_without_a_limit_everything_passes():
    bucket = Bucket(None, Clock())
    bucket.take(10**9)
    assert bucket.delay(10**9) == 0


@given(per_minute=st.integers(60, 60_000), amounts=st.lists(st.integers(1, 2000), min_size=1, max_size=5))
def test_a_configured_rate_is_kept_and_used_whole_whatever_the_size_of_requests(per_minute, amounts):
    clock = Clock()
    bucket = Bucket(per_minute, clock)
    rate = per_minute / 60
    sent, seconds = drain(bucket, clock, 600, amounts)
    assert sent <= rate * seconds + rate + max(amounts) + 1e-6
    assert sent >= rate * seconds - 1e-6


def test_what_is_larger_than_the_bucket_passes_and_is_paid_for_afterwards():
    clock = Clock()
    bucket = Bucket(60, clock)
    bucket.take(30)
    assert bucket.delay(1) == pytest.approx(30)


def test_a_limit_is_learned_from_what_the_provider_says():
    clock = Clock()
    bucket = Bucket(None, clock)
    bucket.take(1)
    bucket.answered(1, 1, Quota(limit=600, remaining=3, reset=59.7))
    sent, seconds = drain(bucket, clock, 60, [1])
    assert sent == pytest.approx(3 + 10 * seconds, abs=1)


def test_a_limit_of_a_second_is_not_taken_for_one_of_a_minute():
    clock = Clock()
    bucket = Bucket(None, clock)
    bucket.take(1)
    bucket.answered(1, 1, Quota(limit=20, remaining=0, reset=1.0))
    sent, _ = drain(bucket, clock, 60, [1])
    assert sent == pytest.approx(20 * 60, abs=21)


def test_what_the_server_says_is_left_bounds_what_goes_at_once():
    clock = Clock()
    bucket = Bucket(6000, clock)
    bucket.take(1)
    bucket.answered(1, 1, Quota(limit=60, remaining=0, reset=60.0))
    bucket.take(1)
    assert bucket.delay(1) > 0


def test_tokens_that_were_estimated_too_high_are_given_back():
    clock = Clock()
    bucket = Bucket(600, clock)
    bucket.take(10)
    bucket.answered(10, 4, Quota())
    assert bucket.delay(6) == 0
    assert bucket.delay(7) > 0


async def test_nothing_is_sent_before_a_pause_is_over():
    clock = Clock()
    limits = Limits(None, None, clock)
    limits.pause(30)
    assert limits.delay(1) == 30
    clock.now += 29
    assert limits.delay(1) == 1
    limits.pause(0.1)
    assert limits.delay(1) == 1
    clock.now += 1
    assert await limits.acquire(lambda: 1)


async def test_what_waits_for_a_limit_passes_in_its_order():
    clock = Clock()
    limits = Limits(60, None, clock)
    passed: list[int] = []

    async def one(number: int) -> None:
        await limits.acquire(lambda: 1)
        passed.append(number)

    waiting = [asyncio.create_task(one(number)) for number in range(5)]
    await turns()
    for _ in range(5):
        clock.now += 1
        limits.answered(0, 0, RateLimits())
        await turns()
    await asyncio.gather(*waiting)
    assert passed == [0, 1, 2, 3, 4]


async def test_a_turn_that_is_not_needed_any_more_takes_nothing():
    limits = Limits(60, None, Clock())
    assert not await limits.acquire(lambda: 0)
    assert limits.delay(1) == 0


@pytest.mark.parametrize(
    ("configured", "told", "most"),
    [(None, [], None), (1000, [], 1000), (None, [500, 800], 800), (1000, [500], 500), (1000, [500, 2000], 1000)],
)
def test_a_request_may_be_as_large_as_the_smaller_of_the_limits(configured, told, most):
    limits = Limits(None, configured)
    for limit in told:
        limits.answered(1, 1, RateLimits(tokens=Quota(limit)))
    assert limits.most_tokens == most
