"""A thread: posts of a forum, questions and answers, comments that are all there is."""

from lcl_spiders.extraction.blocks import Outline
from lcl_spiders.extraction.core import mark_around, mark_before_heading, mark_link_regions, mark_outside, weights
from lcl_spiders.extraction.frame import mark
from lcl_spiders.extraction.groups import Group

_SHORT = 60


def mark_thread(outline: Outline, posts: Group) -> None:
    """Mark what is neither a post nor what stands above the first one; of a post, the links for answering it."""
    found = weights(outline, posts)
    mark_outside(outline, found)
    mark_before_heading(outline, found)
    mark_around(outline, weights(outline, posts))
    found = weights(outline, posts)
    mark_link_regions(outline, found)
    first, last = outline.regions[posts.regions[0]], outline.regions[posts.regions[-1]]
    mark(
        (b for n, b in enumerate(outline.blocks[: first.start]) if b.is_link and n != outline.main),
        "links at the start",
    )
    mark(outline.blocks[last.end :], "after the last post")
    for number in posts.regions:
        mark((block for block in outline.within(number) if block.is_link and block.chars < _SHORT), "links of a post")
