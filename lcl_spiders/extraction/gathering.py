"""The text of a walk over a page, gathered until a block is whole."""

import re
from typing import Final

from lcl_spiders.extraction.blocks import Block

BREAK: Final = "\x1f"
"""Stands for a line break while a block is gathered; no page has it, since `utf8_body` takes control characters out."""

_JOINT: Final = "\x1e"
_BETWEEN_WORDS = re.compile(r"(?<=\w)\x1e+(?=\w)")
_OF_A_LINK = len("[]()")


class Gathering:
    """What was met since the last break, and in which lists, quotations and headings it stands.

    The walk puts texts into `parts`, counts in `linked` those that are link, and in `links` and `code` the elements
    that are open. `parts` stays one list, so that a walk can hold on to it.
    """

    def __init__(self, blocks: list[Block]) -> None:
        self.parts: list[str] = []
        self.linked = 0
        self.links = 0
        self.code = 0
        self.heading = 0
        self.quoted = 0
        self.kind = "text"
        self.marker = ""
        self._code_start = 0
        self._span_end = -1  # how many parts there were when a span ended
        self._blocks = blocks
        self._link: str | None = None
        self._link_text = ""
        self._link_start = 0
        self._unseen = 0  # characters that are Markdown's and no text
        self._indents = [0]
        self._counters: list[int | None] = []

    def begin_list(self, first: int | None) -> None:
        """Enter a list, an ordered one with its first number."""
        self._counters.append(first)

    def end_list(self) -> None:
        """Leave the innermost list."""
        self._counters.pop()

    def begin_item(self) -> None:
        """Enter an item of a list: its first block has the marker, the others are indented as far."""
        self.marker = "- "
        if self._counters and (number := self._counters[-1]) is not None:
            self.marker = f"{number}. "
            self._counters[-1] = number + 1
        self._indents.append(self._indents[-1] + len(self.marker))

    def end_item(self) -> None:
        """Leave an item."""
        self.marker = ""
        self._indents.pop()

    def begin_code(self) -> None:
        """Enter inline code."""
        self.code += 1
        if self.code == 1:
            self._code_start = len(self.parts)
            self.parts.append("`")

    def end_code(self) -> None:
        """Leave inline code; of an empty one nothing stays."""
        if self.code == 0:  # it was no inline code
            return
        self.code -= 1
        if self.code == 0:
            if self.parts and self.parts[-1] == "`":
                self.parts.pop()
            else:
                self.parts.append("`")

    def begin_link(self, href: str | None) -> None:
        """Enter a link."""
        self.links += 1
        self._link_start = len(self.parts)
        if not self._link_text:
            self._link = href

    def end_link(self, url: str | None) -> None:
        """Leave a link; with a `url` it is written as Markdown's, if it began in this block."""
        self.links -= 1
        text = _line("".join(self.parts[self._link_start :]))
        if not text:
            return
        if not self._link_text and self._link is not None:
            self._link_text = text
        if url is not None:
            self.parts[self._link_start :] = ["[", *self.parts[self._link_start :], f"]({url})"]
            self._unseen += len(url) + _OF_A_LINK

    def separate(self) -> None:
        """Set two spans apart where a style sheet does: "20:00" and "Town hall" of a card. Code is left as it is."""
        if self.parts and len(self.parts) == self._span_end and not self.code and not self.heading:
            self.parts.append(_JOINT)

    def end_span(self) -> None:
        """Leave a span."""
        self._span_end = len(self.parts)

    def flush(self, region: int) -> None:
        """Make a block, or several where empty lines part them, of what was gathered."""
        if self.code:  # what holds blocks is no inline code
            del self.parts[self._code_start]
            self.code = 0
        if not self.parts:
            return
        joined = "".join(self.parts)
        self.parts.clear()
        self._span_end = -1
        linked, unseen, link, link_text = self.linked, self._unseen, self._link, self._link_text
        self.linked = self._unseen = self._link_start = 0
        self._link_text = ""
        if self.links:
            link_text = link_text or _line(joined)  # a tile that is all link has several blocks
        else:
            self._link = None
        if _JOINT in joined:
            joined = _BETWEEN_WORDS.sub(" ", joined).replace(_JOINT, "")
        if joined.isspace():
            return
        if BREAK not in joined:
            self.add(self.kind, " ".join(joined.split()), linked, region, link, link_text, unseen)
            return
        lines = [" ".join(line.split()) for line in joined.split(BREAK)]
        whole = sum(map(len, lines)) or 1
        for paragraph in _paragraphs(lines):
            text = (" " if self.heading else "\n").join(paragraph)
            share = len(text) / whole
            self.add(self.kind, text, int(linked * share), region, link, link_text, int(unseen * share))

    def add(
        self,
        kind: str,
        text: str,
        linked: int,
        region: int,
        link: str | None = None,
        link_text: str = "",
        unseen: int = 0,
    ) -> None:
        """Add a block, unless it is empty."""
        if not text:
            return
        is_heading = self.heading > 0 and kind == "text"
        marker, self.marker = self.marker, ""
        chars = max(len(text) - unseen, 1)
        self._blocks.append(
            Block(
                kind="heading" if is_heading else kind,
                text=text,
                chars=chars,
                linked=min(linked, chars),
                region=region,
                level=self.heading if is_heading else 0,
                marker=marker,
                indent=self._indents[-1] - (len(marker) if marker != ": " else 0),
                quoted=self.quoted,
                link=link,
                link_text=link_text,
            )
        )


def _line(text: str) -> str:
    return " ".join(text.replace(BREAK, " ").replace(_JOINT, " ").split())


def _paragraphs(lines: list[str]) -> list[list[str]]:
    """Return lines in groups that empty lines part."""
    found: list[list[str]] = [[]]
    for line in lines:
        if line:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [group for group in found if group]
