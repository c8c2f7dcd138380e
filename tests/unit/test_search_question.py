import datetime as dt

import pytest

from lcl_spiders.searching import question
from lcl_spiders.searching.question import Question

NOW = dt.datetime(2026, 11, 22, 15, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2026-10-01", dt.datetime(2026, 10, 1, tzinfo=dt.UTC)),
        ("2026-10-01T08:00", dt.datetime(2026, 10, 1, 8, tzinfo=dt.UTC)),
        ("2026-10-01T08:00+02:00", dt.datetime(2026, 10, 1, 6, tzinfo=dt.UTC)),
        ("2026-10-01T08:00Z", dt.datetime(2026, 10, 1, 8, tzinfo=dt.UTC)),
        ("7d", NOW - dt.timedelta(days=7)),
        ("12 h", NOW - dt.timedelta(hours=12)),
        ("1d 12h", NOW - dt.timedelta(hours=36)),
        ("P7D", NOW - dt.timedelta(days=7)),
    ],
)
def test_since_is_a_date_a_time_or_how_long_ago(given: str, moment: dt.datetime) -> None:
    assert question.since(given, NOW) == moment


@pytest.mark.parametrize("given", ["", "2026", "7", "yesterday", "2026-13-01", "-7d", "01.10.2026"])
def test_what_is_no_time_is_named(given: str) -> None:
    with pytest.raises(ValueError, match=f"{given!r} is no time"):
        question.since(given, NOW)


def test_a_time_to_come_is_named() -> None:
    with pytest.raises(ValueError, match="'2026-12-01' is still to come"):
        question.since("2026-12-01", NOW)


@pytest.mark.parametrize(
    ("given", "path"),
    [("/docs/", "/docs/"), ("/docs", "/docs"), ("/a b/", "/a%20b/"), ("/café", "/caf%C3%A9"), ("/a/../b/", "/b/")],
)
def test_a_path_is_spelt_as_in_canonical_urls(given: str, path: str) -> None:
    assert question.path(given) == path


@pytest.mark.parametrize(
    "given", ["docs/", "", "https://example.org/docs/", "/docs?page=1", "/docs#top", "/" + "x" * 256]
)
def test_what_is_no_path_is_named(given: str) -> None:
    with pytest.raises(ValueError, match="path"):
        question.path(given)


@pytest.mark.parametrize(("given", "language"), [("nl", "nl"), (" NL ", "nl"), ("fil", "fil")])
def test_a_language_is_a_primary_subtag(given: str, language: str) -> None:
    assert question.language(given) == language


@pytest.mark.parametrize("given", ["", "en-GB", "dutch", "e", "1x"])
def test_what_is_no_language_is_named(given: str) -> None:
    with pytest.raises(ValueError, match=f"{given!r} is no language"):
        question.language(given)


@pytest.mark.parametrize("given", ["", "  ", "\0"])
def test_a_query_needs_a_word(given: str) -> None:
    with pytest.raises(ValueError, match="say what to search for"):
        question.text(given)


def test_what_a_terminal_of_another_encoding_hands_over_is_made_a_text() -> None:
    assert question.text(b"caf\xe9".decode(errors="surrogateescape")) == "caf?"


def test_a_query_has_an_end() -> None:
    assert question.text("x" * 1000)
    with pytest.raises(ValueError, match="at most 1,000 characters"):
        question.text("x" * 1001)


def test_what_a_search_is_narrowed_to_is_told() -> None:
    asked = Question(text="x", sources=("a", "b"), languages=("nl",), path="/docs/", since=NOW)

    assert asked.narrowed_to == " in a or b, in nl, under /docs/, changed since 2026-11-22 15:00 UTC"
    assert Question(text="x").narrowed_to == ""
