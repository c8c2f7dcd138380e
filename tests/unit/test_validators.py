from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lcl_spiders.validators import (
    MAX_ENTITY_TAG,
    _full_year,
    entity_tag,
    http_date,
    is_conclusive,
    lastmod_period,
)

SECONDS = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
LOCAL = st.datetimes(datetime(1990, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 - the tests add the zone
OFFSETS = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TICK = timedelta(microseconds=1)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    "tag",
    ['"xyzzy"', 'W/"xyzzy"', '""', 'W/""', '"33a64df5-gzip"', '"a\\b"', '"a,b"', '"it\'s"', '"caf\xe9"', '"W/"'],
)
def test_an_entity_tag_is_sent_back_as_it_came(tag: str):
    assert entity_tag(tag) == tag
    assert entity_tag(f" \t{tag} ") == tag


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xyzzy",
        "W/xyzzy",
        'w/"xyzzy"',
        'W/ "xyzzy"',
        '"xyzzy',
        'xyzzy"',
        '"a" "b"',
        '"a", "b"',
        '"a","b"',
        'W/"a", W/"b"',
        '"a"b"',
        '"a b"',
        '"a\tb"',
        '"a\r\nX-Injected: 1"',
        '"a"\n',
        '"a\x7f"',
        '"a\x00"',
        '"\u20ac"',
        "'xyzzy'",
        '"abc"-gzip',
        '"abc";gzip',
        "*",
        '"' + "a" * (MAX_ENTITY_TAG - 1) + '"',
    ],
)
def test_what_is_no_single_entity_tag_is_refused(text: str):
    with pytest.raises(ValueError, match="not an entity tag"):
        entity_tag(text)


def test_an_entity_tag_may_have_a_thousand_characters():
    tag = '"' + "a" * (MAX_ENTITY_TAG - 2) + '"'
    assert entity_tag(tag) == tag


@given(st.text(max_size=20) | st.text(alphabet='W/"a, \t\n', max_size=12))
def test_an_entity_tag_never_breaks_a_header(text: str):
    try:
        tag = entity_tag(text)
    except ValueError:
        return
    assert tag in text
    assert tag.encode("latin-1")
    assert tag.count('"') == 2
    assert not set(tag) & set(" \t\r\n\0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", utc(1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", utc(1994, 11, 6, 8, 49, 37)),
        ("Sun Nov  6 08:49:37 1994", utc(1994, 11, 6, 8, 49, 37)),
        ("Wed Nov 16 08:49:37 1994", utc(1994, 11, 16, 8, 49, 37)),
        (" Sun, 06 Nov 1994 08:49:37 GMT\t", utc(1994, 11, 6, 8, 49, 37)),
        ("Thu, 29 Feb 2024 23:59:59 GMT", utc(2024, 2, 29, 23, 59, 59)),
        ("Sat, 31 Dec 2016 23:59:60 GMT", utc(2016, 12, 31, 23, 59, 59)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", utc(1970, 1, 1)),
        ("Mon, 01 Jan 0001 00:00:00 GMT", utc(1, 1, 1)),
        ("Fri, 31 Dec 9999 23:59:60 GMT", utc(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_an_http_date_is_read_in_all_three_formats(text: str, expected: datetime):
    assert http_date(text) == expected
    assert http_date(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "now",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "06 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Monday, 06-Nov-94 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "So, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Mai 1994 08:49:37 GMT",
        "Sat, 30 Feb 2024 00:00:00 GMT",
        "Wed, 29 Feb 2023 00:00:00 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sat, 01 Jan 0000 00:00:00 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  0 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
    ],
)
def test_what_is_no_http_date_is_refused(text: str):
    with pytest.raises(ValueError, match=r"."):
        http_date(text)


@given(SECONDS)
@example(utc(1, 1, 1))
@example(utc(9999, 12, 31, 23, 59, 59))
def test_every_moment_survives_a_header(moment: datetime):
    assert http_date(moment.strftime("%a, %d %b ") + f"{moment.year:04} {moment:%H:%M:%S} GMT") == moment
    assert http_date(f"{moment:%a %b} {moment.day:2} {moment:%H:%M:%S} {moment.year:04}") == moment


@given(st.integers(1980, 2050), SECONDS)
def test_two_digits_of_a_year_mean_the_one_nearby(year: int, moment: datetime):
    moment = moment.replace(year=year, day=min(moment.day, 28))
    assert http_date(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")) == moment
    assert http_date(format_datetime(moment, usegmt=True)) == moment


@pytest.mark.parametrize(
    ("two_digits", "this_year", "expected"),
    [(94, 2026, 1994), (26, 2026, 2026), (76, 2026, 2076), (77, 2026, 1977), (0, 2026, 2000), (49, 1999, 2049)],
)
def test_a_year_more_than_fifty_years_ahead_is_in_the_past(two_digits: int, this_year: int, expected: int):
    assert _full_year(two_digits, this_year) == expected


@given(st.text(max_size=40) | st.text("0123456789-+:.TZ ", max_size=26))
@example("9999-12-31T23:59:60")
def test_any_text_is_a_date_or_a_value_error(text: str):
    with suppress(ValueError):
        assert http_date(text).tzinfo is UTC
    with suppress(ValueError):
        first, last = lastmod_period(text)
        assert first <= last


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(days=300), True),
        (timedelta(seconds=1), True),
        (timedelta(microseconds=999_999), False),
        (timedelta(), False),
        (timedelta(seconds=-1), False),
        (timedelta(days=-300), False),
    ],
)
def test_a_last_modified_is_conclusive_a_second_before_the_answer(age: timedelta, expected: bool):
    date = utc(2026, 1, 2, 3, 4, 5)
    assert is_conclusive(date - age, date) is expected


def test_the_ends_of_time_are_compared_like_others():
    first, last = utc(1, 1, 1), utc(9999, 12, 31, 23, 59, 59)
    assert is_conclusive(first, last)
    assert not is_conclusive(last, first)
    assert not is_conclusive(last, last)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("1997", utc(1996, 12, 31, 10), utc(1998, 1, 1, 12) - TICK),
        ("1997-07", utc(1997, 6, 30, 10), utc(1997, 8, 1, 12) - TICK),
        ("1997-12", utc(1997, 11, 30, 10), utc(1998, 1, 1, 12) - TICK),
        ("2024-02", utc(2024, 1, 31, 10), utc(2024, 3, 1, 12) - TICK),
        ("1997-07-16", utc(1997, 7, 15, 10), utc(1997, 7, 17, 12) - TICK),
        ("2024-02-29", utc(2024, 2, 28, 10), utc(2024, 3, 1, 12) - TICK),
        ("1997-07-16T19:20+01:00", utc(1997, 7, 16, 18, 20), utc(1997, 7, 16, 18, 21) - TICK),
        ("1997-07-16T19:20:30+01:00", utc(1997, 7, 16, 18, 20, 30), utc(1997, 7, 16, 18, 20, 31) - TICK),
        ("1997-07-16T19:20:30-12:00", utc(1997, 7, 17, 7, 20, 30), utc(1997, 7, 17, 7, 20, 31) - TICK),
        ("1997-07-16T19:20:30+14:00", utc(1997, 7, 16, 5, 20, 30), utc(1997, 7, 16, 5, 20, 31) - TICK),
        ("1997-07-16T19:20:30Z", utc(1997, 7, 16, 19, 20, 30), utc(1997, 7, 16, 19, 20, 31) - TICK),
        (
            "1997-07-16T19:20:30.45+01:00",
            utc(1997, 7, 16, 18, 20, 30, 450_000),
            utc(1997, 7, 16, 18, 20, 30, 459_999),
        ),
        (
            "1997-07-16T19:20:30.123456789Z",
            utc(1997, 7, 16, 19, 20, 30, 123_456),
            utc(1997, 7, 16, 19, 20, 30, 123_456),
        ),
        ("1997-07-16T19:20:30", utc(1997, 7, 16, 5, 20, 30), utc(1997, 7, 17, 7, 20, 31) - TICK),
        ("1997-07-16 19:20", utc(1997, 7, 16, 5, 20), utc(1997, 7, 17, 7, 21) - TICK),
        ("1997-07-16 19:20:30+01:00", utc(1997, 7, 16, 18, 20, 30), utc(1997, 7, 16, 18, 20, 31) - TICK),
        ("\n 1997-07-16T19:20Z\t", utc(1997, 7, 16, 19, 20), utc(1997, 7, 16, 19, 21) - TICK),
        ("9998-12-31", utc(9998, 12, 30, 10), utc(9999, 1, 1, 12) - TICK),
        ("9999-12-31T23:59:59Z", utc(9999, 12, 31, 23, 59, 59), utc(9999, 12, 31, 23, 59, 59, 999_999)),
        ("1990", utc(1989, 12, 31, 10), utc(1991, 1, 1, 12) - TICK),
    ],
)
def test_a_lastmod_is_every_moment_it_can_mean(text: str, first: datetime, last: datetime):
    assert lastmod_period(text) == (first, last)
    assert {moment.tzinfo for moment in lastmod_period(text)} == {UTC}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "yesterday",
        "97",
        "1989",
        "1989-12-31T23:59:59Z",
        "1970-01-01",
        "0000-00-00",
        "0000-00-00T00:00:00+00:00",
        "0001-01-01T00:00:00Z",
        "1997-00",
        "1997-13",
        "1997-7",
        "1997-02-29",
        "1997-04-31",
        "19970716",
        "1997-W29",
        "1997-07-16T",
        "1997-07-16Z",
        "1997-07-16T19",
        "1997-07-16T19:20:",
        "1997-07-16T19:20:30.",
        "1997-07-16T19:20:30,5Z",
        "1997-07-16T24:00:00Z",
        "1997-07-16T19:60Z",
        "1997-07-16T19:20:60Z",
        "1997-07-16t19:20z",
        "1997-07-16  19:20",
        "1997-07-16T19:20:30 +01:00",
        "1997-07-16T19:20:30+01",
        "1997-07-16T19:20:30+0100",
        "1997-07-16T19:20:30+14:01",
        "1997-07-16T19:20:30-12:01",
        "1997-07-16T19:20:30+01:60",
        "1997-07-16T19:20:30+99:00",
        "1997-07-16T19:20:30 CET",
        "16.07.1997",
        "07/16/1997",
        "Wed, 16 Jul 1997 19:20:30 GMT",
        "٢٠٢٤-٠١-٠١",
        "9999",
        "9999-12",
        "9999-12-31",
        "9999-12-31T23:59:59-12:00",
        "10000-01-01",
        "-1997",
        "1997-07-16T19:20:30Z/1998",
    ],
)
def test_what_is_no_possible_lastmod_is_refused(text: str):
    with pytest.raises(ValueError, match=r"."):
        lastmod_period(text)


@given(LOCAL, OFFSETS, st.sampled_from(["T", " "]), st.sampled_from(["auto", "minutes", "seconds", "milliseconds"]))
def test_a_lastmod_with_a_zone_holds_its_own_moment(moment: datetime, zone: timezone, separator: str, precision: str):
    moment = moment.replace(tzinfo=zone)
    first, last = lastmod_period(moment.isoformat(separator, precision))
    assert first <= moment <= last
    assert last - first < timedelta(minutes=1)


@given(LOCAL, OFFSETS, st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"]))
def test_a_lastmod_without_a_zone_holds_the_moment_in_every_zone(moment: datetime, zone: timezone, form: str):
    if moment.year == 9999:
        moment = moment.replace(year=9998, day=min(moment.day, 28))
    first, last = lastmod_period(moment.strftime(form))
    assert first <= moment.replace(tzinfo=zone) <= last
