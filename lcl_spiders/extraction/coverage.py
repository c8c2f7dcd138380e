"""What was kept of a page against what is there: the comparison that sends a poor result to the next way."""

from dataclasses import dataclass

from lcl_spiders.extraction.blocks import Block, Outline
from lcl_spiders.extraction.groups import Group

LEAST_PROSE = 0.5
"""The share of a page's prose that a good result holds at least."""

SAID = frozenset({"comments", "related", "share", "cookie", "footer", "form", "shell"})
"""Reasons that the page itself gives, by what it says there; the others are concluded from where a text stands."""

_PROSE = 80  # characters without links that make a block prose
_LITTLE = 400  # characters of prose; on a page with less, a menu's or a footer's sentence decides nothing


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares from 0 to 1 of what a page shows: its prose, its headings of level 1 to 3, its cards or posts."""

    prose: float
    headings: float
    repeated: float

    @property
    def is_poor(self) -> bool:
        """Whether so much is missing that another way should be tried."""
        return self.prose < LEAST_PROSE or self.repeated < LEAST_PROSE


def coverage(outline: Outline, group: Group | None) -> Coverage:
    """Return what the blocks that are not left out hold of the page."""
    prose = [block for block in outline.blocks if _is_prose(block) and block.reason not in SAID]
    headings = [block for block in outline.blocks if 1 <= block.level <= 3]
    there = sum(block.chars - block.linked for block in prose)
    kept = sum(block.chars - block.linked for block in prose if block.reason is None)
    members = group.regions if group is not None else ()
    with_text = sum(any(block.reason is None for block in outline.within(number)) for number in members)
    return Coverage(
        kept / there if there > _LITTLE else 1.0,
        _share(sum(block.reason is None for block in headings), len(headings)),
        _share(with_text, len(members)),
    )


def _is_prose(block: Block) -> bool:
    return block.kind != "heading" and block.chars - block.linked >= _PROSE


def _share(kept: int, there: int) -> float:
    return kept / there if there else 1.0
