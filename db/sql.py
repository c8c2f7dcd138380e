"""Loads named queries: `-- name --` lines part a file of `db/queries` into statements.

A query is text for psycopg, with `%(name)s` or `%(name)b` (binary) placeholders. `%(name)i` includes what stands under
another name of the same file, above it: a list of columns that several queries share.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import LiteralString

_INCLUDE = re.compile(r"%\((\w+)\)i")
_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)


def load(subject: str) -> dict[str, LiteralString]:
    """Return the statements of `db/queries/<subject>.sql` by name.

    Read through importlib.resources, so that it works from an egg.
    """
    text = files("db.queries").joinpath(f"{subject}.sql").read_text(encoding="utf-8")
    head, *parts = _NAME.split(text)
    if head.strip() and not head.lstrip().startswith("--"):
        msg = f"db/queries/{subject}.sql: text before the first name"
        raise ValueError(msg)
    names, statements = parts[::2], parts[1::2]
    found: dict[str, LiteralString] = {}
    for name, body in zip(names, statements, strict=True):
        found[name] = _INCLUDE.sub(lambda include: found[include[1]], body.strip())
    return found
