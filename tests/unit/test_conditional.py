"""What is asked conditionally, what is audited, and what a signal claims."""

import datetime as dt
from collections import Counter

import pytest

from db.pages import Check, KnownPage
from lcl_spiders.base_spiders.conditional import (
    claims_of,
    conditional_headers,
    deciding_signal,
    is_unmoved,
    usable_last_modified,
)
from lcl_spiders.extraction import EXTRACTION_VERSION
from pipelines.schedule import audit_offset, is_audit_due, patience
from pipelines.trust import Signal

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MODIFIED = "Sun, 01 Feb 2026 12:00:00 GMT"


def known(
    *,
    checks: int = 0,
    fetched_at: dt.datetime | None = NOW - DAY,
    lastmod: str | None = None,
    reader: str = EXTRACTION_VERSION,
    url: str = "https://example.org/a",
) -> KnownPage:
    check = Check(checks, None, fetched_at, lastmod, reader, 1000, 2, 300)
    return KnownPage(1, url, b"", b"", '"tag"', MODIFIED, (), NOW - DAY, None, check)


def is_due(page: KnownPage, every: int = 10, staleness: dt.timedelta = 14 * DAY) -> bool:
    return is_audit_due(page.url, page.check, reader=EXTRACTION_VERSION, every=every, max_staleness=staleness, now=NOW)


def test_the_offsets_of_a_site_are_spread_over_the_audit_interval():
    offsets = Counter(audit_offset(f"https://example.org/{n}", 10) for n in range(1000))
    assert set(offsets) == set(range(10))
    assert max(offsets.values()) < 150


@pytest.mark.parametrize(("checks", "due"), [(0, False), (8, False), (9, True), (500, True)])
def test_a_page_is_downloaded_once_in_so_many_checks(checks, due):
    assert is_due(known(checks=checks)) is due


def test_every_check_is_an_audit_where_the_interval_is_one():
    assert is_due(known(), every=1)


def test_a_page_is_downloaded_within_the_longest_staleness_and_not_all_on_one_day():
    urls = [f"https://example.org/{n}" for n in range(200)]
    for days, share in ((6.9, 0), (12.7, 1)):
        due = [is_due(known(fetched_at=NOW - days * DAY, url=url)) for url in urls]
        assert sum(due) / len(due) == share
    due = [is_due(known(fetched_at=NOW - 10 * DAY, url=url)) for url in urls]
    assert 0.2 < sum(due) / len(due) < 0.8


def test_the_next_check_never_comes_later_than_the_next_download():
    waits = [patience(f"https://example.org/{n}", 14 * DAY) for n in range(500)]
    assert min(waits) >= 7 * DAY
    assert max(waits) <= 13 * DAY  # the run of the day after is still in time


def test_a_page_that_another_extraction_read_or_that_was_never_downloaded_is_downloaded():
    assert is_due(known(reader="0"))
    assert is_due(known(fetched_at=None))
    assert is_due(KnownPage(1, "u", b"", None, '"tag"', None, (), NOW))


def test_only_validators_that_are_believed_are_sent_and_the_etag_decides():
    headers = conditional_headers(known(), lambda _: True)
    assert headers == {"If-None-Match": b'"tag"', "If-Modified-Since": MODIFIED.encode()}
    assert deciding_signal(headers) is Signal.ETAG
    headers = conditional_headers(known(), lambda signal: signal is Signal.LAST_MODIFIED)
    assert deciding_signal(headers) is Signal.LAST_MODIFIED
    assert conditional_headers(known(), lambda _: False) == {}


@pytest.mark.parametrize(
    ("then", "now", "unmoved"),
    [
        ("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z", True),
        ("2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", False),
        ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", False),
        ("2026-02-26", "2026-02-26", True),
        ("2026-02-28", "2026-02-28", False),  # it was downloaded on that day, which may have gone on to change
        ("2026-02-28T11:59:30Z", "2026-02-28T11:59:30Z", False),
        ("2027", "2027", False),
        ("nonsense", "nonsense", False),
        (None, None, False),
        (None, "2026-02-01", False),
    ],
)
def test_a_lastmod_vouches_for_a_page_only_if_its_period_ended_before_the_download(then, now, unmoved):
    assert is_unmoved(known(lastmod=then).check, now) is unmoved


def test_a_signal_that_keeps_its_value_claims_that_the_page_did_not_change():
    page = known(lastmod="2026-02-01")
    assert claims_of(page, '"tag"', None, None) == {Signal.ETAG}
    assert claims_of(page, '"other"', MODIFIED, "2026-02-01") == {Signal.LAST_MODIFIED, Signal.SITEMAP_LASTMOD}
    assert claims_of(page, None, None, None) == frozenset()


@pytest.mark.parametrize(
    ("date", "usable"),
    [("Sun, 01 Feb 2026 12:00:01 GMT", True), (MODIFIED, False), ("nonsense", True), (None, True)],
)
def test_a_last_modified_of_the_same_second_is_no_validator(date, usable):
    assert (usable_last_modified(MODIFIED, date, NOW) == MODIFIED) is usable
