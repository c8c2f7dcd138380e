"""What a page is made of to extraction: blocks of text in order, and the regions that hold them.

A block is what stands between two breaks: a heading, a paragraph, an item of a list, a code block, a table of data. A
region is an element that holds blocks; blocks stand in the order of the page, so that a region is a range of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from lxml.html import HtmlElement


@dataclass(slots=True)
class Block:
    """`text` is Markdown without the marks of its block; `chars` counts what is shown of it, `linked` what is link.

    Attributes:
        kind: "text", "heading", "code", "table", "term" or "card".
        region: index of the innermost region that holds it.
        level: of a heading 1 to 6, else 0.
        marker: "- ", "3. " or ": " where a list's item or a definition begins, else "".
        indent: spaces before the text, for what stands in lists.
        quoted: levels of quotation.
        link: the first link in it, as written; None without one. `link_text` is its text.
        reason: why it is left out, None while it is not.
    """

    kind: str
    text: str
    chars: int
    linked: int
    region: int
    level: int = 0
    marker: str = ""
    indent: int = 0
    quoted: int = 0
    link: str | None = None
    link_text: str = ""
    reason: str | None = None

    @property
    def is_link(self) -> bool:
        """Whether hardly anything of it is not link."""
        return self.linked * 5 >= self.chars * 4 > 0


@dataclass(slots=True)
class Region:
    """An element that holds the blocks `start` to `end` (exclusive) and the regions after it up to `last` (exclusive).

    `place` is equal for regions whose ancestors are equal (tags and first classes). `reason` is what its names say it
    is, as far as that leaves a doubt (`names.SOFT`): what is certain is not walked.
    """

    element: HtmlElement
    parent: int
    place: int
    start: int
    end: int = 0
    last: int = 0
    reason: str | None = None


@dataclass(slots=True)
class Outline:
    """The blocks and regions of a page; region 0 is the whole of it.

    `skipped` holds the elements that were not walked, with the reason, `skipped_chars` the characters of their text.
    `main` is the number of the block that is the page's main heading, -1 without one.
    """

    blocks: list[Block] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    skipped: list[tuple[HtmlElement, str]] = field(default_factory=list)
    skipped_chars: int = 0
    main: int = -1

    def within(self, region: int) -> list[Block]:
        """Return the blocks of a region."""
        return self.blocks[self.regions[region].start : self.regions[region].end]

    def span(self, region: int) -> tuple[int, int]:
        """Return the range of a region's blocks; to a definition belong the terms before it."""
        start, end = self.regions[region].start, self.regions[region].end
        if self.regions[region].element.tag == "dd":
            while start > 0 and self.blocks[start - 1].kind == "term":
                start -= 1
        return start, end

    def above(self, region: int) -> Iterator[int]:
        """Yield a region and those that hold it, outwards."""
        while region >= 0:
            yield region
            region = self.regions[region].parent

    def main_region(self) -> Region | None:
        """Return the `main` that holds the main heading, None where there is no such."""
        numbers = self.above(self.blocks[self.main].region) if self.main >= 0 else ()
        return next((self.regions[n] for n in numbers if self.regions[n].element.tag == "main"), None)

    def children(self, region: int) -> Iterator[int]:
        """Yield the regions that stand directly in a region."""
        child, last = region + 1, self.regions[region].last
        while child < last:
            yield child
            child = self.regions[child].last


def sums(values: Iterable[int]) -> list[int]:
    """Return the sum of what stands before each value, and at last of all."""
    return list(accumulate(values, initial=0))
