"""What the headers of an answer say about when to ask again.

`x-ratelimit-{limit,remaining,reset}-{requests,tokens}` are OpenAI's
(https://platform.openai.com/docs/guides/rate-limits), which compatible servers send, too; Retry-After is that of
RFC 9110 section 10.2.3, `retry-after-ms` its finer form that OpenAI and Azure send beside it.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pipelines.providers.base import Quota, RateLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?", re.ASCII)
_UNITS = (86_400.0, 3600.0, 60.0, 1.0, 0.001)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that an answer asks to wait, None when it does not say.

    `now` is a Unix time, for an answer that does not tell its own: a date is one of the server's clock.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    given = headers.get("retry-after")
    if given is None:
        return None
    if (seconds := _number(given)) is not None:
        return seconds
    until = _date(given)
    if until is None:
        return None
    asked_at = _date(headers.get("date"))
    return max(0.0, until - (now if asked_at is None else asked_at))


def rate_limits(headers: Mapping[str, str]) -> RateLimits:
    """Return what an answer says of the limits of requests and of tokens."""
    return RateLimits(_quota(headers, "requests"), _quota(headers, "tokens"))


def duration(given: str | None) -> float | None:
    """Return the seconds of a duration such as `6m0s`, `1.5s`, `20ms`, or of a plain number; None if it is neither."""
    if given is None or not given.strip():
        return None
    if (seconds := _number(given)) is not None:
        return seconds
    parts = _DURATION.fullmatch(given.strip())
    if parts is None:
        return None
    return sum(float(part) * unit for part, unit in zip(parts.groups(), _UNITS, strict=True) if part)


def _quota(headers: Mapping[str, str], kind: str) -> Quota:
    limit, remaining = (_number(headers.get(f"x-ratelimit-{name}-{kind}")) for name in ("limit", "remaining"))
    return Quota(
        int(limit) if limit else None,
        int(remaining) if remaining is not None else None,
        duration(headers.get(f"x-ratelimit-reset-{kind}")),
    )


def _date(given: str | None) -> float | None:
    try:
        return parsedate_to_datetime(given).timestamp() if given is not None else None
    except (ValueError, OverflowError):
        return None


def _number(given: str | None) -> float | None:
    return float(given) if given is not None and _NUMBER.fullmatch(given := given.strip()) else None
