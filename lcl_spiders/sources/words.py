"""`NAME=VALUE` words of a command line, as the fields of a source."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_origin

from scrapy.exceptions import UsageError

from lcl_spiders.source_config import SourceConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTS = {name for name, field in SourceConfig.model_fields.items() if get_origin(field.annotation) is list}


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """Return `NAME=VALUE` words as fields: values are JSON where they can be, text otherwise.

    A field that is a list grows with each word. Raises `UsageError` for a word without a name.
    """
    settings: dict[str, Any] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals or not name:
            msg = f"{word!r}: give NAME=VALUE"
            raise UsageError(msg, print_help=False)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if name in _LISTS:
            # A pattern such as [0-9] or 2024 may be JSON by accident: only a list of texts is meant as one.
            is_list = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
            settings.setdefault(name, []).extend(value if is_list else [value if isinstance(value, str) else text])
        else:
            settings[name] = value
    return settings


def parse_edits(given: Sequence[str]) -> tuple[dict[str, Any], set[str]]:
    """Return the fields to set and the names of those that go back to their defaults: `NAME=`, without a value.

    Raises `UsageError` for a word without a name, and for a field that is both set and emptied.
    """
    emptied = {word[:-1] for word in given if word.endswith("=") and word.count("=") == 1 and len(word) > 1}
    edits = parse_settings([word for word in given if word[:-1] not in emptied or not word.endswith("=")])
    if both := sorted(emptied & edits.keys()):
        msg = f"{both[0]} is given a value and emptied: say one of the two"
        raise UsageError(msg, print_help=False)
    return edits, emptied
