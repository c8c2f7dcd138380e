"""Blocks -> Markdown, in one way for all kinds of pages, so that an edit of a page is an edit of few lines.

CommonMark 0.31, with the tables of GitHub Flavored Markdown and the definition lists of PHP Markdown Extra. Emphasis is
left out, since it costs tokens and says nothing to a search; inline code is kept.
"""

import re
from collections.abc import Iterable

from lcl_spiders.extraction.blocks import Block

# What would be read as the mark of a heading or a quotation where a line begins with it.
_MARK = re.compile(r"^(?=#{1,6}(?:\s|$)|>)", re.MULTILINE)
_FENCES = re.compile(r"`{3,}")


def write(blocks: Iterable[Block]) -> str:
    """Return the Markdown of blocks in their order, without those that are left out."""
    lines: list[str] = []
    before: Block | None = None
    for block in blocks:
        if block.reason is not None:
            continue
        if before is not None and not _belongs_to(block, before):
            lines.append("")
        lines.append(_drawn(block))
        before = block
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Return a text without what would be read as the mark of a heading or a quotation."""
    return _MARK.sub(r"\\", text) if text[0] in "#>" or "\n#" in text or "\n>" in text else text


def fenced(code: str) -> str:
    """Return code as a fenced block, by a fence that it has no run of."""
    fence = "`" * max([3, *(len(run) + 1 for run in _FENCES.findall(code))])
    return f"{fence}\n{code}\n{fence}"


def _belongs_to(block: Block, before: Block) -> bool:
    """Return whether no empty line parts two blocks: items of one list, a term and its definition."""
    if block.marker == ": " or block.kind == before.kind == "term":
        return before.kind == "term"
    is_item = block.marker != "" and before.kind in {"text", "heading"}
    return is_item and (before.marker not in {"", ": "} or before.indent > 0)


def _drawn(block: Block) -> str:
    text = block.text
    if block.kind == "heading":
        text = f"{'#' * block.level} {' '.join(text.split())}"
    elif block.kind == "code":
        text = fenced(text)
    elif block.kind != "card":  # whose lines are written already
        text = escaped(text)
    if not (block.marker or block.indent or block.quoted):
        return text
    quote = "> " * block.quoted
    first = f"{quote}{' ' * block.indent}{block.marker}"
    others = f"{quote}{' ' * (block.indent + (len(block.marker) if block.marker != ': ' else 0))}"
    return f"\n{others}".join((first + text).split("\n"))
