"""The arguments of a run, parsed strictly: a mistyped flag must never silently mean "no" (A3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class RunArguments:
    """What an operator may ask of one run, with what holds when nothing is asked.

    `max_pages` bounds page requests, 304 answers included; None leaves the source's own limit.
    """

    force_rescrape: bool = False
    reembed: bool = False
    allow_mass_delete: bool = False
    max_pages: int | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> RunArguments:
        """Read spider arguments, which come as strings from a command line or scrapyd.

        Raises `ValueError` for a name that is not an argument and a value that is not of its kind. Names that begin
        with an underscore belong to whoever schedules (scrapyd's `_job`) and are passed over.
        """
        known = {field.name for field in fields(cls)}
        asked = {name: value for name, value in given.items() if not name.startswith("_")}
        if strange := sorted(asked.keys() - known):
            msg = f"unknown argument {', '.join(strange)}: a run takes {', '.join(sorted(known))}"
            raise ValueError(msg)
        values: dict[str, Any] = {
            name: parse_count(name, value) if name == "max_pages" else parse_flag(name, value)
            for name, value in asked.items()
        }
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """Return the effective values, for the run's record."""
        return asdict(self)


def parse_flag(name: str, value: Any) -> bool:
    """Return true, 1, yes or false, 0, no (in any case) as a boolean. Raises `ValueError` for anything else."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _WORDS:
        msg = f"{name}={value!r} is neither true nor false: give true, false, 1, 0, yes or no"
        raise ValueError(msg)
    return _WORDS[word]


def parse_count(name: str, value: Any) -> int:
    """Return a whole number of at least 1. Raises `ValueError` for anything else."""
    try:
        count = int(str(value).strip())
    except ValueError:
        count = 0
    if count < 1:
        msg = f"{name}={value!r} is no whole number of at least 1"
        raise ValueError(msg)
    return count
