"""When a page is checked again, and when it must be downloaded whatever its signals say: pure functions."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.pages import Check

SLACK = 0.9  # a page checked at 02:07 is due at 02:00 the next day
LONGEST_INTERVAL = dt.timedelta(days=7)
EARLIEST, LATEST = 0.5, 0.9  # share of the longest staleness at which a page is downloaded; the rest is for late runs


def bounds(shortest: float, longest: dt.timedelta, max_staleness: float) -> tuple[dt.timedelta, dt.timedelta]:
    """Return the shortest and the longest time between two checks of a page; numbers are seconds."""
    least = dt.timedelta(seconds=shortest)
    return least, max(least, min(longest, dt.timedelta(seconds=max_staleness)))


def share_of(url: str) -> float:
    """Return a number from 0 to 1 that is always the same for a URL and spread evenly over many."""
    return int.from_bytes(hashlib.blake2b(url.encode(), digest_size=6).digest(), "big") / 2**48


def audit_offset(url: str, every: int) -> int:
    """Return at which count of checks a page begins, so that the pages of a site are not audited all at once."""
    return int(share_of(url) * every)


def patience(url: str, max_staleness: dt.timedelta) -> dt.timedelta:
    """Return how long after its download a page is downloaded again, spread by URL.

    Its next check is never scheduled later than that, and a run a day keeps it within `max_staleness`.
    """
    return max_staleness * (LATEST - (LATEST - EARLIEST) * share_of(url))


def is_audit_due(
    url: str, check: Check | None, *, reader: str, every: int, max_staleness: dt.timedelta, now: dt.datetime
) -> bool:
    """Return whether a page must be downloaded in this run: every so many checks, or so much time.

    Also when it was never downloaded, or read by another version of the extraction than `reader`.
    """
    if check is None or check.fetched_at is None or check.reader != reader:
        return True
    return check.checks_since_fetch + 1 >= every or now - check.fetched_at >= patience(url, max_staleness)
