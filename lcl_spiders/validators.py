"""What servers say about identity and time, read strictly: a value that is not well formed says nothing.

Pure functions. What they refuse with a ValueError costs one request more; what they let through wrongly could cost
a stale page.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MAX_ENTITY_TAG = 1_000
LONGEST_WAIT = 86_400
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7E\x80-\xFF]*"')

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = rf"(?P<weekday>{'|'.join(day[:3] for day in _DAYS)})"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_HTTP_DATES = (
    re.compile(rf"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),  # IMF-fixdate
    re.compile(rf"(?P<weekday>{'|'.join(_DAYS)}), (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"{_DAY} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})"),  # asctime
)

_LASTMOD = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-5][0-9])?)?)?)?"
)
_FIRST_YEAR = 1990  # there was no web before: an earlier date is an unset field (1970-01-01, 0001-01-01)
_WEST, _EAST = timedelta(hours=-12), timedelta(hours=14)
_TICK = timedelta(microseconds=1)


def entity_tag(text: str) -> str:
    """Return an ETag's value as If-None-Match must repeat it, without the white space around it.

    `text` is a header decoded as Latin-1, and the result has to be sent in that encoding: an entity tag may hold the
    bytes 0x80 to 0xFF.

    Raises:
        ValueError: it is not one entity-tag of RFC 9110 section 8.8.3, or longer than 1,000 characters.
    """
    tag = text.strip(" \t")
    if len(tag) > MAX_ENTITY_TAG or not _ENTITY_TAG.fullmatch(tag):
        raise ValueError(f"not an entity tag: {text[:80]!r}")
    return tag


def http_date(text: str) -> datetime:
    """Return the moment (UTC) that an HTTP-date means, in any of the three formats of RFC 9110 section 5.6.7.

    A leap second is read as the second before it. A date whose day of the week is another one is refused.

    Raises:
        ValueError: it has none of the formats, or there is no such moment.
    """
    found = next((match for form in _HTTP_DATES if (match := form.fullmatch(text.strip(" \t")))), None)
    if found is None:
        raise ValueError(f"not an HTTP-date: {text[:80]!r}")
    year, second = int(found["year"]), int(found["second"])
    if len(found["year"]) == 2:
        year = _full_year(year, datetime.now(UTC).year)
    if second == 60:
        second = 59
    month = _MONTHS.index(found["month"]) + 1
    moment = datetime(year, month, int(found["day"]), int(found["hour"]), int(found["minute"]), second, tzinfo=UTC)
    if not _DAYS[moment.weekday()].startswith(found["weekday"]):
        raise ValueError(f"not a {found['weekday']}: {text[:80]!r}")
    return moment


def is_conclusive(last_modified: datetime, date: datetime) -> bool:
    """Return whether a Last-Modified can serve as a validator for the answer that carried this Date.

    It is at least one second earlier (RFC 9110 section 8.8.2.2). Otherwise the page may have changed once more within
    that second; and a server that renews Last-Modified at every fetch never gets here.
    """
    return date - last_modified >= timedelta(seconds=1)


def retry_after(value: str, now: datetime) -> int | None:
    """Return the seconds that a Retry-After asks to wait, at most a day (RFC 9110 section 10.2.3).

    None when it is empty, malformed, or over.
    """
    value = value.strip(" \t")
    if value.isascii() and value.isdigit():
        seconds = int(value[:10])
    else:
        try:
            seconds = int((http_date(value) - now).total_seconds())
        except ValueError:
            return None
    return min(seconds, LONGEST_WAIT) if seconds > 0 else None


def lastmod_period(text: str) -> tuple[datetime, datetime]:
    """Return the first and the last moment (UTC, inclusive, to the microsecond) that a sitemap's `<lastmod>` can mean.

    The format is W3C Datetime (https://www.w3.org/TR/NOTE-datetime), from a year to a fraction of a second; a space
    may stand for the "T", and the zone may be missing. Without a zone it may be meant in any from -12:00 to +14:00.

    Raises:
        ValueError: it has another format, no such moment exists, or it lies before 1990.
    """
    found = _LASTMOD.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"not a W3C Datetime: {text[:80]!r}")
    try:
        first, last = _span(found)
        west, east = (_WEST, _EAST) if found["zone"] is None else (_offset(found["zone"]),) * 2
        return first - east, last - west
    except OverflowError as error:
        raise ValueError(f"out of range: {text[:80]!r}") from error


def _full_year(two_digits: int, this_year: int) -> int:
    """Return the latest year with these last two digits that is at most 50 years ahead (RFC 9110 section 5.6.7)."""
    latest = this_year + 50
    return latest - (latest - two_digits) % 100


def _span(found: re.Match[str]) -> tuple[datetime, datetime]:
    """Return the first and the last moment of a matched W3C Datetime, read as if it were UTC."""
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    if year < _FIRST_YEAR:
        raise ValueError(f"before {_FIRST_YEAR}: {found[0][:80]!r}")
    digits = (found["fraction"] or "")[:6]
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    first = datetime(year, month, day, hour, minute, second, int(digits.ljust(6, "0")), tzinfo=UTC)
    if found["month"] is None:
        length = first.replace(year=year + 1) - first
    elif found["day"] is None:
        length = (first + timedelta(days=31)).replace(day=1) - first
    elif found["hour"] is None:
        length = timedelta(days=1)
    elif found["second"] is None:
        length = timedelta(minutes=1)
    else:
        length = timedelta(seconds=1) / 10 ** len(digits)
    return first, first + (length - _TICK)


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])) * (-1 if zone[0] == "-" else 1)
    if not _WEST <= offset <= _EAST:
        raise ValueError(f"no such time zone: {zone}")
    return offset
