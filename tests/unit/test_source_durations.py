"""Durations as operators write them."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcl_spiders.sources.durations import LONGEST, seconds, written


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("6h", 21_600),
        ("2 d", 172_800),
        ("1d 12h", 129_600),
        ("1d12h", 129_600),
        ("1.5 h", 5_400),
        ("90 s", 90),
        ("5m", 300),
        ("30 Minutes", 1_800),
        ("1w", 604_800),
        ("3600", 3_600),
        (3_600, 3_600),
        (0.5, 0.5),
        ("PT6H", 21_600),
        ("P1DT2H", 93_600),
        ("pt30m", 1_800),
        (dt.timedelta(hours=2), 7_200),
    ],
)
def test_a_duration_has_units_is_in_seconds_or_in_iso_8601(given: Any, expected: float) -> None:
    assert seconds(given) == expected


@pytest.mark.parametrize(
    "given", ["", "soon", "6 parsecs", "6h and more", "-6h", "PT", "h", -1, True, None, [], float("nan"), "9999999d"]
)
def test_what_is_no_duration_is_refused_with_examples(given: Any) -> None:
    with pytest.raises(ValueError, match="6h"):
        seconds(given)


@pytest.mark.parametrize(
    ("length", "text"),
    [(86_400, "1d"), (129_600, "36h"), (5_400, "90min"), (61, "61s"), (0, "0s"), (dt.timedelta(hours=6), "6h")],
)
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(length: float, text: str) -> None:
    assert written(length) == text


@given(st.integers(0, LONGEST))
def test_what_is_written_is_read_as_the_same(length: int) -> None:
    assert seconds(written(length)) == length
