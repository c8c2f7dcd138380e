"""`sources.toml`: the sources of an installation as a file under version control, one table `[sources.<slug>]` each.

TOML 1.0 (https://toml.io/en/v1.0.0), read by the standard library. That names the line of a syntax error but not of a
value, so the lines of values are looked for once something is wrong with one.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lcl_spiders.sources.entry import SourceEntry, problems

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

TABLE = "sources"
WIDTH = 100
_AT_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class WrongFile(Exception):
    """A file that cannot be taken. `lines`: one for each thing that is wrong, as `file:line: field: reason`."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class SourcesFile:
    """A file whose every source is valid by itself; their slugs and start URLs are unique."""

    name: str
    text: str
    entries: list[SourceEntry]

    def wrong(self, found: Iterable[tuple[str, str, str]]) -> WrongFile:
        """Return the error for what is wrong with these (slug, field, reason)."""
        return _wrong(self.name, self.text, [((TABLE, slug, *field.split(".")), why) for slug, field, why in found])


def read(path: Path, kinds: Collection[str]) -> SourcesFile:
    """Read a file of sources. Raises `WrongFile`, also when there is no such file."""
    try:
        text = path.read_bytes().decode()
        parsed = tomllib.loads(text)
    except OSError as error:
        raise WrongFile([f"{path}: it cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise WrongFile([f"{path}:{line}: it is not written in UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise WrongFile([_syntax_error(str(path), text, str(error))]) from None
    wrong: list[tuple[tuple[str, ...], str]] = [
        ((name,), f"there is no such table: a source is a table [{TABLE}.<slug>]") for name in parsed.keys() - {TABLE}
    ]
    entries = []
    tables = parsed.get(TABLE, {})
    if not isinstance(tables, dict):
        raise _wrong(str(path), text, [*wrong, ((TABLE,), f"each source is a table [{TABLE}.<slug>]")])
    for slug, fields in tables.items():
        entry, errors = _entry(slug, fields, kinds)
        wrong += [((TABLE, slug, *field.split(".")), why) for field, why in errors]
        if entry is not None:
            entries.append(entry)
    wrong += [((TABLE, slug, "url"), why) for slug, why in _twins(entries)]
    if wrong:
        raise _wrong(str(path), text, wrong)
    return SourcesFile(str(path), text, entries)


def _entry(slug: str, fields: Any, kinds: Collection[str]) -> tuple[SourceEntry | None, list[tuple[str, str]]]:
    """Return one source, or None with what is wrong with its fields; "" stands for the table."""
    if not isinstance(fields, dict):
        return None, [("", f"it is no table: a source is a table [{TABLE}.<slug>]")]
    wrong = [("slug", f"the name of the table is the slug: [{TABLE}.{slug}]")] if "slug" in fields else []
    try:
        return SourceEntry.read({**fields, "slug": slug}, kinds), wrong
    except ValidationError as error:
        found = problems(error.errors())
        return None, [*wrong, *(("" if field == "slug" else field, why) for field, why in found)]


def _twins(entries: Iterable[SourceEntry]) -> list[tuple[str, str]]:
    slugs: dict[str, str] = {}
    found = []
    for entry in entries:
        slug = entry.slug or ""
        if (first := slugs.setdefault(entry.url, slug)) != slug:
            found.append((slug, f"{entry.url} is the start URL of {first!r} already"))
    return found


def _syntax_error(name: str, text: str, message: str) -> str:
    """Return tomllib's message with its line first, and the line's text, in which the field stands."""
    lines = text.split("\n")
    place = _AT_LINE.search(message)
    number = int(place[1]) if place and place[1] else len(text.rstrip().split("\n"))
    return f"{name}:{number}: {_AT_LINE.sub('', message)}, in: {lines[number - 1].strip()[:WIDTH]}"


def _wrong(name: str, text: str, found: Iterable[tuple[tuple[str, ...], str]]) -> WrongFile:
    lines = _lines(text)
    placed = []
    for path, why in found:
        named = tuple(filter(None, path))
        known = next((named[:size] for size in range(len(named), 0, -1) if named[:size] in lines), ())
        placed.append((lines.get(known, 1), f"{'.'.join(named)}: {why}"))
    return WrongFile([f"{name}:{line}: {message}" for line, message in sorted(placed)])


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line on which each table and key of a valid TOML text first stands, by its path.

    A statement is as many lines as it takes for TOML to be able to read them: nothing here knows its grammar.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            start = number
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        paths = list(_paths(parsed))
        if statement.lstrip().startswith("["):
            table = paths[-1]
            found.setdefault(table, start)
        else:
            for path in paths:
                found.setdefault((*table, *path), start)
        statement = ""
    return found


def _paths(parsed: Any) -> Iterable[tuple[str, ...]]:
    """Yield the paths of all keys, the outer ones first; an array of tables counts as its table."""
    if isinstance(parsed, list) and parsed and isinstance(parsed[0], dict):
        parsed = parsed[0]
    if isinstance(parsed, dict):
        for key, value in parsed.items():
            yield (key,)
            for path in _paths(value):
                yield (key, *path)


def write(sources: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Return slugs and fields as the text of a file that `read` takes. None is not written: it is a default."""
    tables = []
    for slug, fields in sources:
        lines = [f"{name} = {_value(value)}" for name, value in fields.items() if value is not None]
        tables.append("\n".join([f"[{TABLE}.{slug}]", *lines]))
    return "\n\n".join(tables) + "\n" if tables else ""


def _value(value: Any) -> str:
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for the one control character that JSON lets stand.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, list):
        flat = f"[{', '.join(map(_value, value))}]"
        return flat if len(flat) <= WIDTH else "[\n" + "".join(f"    {_value(each)},\n" for each in value) + "]"
    if isinstance(value, dict):  # no field is one, but a row that was edited by hand may hold anything
        return f"{{{', '.join(f'{_value(name)} = {_value(each)}' for name, each in value.items())}}}"
    return json.dumps(value)
