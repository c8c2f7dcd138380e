"""Durations as an operator writes them ("6h", "2 d", "1d 12h", 3600, "PT6H") and as they are written back."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, TypeAdapter, ValidationError

LONGEST = 10**9
"""The longest duration there is, in seconds: some thirty years."""

UNITS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
"""The units that durations are written in, in seconds, largest first."""

_WORDS = {
    word: size
    for words, size in (
        ("w week weeks", 604_800),
        ("d day days", 86_400),
        ("h hour hours", 3_600),
        ("min minute minutes m", 60),
        ("s sec second seconds", 1),
    )
    for word in words.split()
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)")
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_ISO = TypeAdapter(dt.timedelta)
_HINT = 'give seconds, or a text such as "90s", "30min", "6h", "2 d", "1d 12h" or "PT6H"'


def seconds(given: Any) -> float:
    """Return a duration in seconds: a number is one already, a text has units or is in ISO 8601 (section 5.5.2).

    `m` is a minute. Raises `ValueError` for anything else, for what is negative, and for more than thirty years.
    """
    found = _read(given.strip().lower()) if isinstance(given, str) else _number(given)
    if found is None:
        raise ValueError(f"{given!r} is no duration: {_HINT}")
    if not 0 <= found <= LONGEST:
        raise ValueError(f"{given!r} is no time that can be waited: {_HINT}")
    return found


def written(time: dt.timedelta | float) -> str:
    """Return a duration (seconds, if it is a number) in the largest unit that divides it: "6h", "36h", "90s"."""
    length = time.total_seconds() if isinstance(time, dt.timedelta) else float(time)
    for unit, size in UNITS.items():
        if length and length % size == 0:
            return f"{length / size:.0f}{unit}"
    return f"{length:g}s"


def _number(given: Any) -> float | None:
    if isinstance(given, dt.timedelta):
        return given.total_seconds()
    return float(given) if isinstance(given, (int, float)) and not isinstance(given, bool) else None


def _read(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    if _WHOLE.fullmatch(text):
        parts = _PART.findall(text)
        if all(unit in _WORDS for _, unit in parts):
            return sum(float(number) * _WORDS[unit] for number, unit in parts)
    try:
        return _ISO.validate_python(text.upper()).total_seconds() if text.startswith("p") else None
    except ValidationError:
        return None


Seconds = Annotated[int, BeforeValidator(seconds, json_schema_input_type=float | str)]
"""Whole seconds, given as any duration."""

Duration = Annotated[
    dt.timedelta,
    BeforeValidator(lambda given: dt.timedelta(seconds=seconds(given)), json_schema_input_type=float | str),
    PlainSerializer(written, return_type=str, when_used="json"),
]
"""A time span, given as any duration and written as one."""
