"""The one chunker (A12): Markdown cut along its structure, so that an edit stays local.

No overlap between chunks: text that moves from one chunk to its neighbour would change both, and with them two hashes.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from semantic_text_splitter import MarkdownSplitter

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = 1
_NAME = re.compile(r"^markdown-(\d{1,6})-v(\d+)$")
_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t#]*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")


class UnknownChunker(ValueError):
    """A chunker's version that this code cannot cut like."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a page. `hash` is sha256 of `text`, which is exactly what a provider is sent.

    `heading`: the page's title and the headings above the chunk's beginning, outermost first, joined by " > ".
    """

    hash: bytes
    text: str
    heading: str | None


class Chunker:
    """Cuts Markdown into chunks of at most `size` characters."""

    def __init__(self, size: int) -> None:
        self.size = size

    @classmethod
    def of(cls, version: str) -> Self:
        """Return the chunker of a version. Raises `UnknownChunker`."""
        name = _NAME.match(version)
        if name is None or int(name[2]) != _VERSION or not int(name[1]):
            msg = f"its chunks are cut by {version!r}, which this version of LCL Spiders cannot: update it"
            raise UnknownChunker(msg)
        return cls(int(name[1]))

    @property
    def version(self) -> str:
        """The name of this way of cutting: part of what decides whether a page is current."""
        return f"markdown-{self.size}-v{_VERSION}"

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
        chunks = []
        for offset, text in self._splitter.chunk_indices(markdown):
            above = bisect_right(offsets, offset) - 1
            digest = hashlib.sha256(text.encode()).digest()
            chunks.append(Chunk(digest, text, _under(title, paths[above] if above >= 0 else None)))
        return chunks


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
