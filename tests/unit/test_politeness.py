"""B13: what a site's answers say of how it wants to be asked."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcl_spiders.politeness import FADES_IN, LONGEST, Politeness, RateLimit, faded, lengthened, rate_limit

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def after(**ago: float) -> dt.datetime:
    return NOW + dt.timedelta(**ago)


@pytest.mark.parametrize(
    ("current", "longer"), [(0, 2), (0.5, 2), (1, 2), (2, 4), (8, 16), (15, 30), (16, 30), (30, 30), (60, 60)]
)
def test_a_delay_doubles_from_a_second_up_to_thirty_and_never_shortens(current: float, longer: float) -> None:
    assert lengthened(current) == longer


@pytest.mark.parametrize(("hours", "left"), [(-1, 8), (0, 8), (6, 6), (12, 4), (24, 0), (48, 0)])
def test_a_learned_delay_fades_in_a_straight_line_within_a_day(hours: float, left: float) -> None:
    assert faded(8, dt.timedelta(hours=hours)) == left


@given(st.floats(0, LONGEST), st.timedeltas(dt.timedelta(0), FADES_IN * 2))
def test_what_is_left_is_never_more_than_what_was_learned(delay: float, age: dt.timedelta) -> None:
    assert 0 <= faded(delay, age) <= delay


def test_the_floor_is_the_larger_of_what_was_learned_and_of_the_crawl_delay() -> None:
    known = Politeness(delay=8, at=NOW, status=429, crawl_delay=5)
    assert [known.floor(30, after(hours=hours)) for hours in (0, 6, 18, 48)] == [8, 6, 5, 5]


def test_no_site_can_ask_for_more_than_the_longest_delay() -> None:
    assert Politeness(crawl_delay=86_400).floor(30, NOW) == 30


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'},
            {"limit": 100, "remaining": 50, "window": 60, "reset_at": after(seconds=30)},
        ),
        ({"ratelimit": '"day";r=900;t=50000, "burst";r=0;t=7'}, {"remaining": 0, "reset_at": after(seconds=7)}),
        ({"ratelimit": '"a,b;r=1";r=5'}, {"remaining": 5}),
        (
            {"ratelimit": "limit=100, remaining=3, reset=20"},
            {"limit": 100, "remaining": 3, "reset_at": after(seconds=20)},
        ),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "9", "ratelimit-reset": "5"},
            {"limit": 100, "remaining": 9, "reset_at": after(seconds=5)},
        ),
        (
            {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1772366460"},
            {"limit": 60, "remaining": 0, "reset_at": after(seconds=60)},
        ),
        ({"x-ratelimit-reset": "1772366460000"}, {"reset_at": after(seconds=60)}),
        ({"x-rate-limit-remaining": "4"}, {"remaining": 4}),
        ({"retry-after": "120"}, {"retry_at": after(seconds=120)}),
        ({"retry-after": "Sun, 01 Mar 2026 12:02:00 GMT"}, {"retry_at": after(seconds=120)}),
    ],
)
def test_a_rate_limit_is_read_in_every_spelling(headers: dict[str, str], known: dict[str, object]) -> None:
    assert rate_limit(headers, 429, NOW) == RateLimit(at=NOW, status=429, **known)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ratelimit": "none of it"},
        {"ratelimit-limit": "many"},
        {"ratelimit-remaining": "-1"},
        {"retry-after": "soon"},
        {"x-ratelimit-reset": "9" * 40},
    ],
)
def test_what_is_not_well_formed_says_nothing(headers: dict[str, str]) -> None:
    assert rate_limit(headers, 200, NOW) is None


@given(
    st.dictionaries(st.sampled_from(["ratelimit", "ratelimit-policy", "x-ratelimit-reset", "retry-after"]), st.text())
)
def test_no_header_is_too_strange_to_be_read(headers: dict[str, str]) -> None:
    found = rate_limit(headers, 200, NOW)
    assert Politeness.from_json(Politeness(rate_limit=found).as_json()).rate_limit == found


def test_what_is_stored_is_read_back_the_same() -> None:
    limit = RateLimit(NOW, 429, limit=10, remaining=0, window=60, reset_at=after(seconds=9), retry_at=after(days=1))
    for known in (Politeness(), Politeness(4, NOW, 403, 2.5, limit), Politeness(crawl_delay=1)):
        assert Politeness.from_json(known.as_json()) == known


@pytest.mark.parametrize("stored", [None, {}, {"delay": "much"}, {"rate_limit": {"strange": 1}}, {"rate_limit": 5}])
def test_what_cannot_be_read_is_as_if_nothing_was_known(stored: dict[str, object] | None) -> None:
    assert Politeness.from_json(stored) == Politeness()
