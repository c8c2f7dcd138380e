"""Structures that repeat on a page: cards of a listing, posts of a thread. Pure functions over an outline."""

import re
from collections import defaultdict
from dataclasses import dataclass

from lcl_spiders.extraction.blocks import Block, Outline

LEAST = 3
"""Fewer are no group."""

_SINGLE = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "td", "th", "ul", "ol", "dl", "dt", "table", "tbody", "body"}
)
_TITLE = 4  # characters of a link that may be a title
_ENOUGH = 400  # characters of a member that count: a group is not its largest member
_NEARLY = 0.9
_LARGEST = 0.6  # of a group's text: a page's header, body and footer are no cards
_MOST = 0.7  # of the members have what makes them cards or posts
_NUMBER = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Group:
    """Regions that stand in the same place of the same structure, in order, and what they have in common.

    Attributes:
        chars: of all members' text, `linked` of it being link.
        with_link: the share of members with a link, `with_number` with a digit (a date, a price), `with_title` with a
            heading, or a link that stands alone.
        prose: the mean of the members' characters that are no link.
        is_distinct: members lead to different pages, as cards do and the lines of one card do not.
    """

    regions: tuple[int, ...]
    chars: int
    linked: int
    with_link: float
    with_number: float
    with_title: float
    prose: float
    is_distinct: bool

    @property
    def are_cards(self) -> bool:
        """Whether the members are what a listing lists: each has a title, and a link or a number."""
        return self.with_title >= _MOST and max(self.with_link, self.with_number) >= _MOST and self.is_distinct

    @property
    def are_posts(self) -> bool:
        """Whether the members are what people wrote: text, most of it no link, under no title of its own."""
        return self.with_title < _MOST and self.prose >= 40


def largest_group(outline: Outline, first: int = 0) -> Group | None:
    """Return the group with the most text among those that begin at block `first` or later; None without one.

    Of groups with nearly as much text, as those of cards and of what each card holds, it is the one with the most
    members, and of these the outermost.
    """
    places: defaultdict[int, list[int]] = defaultdict(list)
    for number, region in enumerate(outline.regions):
        if region.start >= first and region.end > region.start and region.element.tag not in _SINGLE:
            places[region.place].append(number)
    found = []
    for numbers in places.values():
        if len(numbers) >= LEAST:
            group = _group(outline, numbers)
            if group is not None and (group.are_cards or group.are_posts):
                found.append((_weight(outline, group), group))
    if not found:
        return None
    most = max(weight for weight, _ in found)
    near = [group for weight, group in found if weight >= most * _NEARLY]
    return min(near, key=lambda group: (-len(group.regions), group.regions[0]))


def _group(outline: Outline, numbers: list[int]) -> Group | None:
    members = [(number, _shown(outline, number)) for number in numbers]
    members = [(number, blocks) for number, blocks in members if blocks]
    if len(members) < LEAST:
        return None
    count = len(members)
    links = [link for _, blocks in members if (link := next((b.link for b in blocks if b.link), None)) is not None]
    sizes = [sum(block.chars for block in blocks) for _, blocks in members]
    chars = sum(sizes)
    if max(sizes) > chars * _LARGEST:
        return None
    linked = sum(block.linked for _, blocks in members for block in blocks)
    return Group(
        tuple(number for number, _ in members),
        chars,
        linked,
        sum(any(block.link for block in blocks) for _, blocks in members) / count,
        sum(any(_NUMBER.search(block.text) for block in blocks) for _, blocks in members) / count,
        sum(map(_has_title, (blocks for _, blocks in members))) / count,
        (chars - linked) / count,
        len(set(links)) >= len(links) * _MOST,
    )


def _shown(outline: Outline, region: int) -> list[Block]:
    start, end = outline.span(region)
    return [block for block in outline.blocks[start:end] if block.reason is None]


def _has_title(blocks: list[Block]) -> bool:
    """Return whether a card says what it is about: a heading, or a first line that begins with or is a link."""
    if any(block.kind == "heading" for block in blocks):
        return True
    return any(len(block.link_text) >= _TITLE for block in blocks[:2])


def _weight(outline: Outline, group: Group) -> float:
    text = sum(min(_ENOUGH, sum(block.chars for block in _shown(outline, number))) for number in group.regions)
    return text * (3 if group.with_number >= _MOST else 1)
