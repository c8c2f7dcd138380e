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
_PROSE = 80  # characters that are no link; a link or a date among so many is part of a sentence
_SENTENCE = 5  # words
_FEW = 0.2  # of the members; code in more is what people write in posts and sections, and no shop sells
_NUMBER = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Group:
    """Regions that stand in the same place of the same structure, in order, and what they have in common.

    Attributes:
        chars: of all members' text, `linked` of it being link.
        with_link: the share of members with a link that leads on, `with_fact` with a line that has a digit (a date, a
            price), both outside of sentences; `with_number` with any digit, `with_title` with a heading, or a link that
            stands alone, `with_code` with a code block.
        prose: the mean of the members' characters that are no link.
        is_distinct: members lead to different pages, as cards do and the lines of one card do not.
    """

    regions: tuple[int, ...]
    chars: int
    linked: int
    with_link: float
    with_fact: float
    with_number: float
    with_title: float
    with_code: float
    prose: float
    is_distinct: bool

    @property
    def are_cards(self) -> bool:
        """Whether the members are what a listing lists: each has a title, and a link that leads on, a date or a price.

        The sections of a text have titles, too, and links and years in their sentences.
        """
        is_told = self.with_title >= _MOST and max(self.with_link, self.with_fact) >= _MOST
        return is_told and self.is_distinct and self.with_code <= _FEW

    @property
    def are_posts(self) -> bool:
        """Whether the members are what people wrote: text, most of it no link, under no title of its own."""
        return self.with_title < _MOST and self.prose >= 40


def largest_group(outline: Outline) -> Group | None:
    """Return the group with the most text after the main heading, and in the `main` that holds this; None without one.

    Of groups with nearly as much text, as those of cards and of what each card holds, it is the one with the most
    members, and of these the outermost.
    """
    first, main = max(outline.main, 0), outline.main_region()
    last = len(outline.blocks) if main is None else main.end
    places: defaultdict[int, list[int]] = defaultdict(list)
    for number, region in enumerate(outline.regions):
        if first <= region.start < region.end <= last and region.element.tag not in _SINGLE:
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
        sum(_has_link(_lines(blocks)) for _, blocks in members) / count,
        sum(any(map(_is_fact, _lines(blocks))) for _, blocks in members) / count,
        sum(any(_NUMBER.search(block.text) for block in blocks) for _, blocks in members) / count,
        sum(map(_has_title, (blocks for _, blocks in members))) / count,
        sum(any(block.kind == "code" for block in blocks) for _, blocks in members) / count,
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


def leads_on(block: Block) -> bool:
    """Return whether a link is a line's own, or stands at its end, as in "The bridge was opened … Read more"."""
    if not block.link:
        return False
    return block.chars - block.linked < _PROSE or (block.link_text != "" and block.text.endswith(block.link_text))


def _has_link(blocks: list[Block]) -> bool:
    """Return whether a link leads on from a member; without a heading, any link may be its title."""
    if any(block.kind == "heading" for block in blocks):
        return any(map(leads_on, blocks))
    return any(block.link for block in blocks)


def _lines(blocks: list[Block]) -> list[Block]:
    """Return the blocks of a member but for the items of a list that it has among others."""
    return [block for number, block in enumerate(blocks) if not (number and block.marker)]


def _is_fact(block: Block) -> bool:
    """Return whether one of its lines is a date, a price, a place with a number: short, and no sentence."""
    if block.kind == "table":
        return True
    return block.kind in {"text", "term"} and any(
        len(line) < _PROSE
        and _NUMBER.search(line) is not None
        and not (line.endswith((".", "!", "?")) and len(line.split()) >= _SENTENCE)
        for line in block.text.split("\n")
    )


def _weight(outline: Outline, group: Group) -> float:
    text = sum(min(_ENOUGH, sum(block.chars for block in _shown(outline, number))) for number in group.regions)
    return text * (3 if group.with_number >= _MOST else 1)
