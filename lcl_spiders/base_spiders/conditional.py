"""Conditional requests (RFC 9110 section 13) and what may be believed of them (C1, C6): pure functions."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from lcl_spiders.validators import entity_tag, http_date, is_conclusive, lastmod_period
from pipelines.trust import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from db.pages import Check, KnownPage

CLOCKS = dt.timedelta(minutes=1)  # by how much a site's clock and ours may differ


def conditional_headers(known: KnownPage, believes: Callable[[Signal], bool]) -> dict[str, bytes]:
    """Return the headers that ask for a page only if it changed, by the validators that are believed."""
    headers = {}
    if known.etag is not None and believes(Signal.ETAG):
        headers["If-None-Match"] = known.etag.encode("latin-1")
    if known.last_modified is not None and believes(Signal.LAST_MODIFIED):
        headers["If-Modified-Since"] = known.last_modified.encode("latin-1")
    return headers


def deciding_signal(headers: Mapping[str, bytes]) -> Signal:
    """Return which validator a 304 rests on: If-Modified-Since is ignored beside If-None-Match (section 13.1.3)."""
    return Signal.ETAG if "If-None-Match" in headers else Signal.LAST_MODIFIED


def is_unmoved(check: Check | None, lastmod: str | None) -> bool:
    """Return whether a sitemap says that a page is as it was at its last download.

    The lastmod is the one of then, and ended before it: a date alone may cover a change in the evening of that day.
    """
    if lastmod is None or check is None or check.fetched_at is None or check.sitemap_lastmod != lastmod:
        return False
    try:
        _, last = lastmod_period(lastmod)
    except ValueError:
        return False
    return last + CLOCKS <= check.fetched_at


def claims_of(known: KnownPage, etag: str | None, last_modified: str | None, lastmod: str | None) -> frozenset[Signal]:
    """Return the signals that said "unchanged" of a page that was downloaded all the same."""
    claims = set()
    if etag is not None and etag == known.etag:
        claims.add(Signal.ETAG)
    if last_modified is not None and last_modified == known.last_modified:
        claims.add(Signal.LAST_MODIFIED)
    if is_unmoved(known.check, lastmod):
        claims.add(Signal.SITEMAP_LASTMOD)
    return frozenset(claims)


def usable_etag(value: str | None) -> str | None:
    """Return an ETag that can be sent back. Raises `ValueError` for one that is malformed."""
    return None if value is None else entity_tag(value)


def usable_last_modified(value: str | None, date: str | None, now: dt.datetime) -> str | None:
    """Return a Last-Modified that can be sent back, None when it may still change within its second.

    `date` is the answer's Date header; `now` stands for one that is missing or malformed. Raises `ValueError` for a
    Last-Modified that is malformed.
    """
    if value is None:
        return None
    modified = http_date(value)
    try:
        answered = http_date(date) if date is not None else now
    except ValueError:
        answered = now
    return value if is_conclusive(modified, answered) else None
