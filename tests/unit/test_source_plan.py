"""What `scrapy sources sync` would change, compared without a database."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest

from db.sources import Source
from db.urls import domain_of
from lcl_spiders.sources.entry import SourceEntry, written_fields
from lcl_spiders.sources.plan import make

DAY = dt.timedelta(days=1)


def stored(slug: str, url: str | None = None, **fields: Any) -> Source:
    start_url = url or f"https://{slug}.example/"
    values: dict[str, Any] = {
        **dict.fromkeys(Source.__dataclass_fields__),
        "id": uuid4(),
        "slug": slug,
        "start_url": start_url,
        "domain": domain_of(start_url),
        "spider": "website",
        "config": {},
        "enabled": True,
        "priority": 0,
        "refresh_interval": DAY,
        "auto_disabled": False,
    }
    return Source(**(values | fields))


def entry(slug: str, url: str | None = None, **fields: Any) -> SourceEntry:
    return SourceEntry.checked({"slug": slug, "url": url or f"https://{slug}.example/", **fields}, ["website", "feed"])


def test_what_is_only_in_the_file_is_added_and_what_is_only_in_the_table_is_missing() -> None:
    plan = make([stored("old")], [entry("new")])
    assert ([each.slug for each in plan.added], plan.missing, plan.changed) == (["new"], ["old"], [])


def test_a_changed_source_tells_each_field_before_and_after() -> None:
    row = stored("a", config={"max_pages": 5, "deny": ["/x"]}, priority=3)
    (change,) = make([row], [entry("a", max_pages=7, refresh_interval="6h", spider="feed")]).changed
    assert change.fields == {
        "spider": ("website", "feed"),
        "priority": (3, 0),
        "refresh_interval": ("1d", "6h"),
        "deny": (["/x"], []),
        "max_pages": (5, 7),
    }


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({"max_pages": 10_000}, {}),
        ({"delay": None}, {}),
        ({"min_check_interval": 21_600}, {"min_check_interval": "6h"}),
        ({"min_check_interval": "6h"}, {"min_check_interval": 21_600}),
    ],
)
def test_what_means_the_same_is_unchanged(config: dict[str, Any], fields: dict[str, Any]) -> None:
    assert make([stored("a", config=config)], [entry("a", **fields)]).unchanged == ["a"]


def test_a_start_url_may_change_within_its_domain() -> None:
    (change,) = make([stored("a")], [entry("a", "https://a.example/agenda")]).changed
    assert change.fields == {"url": ("https://a.example/", "https://a.example/agenda")}


def test_a_start_url_of_another_domain_is_a_conflict() -> None:
    ((slug, field, why),) = make([stored("a")], [entry("a", "https://b.example/")]).conflicts
    assert (slug, field) == ("a", "url")
    assert "another site" in why


def test_a_start_url_that_is_known_under_another_name_is_a_conflict() -> None:
    ((slug, field, why),) = make([stored("old", "https://a.example/")], [entry("a")]).conflicts
    assert (slug, field) == ("a", "url")
    assert "known already as 'old'" in why


def test_a_start_url_that_its_old_owner_gives_up_is_free() -> None:
    rows = [stored("a", "https://a.example/1")]
    plan = make(rows, [entry("a", "https://a.example/2"), entry("b", "https://a.example/1")])
    assert (plan.conflicts, [each.slug for each in plan.added]) == ([], ["b"])


@pytest.mark.parametrize("discovery", [{"score": 0.4}, {"score": 0.4, "reviewed_at": "t", "rejected_at": "t"}])
def test_candidates_of_discovery_are_no_part_of_the_file(discovery: dict[str, Any]) -> None:
    plan = make([stored("candidate", enabled=False, discovery=discovery)], [])
    assert (plan.missing, plan.pruned) == ([], [])


def test_a_candidate_that_was_approved_is_a_source_like_any_other() -> None:
    plan = make([stored("approved", discovery={"score": 0.4, "reviewed_at": "t"})], [])
    assert (plan.missing, [source.slug for source in plan.pruned]) == (["approved"], ["approved"])


def test_a_source_with_settings_that_are_not_valid_can_be_mended() -> None:
    (change,) = make([stored("a", config={"max_page": 5})], [entry("a")]).changed
    assert change.fields == {"max_page": (5, None)}


def test_a_file_says_only_what_is_not_at_its_default() -> None:
    row = stored("a", config={"max_pages": 10_000, "deny": ["/x"]}, refresh_interval=dt.timedelta(hours=6))
    assert written_fields(row) == {"url": "https://a.example/", "deny": ["/x"], "refresh_interval": "6h"}
