"""An article: prose under one heading, with whatever else a writer puts between it."""

from lcl_spiders.extraction.blocks import Outline
from lcl_spiders.extraction.core import (
    mark_around,
    mark_before_heading,
    mark_ends,
    mark_link_regions,
    mark_outside,
    weights,
)
from lcl_spiders.extraction.groups import Group


def mark_article(outline: Outline, _: Group | None = None) -> None:
    """Mark what is no part of the article: what stands outside of it, lists of links beside it, and at its ends."""
    before = [block.reason for block in outline.blocks]
    found = weights(outline, None)
    mark_outside(outline, found)
    mark_before_heading(outline, found)
    mark_around(outline, weights(outline, None))
    found = weights(outline, None)
    mark_link_regions(outline, found)
    mark_ends(outline, found)
    _keep_main(outline, before)


def _keep_main(outline: Outline, before: list[str | None]) -> None:
    """Give a page of which nothing but headings is left what stands in its `main`: two links may be all that it has."""
    region = outline.main_region()
    if region is None or any(block.reason is None and block.kind != "heading" for block in outline.blocks):
        return
    for number in range(region.start, region.end):
        outline.blocks[number].reason = before[number]
