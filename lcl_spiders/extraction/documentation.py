"""Documentation: all that stands in the page's own body, also tables of contents and indexes, which are links only."""

from lcl_spiders.extraction.blocks import Outline, sums
from lcl_spiders.extraction.core import mark_outside
from lcl_spiders.extraction.frame import mark
from lcl_spiders.extraction.groups import Group

_MOST = 0.6


def mark_documentation(outline: Outline, _: Group | None = None) -> None:
    """Mark what stands outside of the page's `main`, or else of what has its first heading and most of its text."""
    found = [block.chars if block.reason is None else 0 for block in outline.blocks]
    if mark_outside(outline, found):
        return
    before = sums(found)
    heading = next(
        (n for n, block in enumerate(outline.blocks) if block.kind == "heading" and block.reason is None), None
    )
    if heading is None or not before[-1]:
        return
    root = 0
    while True:
        child = next(
            (c for c in outline.children(root) if outline.regions[c].start <= heading < outline.regions[c].end), None
        )
        if child is None:
            break
        region = outline.regions[child]
        if before[region.end] - before[region.start] < before[-1] * _MOST:
            break
        root = child
    region = outline.regions[root]
    mark(outline.blocks[: region.start], "outside the document")
    mark(outline.blocks[region.end :], "outside the document")
