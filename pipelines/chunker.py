"""The one chunker (A12): Markdown cut along its structure, so that an edit stays local.

No overlap between chunks: text that moves from one chunk to its neighbour would change both, and with them two hashes.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from semantic_text_splitter import MarkdownSplitter

from pipelines.prefixes import NO_PREFIXES, Prefixes

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = 1
_NAME = re.compile(r"markdown-(\d{1,6})-v(\d+)(?: (\[.*\]))?", re.DOTALL)
_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t#]*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")


class UnknownChunker(ValueError):
    """A chunker's version that this code cannot cut like."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a page. `hash` is sha256 of `sent`.

    `heading`: the page's title and the headings above the chunk's beginning, outermost first, joined by " > ".
    """

    hash: bytes
    text: str
    heading: str | None
    prefix: str = ""

    @property
    def sent(self) -> str:
        """Exactly what a provider is sent."""
        return self.prefix + self.text


class Chunker:
    """Cuts Markdown into chunks of at most `size` characters, and says what stands before them and before queries."""

    def __init__(self, size: int, prefixes: Prefixes = NO_PREFIXES) -> None:
        self.size = size
        self.prefixes = prefixes

    @classmethod
    def of(cls, version: str) -> Self:
        """Return the chunker of a version. Raises `UnknownChunker`."""
        name = _NAME.fullmatch(version)
        prefixes = _prefixes(name[3]) if name is not None else None
        if name is None or prefixes is None or int(name[2]) != _VERSION or not int(name[1]):
            msg = f"its chunks are cut by {version!r}, which this version of LCL Spiders cannot: update it"
            raise UnknownChunker(msg)
        return cls(int(name[1]), prefixes)

    def but(self, *, size: int | None = None, query: str | None = None, passage: str | None = None) -> Chunker:
        """Return a chunker that is another in what is given."""
        given = {name: prefix for name, prefix in (("query", query), ("passage", passage)) if prefix is not None}
        return Chunker(self.size if size is None else size, replace(self.prefixes, **given))

    @property
    def version(self) -> str:
        """The name of this way of making texts: part of what decides whether a page is current.

        The prefixes are in it, as JSON: vectors of texts under other prefixes are those of another model.
        """
        name = f"markdown-{self.size}-v{_VERSION}"
        if self.prefixes == NO_PREFIXES:
            return name
        return f"{name} {json.dumps([self.prefixes.query, self.prefixes.passage], ensure_ascii=False)}"

    @cached_property
    def _splitter(self) -> MarkdownSplitter:
        return MarkdownSplitter(self.size)

    def cut(self, markdown: str, title: str | None = None) -> list[Chunk]:
        """Return the chunks of a page in order; a text that stands twice is there twice, with one hash.

        The page's title stands above all of its headings, unless the first of them says the same.
        """
        if not markdown.strip():
            return []
        offsets, paths = _heading_paths(markdown)
        prefix = self.prefixes.passage
        chunks = []
        for offset, text in self._splitter.chunk_indices(markdown):
            above = bisect_right(offsets, offset) - 1
            digest = hashlib.sha256((prefix + text).encode()).digest()
            chunks.append(Chunk(digest, text, _under(title, paths[above] if above >= 0 else None), prefix))
        return chunks


def _prefixes(given: str | None) -> Prefixes | None:
    """Read the prefixes of a version; None for what cannot be read."""
    if given is None:
        return NO_PREFIXES
    try:
        query, passage = json.loads(given)
    except ValueError:
        return None
    return Prefixes(query, passage) if isinstance(query, str) and isinstance(passage, str) else None


def _under(title: str | None, path: str | None) -> str | None:
    if not title or (path is not None and path.split(" > ")[0] == title):
        return path
    return title if path is None else f"{title} > {path}"


def distinct(chunks: Sequence[Chunk]) -> dict[bytes, Chunk]:
    """Return the chunks by hash; of a text that stands twice, the first."""
    return {chunk.hash: chunk for chunk in reversed(chunks)}


def _heading_paths(markdown: str) -> tuple[list[int], list[str]]:
    offsets: list[int] = []
    paths: list[str] = []
    stack: list[tuple[int, str]] = []
    fence: str | None = None
    offset = 0
    is_after_gap = True
    for line in markdown.splitlines(keepends=True):
        if marker := _FENCE.match(line):
            fence = marker[1] if fence is None else (None if marker[1] == fence else fence)
        # A comment in code that lost its fence looks like a heading, but stands among other lines.
        elif fence is None and is_after_gap and (heading := _HEADING.match(line.rstrip("\r\n"))):
            level = len(heading[1])
            stack = [entry for entry in stack if entry[0] < level]
            stack.append((level, heading[2]))
            offsets.append(offset)
            paths.append(" > ".join(text for _, text in stack))
        is_after_gap = not line.strip() or _HEADING.match(line.rstrip("\r\n")) is not None
        offset += len(line)
    return offsets, paths
