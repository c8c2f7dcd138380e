"""What a site's own answers say of how it wants to be asked (B13): pure functions over answers and times.

403 and 429 lengthen the delay between two requests. What was learned fades, and the next run begins with what is left.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lcl_spiders.validators import retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

TOO_MUCH = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
SHORTEST = 1.0  # seconds; the delay that the first such answer doubles
LONGEST = 30.0
FADES_IN = dt.timedelta(hours=24)

NAMES = frozenset(
    {
        *("ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
        *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
        *("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"),
        "retry-after",
    }
)
"""The headers that speak of a rate limit, in lower case."""

EPOCH_BEGINS = 10**9  # a reset this large is a moment, not a number of seconds
_MILLISECONDS = 10**12
_LAST_MOMENT = 10**10
_PARAMETER = re.compile(r"(?:^|[;,\s])(limit|remaining|reset|r|t|q|w)\s*=\s*\"?([0-9]{1,15})")
_NUMBER = re.compile(r"\s*([0-9]{1,15})(?:\.[0-9]+)?\s*(?:[,;].*)?")
_ITEM = re.compile(r"(?:\"[^\"]*\"|[^,\"])+")


@dataclass(frozen=True)
class RateLimit:
    """The last answer that spoke of a limit: requests in a window of seconds, and when it begins anew."""

    at: dt.datetime
    status: int
    limit: int | None = None
    remaining: int | None = None
    window: int | None = None
    reset_at: dt.datetime | None = None
    retry_at: dt.datetime | None = None


@dataclass(frozen=True)
class Politeness:
    """What is known of a site. `delay`: seconds, as they were learned at `at` from an answer with this status.

    `crawl_delay`: seconds, by its robots.txt.
    """

    delay: float = 0.0
    at: dt.datetime | None = None
    status: int | None = None
    crawl_delay: float | None = None
    rate_limit: RateLimit | None = None

    def slowed(self, current: float, longest: float, status: int, now: dt.datetime) -> Politeness:
        """Return what is known after a 403 or 429 that came at this delay between requests, in seconds."""
        return replace(self, delay=lengthened(current, longest), at=now, status=status)

    def floor(self, longest: float, now: dt.datetime) -> float:
        """Return the seconds that two requests must be apart, at the least."""
        learned = 0.0 if self.at is None else faded(self.delay, now - self.at)
        return min(max(learned, self.crawl_delay or 0.0), longest)

    def as_json(self) -> dict[str, Any]:
        """Return what `scraper_sources.politeness` holds: times in ISO 8601, nothing that is not known."""
        limit = self.rate_limit
        return _known(vars(self) | {"rate_limit": None if limit is None else _known(vars(limit))})

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Politeness:
        """Return what was stored, as far as it can be read."""
        stored = stored or {}
        try:
            limit = stored.get("rate_limit")
            return cls(
                float(stored.get("delay") or 0.0),
                _moment(stored.get("at")),
                stored.get("status"),
                stored.get("crawl_delay"),
                None if limit is None else RateLimit(**{name: _read(name, limit[name]) for name in limit}),
            )
        except (AttributeError, TypeError, ValueError):
            return cls()


def lengthened(current: float, longest: float = LONGEST) -> float:
    """Return the delay after a site said "too much" at this one: twice as long, within bounds; never shorter."""
    return max(current, min(2 * max(current, SHORTEST), longest))


def faded(delay: float, age: dt.timedelta) -> float:
    """Return what is left of a learned delay: it falls in a straight line, to nothing after `FADES_IN`."""
    return delay * min(1.0, max(0.0, 1.0 - age / FADES_IN))


def rate_limit(headers: Mapping[str, str], status: int, now: dt.datetime) -> RateLimit | None:
    """Return what an answer says of its limit, None when it says nothing; the names of `headers` are in lower case.

    Read are RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10: `"day";r=50;t=30`, and the
    `limit=100, remaining=50, reset=30` of its versions before 08), RateLimit-Limit, -Remaining and -Reset (before 07),
    their X- forms, whose reset is a moment at some sites, and Retry-After (RFC 9110 section 10.2.3).
    """
    tightest = _tightest(headers.get("ratelimit", ""))
    policy = _tightest(headers.get("ratelimit-policy", ""))
    limit = _first(tightest.get("limit"), _header(headers, "limit"), policy.get("q"))
    remaining = _first(tightest.get("r"), tightest.get("remaining"), _header(headers, "remaining"))
    reset = _first(tightest.get("t"), tightest.get("reset"), _header(headers, "reset"))
    wait = retry_after(headers.get("retry-after", ""), now)
    if all(value is None for value in (limit, remaining, reset, wait)):
        return None
    return RateLimit(
        at=now,
        status=status,
        limit=limit,
        remaining=remaining,
        window=policy.get("w"),
        reset_at=None if reset is None else _reset_at(reset, now),
        retry_at=None if wait is None else now + dt.timedelta(seconds=wait),
    )


def _tightest(value: str) -> dict[str, int]:
    """Return the parameters of the item with the fewest requests left; all there are, where they are not in items."""
    items = [dict(_parameters(item)) for item in _ITEM.findall(value)]
    counted = [item for item in items if "r" in item or "q" in item]
    if counted:
        return min(counted, key=lambda item: item.get("r", item.get("q", 0)))
    return {name: number for item in items for name, number in item.items()}


def _parameters(item: str) -> list[tuple[str, int]]:
    return [(name, int(number)) for name, number in _PARAMETER.findall(item)]


def _header(headers: Mapping[str, str], what: str) -> int | None:
    for prefix in ("ratelimit-", "x-ratelimit-", "x-rate-limit-"):
        if (found := _NUMBER.fullmatch(headers.get(prefix + what, ""))) is not None:
            return int(found[1])
    return None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _reset_at(reset: int, now: dt.datetime) -> dt.datetime | None:
    """Return when a limit begins anew: in so many seconds, or at a moment in seconds or milliseconds since 1970."""
    if reset >= _MILLISECONDS:
        reset //= 1000
    if reset >= _LAST_MOMENT:
        return None
    if reset >= EPOCH_BEGINS:
        return dt.datetime.fromtimestamp(reset, dt.UTC)
    return now + dt.timedelta(seconds=reset)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in values.items()
        if value is not None
    }


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def _read(name: str, value: Any) -> Any:
    return _moment(value) if name == "at" or name.endswith("_at") else value
