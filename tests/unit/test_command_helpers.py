"""Small functions of the commands."""

import datetime as dt
import uuid
from typing import Any

import pytest
from scrapy.exceptions import UsageError

from db.jobs import Job
from lcl_spiders.commands.search import snippet
from lcl_spiders.commands.status import _figures, _troubles
from lcl_spiders.console import ago, lasting
from lcl_spiders.demo_site import ADDED, EDITED, REMOVED, after, before
from lcl_spiders.sources.words import parse_edits, parse_settings

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (["max_pages=5", "sitemaps=false"], {"max_pages": 5, "sitemaps": False}),
        (["deny=/login", "deny=/search"], {"deny": ["/login", "/search"]}),
        (['deny=["/a", "/b"]', "deny=/c"], {"deny": ["/a", "/b", "/c"]}),
        (["allow=2024"], {"allow": ["2024"]}),
        (["allow=[0]"], {"allow": ["[0]"]}),
        (["deny=a=b"], {"deny": ["a=b"]}),
        (["delay=null"], {"delay": None}),
    ],
)
def test_settings_are_json_where_they_can_be(given: list[str], settings: dict[str, object]) -> None:
    assert parse_settings(given) == settings


@pytest.mark.parametrize("word", ["max_pages", "=5"])
def test_a_setting_without_name_or_value_is_a_usage_error(word: str) -> None:
    with pytest.raises(UsageError):
        parse_settings([word])


def test_a_name_without_a_value_goes_back_to_its_default() -> None:
    assert parse_edits(["deny=", "max_pages=5", "allow=a="]) == ({"max_pages": 5, "allow": ["a="]}, {"deny"})


def test_a_field_that_is_set_and_emptied_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="deny"):
        parse_edits(["deny=/a", "deny="])


def test_a_snippet_is_the_part_with_the_querys_words() -> None:
    content = f"{'sand ' * 200}where the harbour lights are {'shell ' * 200}"
    found = snippet(content, "harbour light", width=80)
    assert "harbour lights" in found
    assert found.startswith("… ")
    assert found.endswith(" …")
    assert len(found) < 100


def test_a_short_passage_is_shown_whole_on_one_line() -> None:
    assert snippet("two\n\nlines", "missing") == "two lines"


def test_a_snippet_of_one_endless_word_is_cut() -> None:
    assert len(snippet("x" * 5000, "missing", width=80)) < 100


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (None, "never"),
        (NOW - dt.timedelta(seconds=2), "2.0 s ago"),
        (NOW - dt.timedelta(minutes=90), "90 min ago"),
        (NOW - dt.timedelta(days=3), "3 d ago"),
        (NOW + dt.timedelta(hours=8), "in 8 h"),
    ],
)
def test_a_time_is_told_from_now(then: dt.datetime | None, words: str) -> None:
    assert ago(then, NOW) == words


def test_a_duration_that_is_not_known_is_left_blank() -> None:
    assert lasting(None) == ""


def test_the_demo_site_changes_in_three_places() -> None:
    first, second = before(), after()
    assert second.keys() - first.keys() == {ADDED}
    assert first.keys() - second.keys() == {REMOVED}
    assert [path for path in first.keys() & second.keys() if first[path] != second[path]] == [EDITED]


def run_of_ten_seconds(error: str | None = None, **stats: Any) -> Job:
    ended = NOW + dt.timedelta(seconds=10)
    return Job(
        id=uuid.UUID(int=1),
        slug="example",
        trigger="manual",
        status="succeeded",
        args={},
        priority=0,
        attempt=1,
        queued_at=NOW,
        started_at=NOW,
        completed_at=ended,
        finish_reason="finished",
        error=error,
        stats=stats,
        worker=None,
    )


def test_pages_that_were_not_asked_for_make_no_run_look_fast() -> None:
    asked = {"pages/new": 5, "pages/not_modified": 10, "pages/unknown": 5}
    spared = {"pages/skipped_recent": 1000, "pages/skipped_lastmod": 1000, "pages/unasked": 1000}
    assert _figures(run_of_ten_seconds(**asked, **spared))["pages_per_second"] == 2.0


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (None, ["alert yield_collapse: few pages"]),
        ("few pages", ["alert yield_collapse: few pages"]),
        ("the lock is lost", ["alert yield_collapse: few pages", "the lock is lost"]),
    ],
)
def test_an_error_that_an_alert_tells_is_not_told_twice(error: str | None, lines: list[str]) -> None:
    assert _troubles(run_of_ten_seconds(error, alerts=[{"name": "yield_collapse", "message": "few pages"}])) == lines


def test_a_run_recorded_before_there_were_alerts_has_none() -> None:
    assert _troubles(run_of_ten_seconds()) == []
