"""A listing: cards of events, products or pages. Each becomes one block, so that a changed card changes one chunk."""

from collections.abc import Callable

from lcl_spiders.extraction.blocks import Block, Outline
from lcl_spiders.extraction.core import mark_around, mark_before_heading, mark_link_regions, mark_outside, weights
from lcl_spiders.extraction.frame import mark
from lcl_spiders.extraction.groups import Group, leads_on
from lcl_spiders.extraction.markdown import escaped, fenced

PART_OF_A_CARD = "part of a card"
"""The reason of blocks whose text stands in that of their card."""

_ACTION = 30
"""Characters of a link that only leads on: "Read more", "Book now"."""


def mark_listing(outline: Outline, cards: Group) -> None:
    """Mark what is neither a card nor what introduces the cards."""
    found = weights(outline, cards)
    mark_outside(outline, found)
    mark_before_heading(outline, found)
    mark_around(outline, weights(outline, cards))
    found = weights(outline, cards)
    mark_link_regions(outline, found)
    first, last = outline.regions[cards.regions[0]], outline.regions[cards.regions[-1]]
    mark(
        (b for n, b in enumerate(outline.blocks[: first.start]) if b.is_link and n != outline.main),
        "links at the start",
    )
    mark((block for block in outline.blocks[last.end :] if block.is_link), "links at the end")


def join_cards(outline: Outline, cards: Group, absolute: Callable[[str], str | None] | None) -> None:
    """Make each card one block: its lines in their order, the title as a link where `absolute` gives it a URL."""
    for number in cards.regions:
        start, end = outline.span(number)
        blocks = [block for block in outline.blocks[start:end] if block.reason is None]
        if not blocks:
            continue
        title = title_of(blocks)
        link = title.link if title is not None else None
        link = link or next((block.link for block in blocks if leads_on(block)), None)
        is_tile = all(block.is_link for block in blocks)
        lines = []
        for block in blocks:
            url = absolute(link) if block is title and link is not None and absolute is not None else None
            if url is not None and f"]({url})" not in block.text:
                lines.append(_with_link(block, url))
            elif block.kind == "code":
                lines.append(fenced(block.text))
            elif block is title or is_tile:
                lines.append(escaped(block.text))
            elif line := _without_action(block, link):
                lines.append(escaped(line))
        first = blocks[0]
        mark(blocks[1:], PART_OF_A_CARD)
        first.kind, first.level, first.marker, first.indent, first.quoted = "card", 0, "", 0, 0
        first.text = "\n".join(lines)
        first.chars = sum(block.chars for block in blocks)


def title_of(blocks: list[Block]) -> Block | None:
    """Return the block of a card that is its title: the first heading, else the first link, else none."""
    heading = next((block for block in blocks if block.kind == "heading"), None)
    return heading or next((block for block in blocks if block.link_text), None)


def _without_action(block: Block, link: str | None) -> str:
    """Return a line of a card without the link that only leads on to what the title leads to."""
    text = block.link_text
    if block.link != link or not text or len(text) > _ACTION or any(map(str.isdigit, text)):
        return block.text
    return block.text.removesuffix(text).removeprefix(text).strip()


def _with_link(block: Block, url: str) -> str:
    """Return a title's line with its link: round the text that is linked there, or else all of it."""
    if block.link_text and block.link_text in block.text:
        before, _, after = block.text.partition(block.link_text)
        return f"{before}[{_escaped(block.link_text)}]({url}){after}"
    return f"[{_escaped(block.text)}]({url})"


def _escaped(text: str) -> str:
    return " ".join(text.replace("[", r"\[").replace("]", r"\]").split())
