"""The headers that say when to ask again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.providers.base import Quota, RateLimits
from pipelines.providers.headers import duration, rate_limits, retry_after

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 2 "}, 2),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2015 07:20:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 09:28:30 GMT", "date": "Wed, 21 Oct 2015 09:28:00 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "yesterday"}, 30),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("1d", 86_400),
        ("8.64s", 8.64),
        ("12", 12),
        ("", None),
        ("never", None),
        ("1 s", None),
        (None, None),
    ],
)
def test_durations_are_read_as_providers_write_them(given, seconds):
    assert duration(given) == (pytest.approx(seconds) if seconds is not None else None)


def test_limits_are_read_for_requests_and_tokens():
    headers = {
        "x-ratelimit-limit-requests": "3000",
        "x-ratelimit-remaining-requests": "2999",
        "x-ratelimit-reset-requests": "20ms",
        "x-ratelimit-limit-tokens": "1000000",
        "x-ratelimit-remaining-tokens": "0",
    }
    assert rate_limits(headers) == RateLimits(Quota(3000, 2999, 0.02), Quota(1_000_000, 0, None))
    assert rate_limits({}) == RateLimits()


@given(st.text())
def test_whatever_stands_in_a_header_is_read_or_passed_over(text):
    names = ("retry-after", "retry-after-ms", "x-ratelimit-limit-tokens", "x-ratelimit-reset-requests")
    headers = dict.fromkeys(names, text)
    wait = retry_after(headers, NOW)
    assert wait is None or wait >= 0
    rate_limits(headers)
