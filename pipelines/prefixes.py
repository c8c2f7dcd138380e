"""What some models want before texts, to know what they are for.

They are part of a chunker's version, and so of a model's identity: vectors of texts under other prefixes are not its
own. The settings name those of an index that has no model yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

QUERY_PREFIX = "LCL_EMBEDDING_QUERY_PREFIX"
PASSAGE_PREFIX = "LCL_EMBEDDING_PASSAGE_PREFIX"
MOST = 500  # characters


@dataclass(frozen=True)
class Prefixes:
    """What stands before each query and each passage: "query: " and "passage: " for multilingual-e5."""

    query: str = ""
    passage: str = ""

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Read the settings. Raises `ValueError` naming the one that is wrong and what it may be."""
        return cls(_prefix(settings, QUERY_PREFIX), _prefix(settings, PASSAGE_PREFIX))


NO_PREFIXES = Prefixes()


def _prefix(settings: BaseSettings, name: str) -> str:
    given = str(settings.get(name) or "")
    if len(given) > MOST or not given.replace("\n", "").isprintable():
        msg = f"{name} is {given[:50]!r}: give at most {MOST} characters, as in 'query: '"
        raise ValueError(msg)
    return given
