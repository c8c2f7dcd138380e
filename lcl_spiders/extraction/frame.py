"""The frame of a site round its main text: what is recognised of it, and why. Functions that mark blocks of an outline.

Each finds its evidence in the page itself: names, what a heading says, a copyright sign, a form, links without text.
What holds the main heading is never marked by name, and nothing here looks for the main text: see `core`.
"""

from collections.abc import Iterable, Sequence

from lxml.html import HtmlElement

from lcl_spiders.extraction.blocks import Block, Outline, sums
from lcl_spiders.extraction.parts import holds_main
from lcl_spiders.extraction.phrases import COOKIES, COPYRIGHT, heading_of

_NOTICE = 800  # characters that a consent notice has at most
_FORM = 500
_MOST_BELOW = 5  # times as much text as stands above: more comments are what the page is about
_FOOTER = 0.4  # of the page's text: more is no footer, whoever holds the copyright, and no form
_PROSE = 80  # characters without links that make a block prose
_SINGLE = frozenset({"p", "li", "dd", "dt", "td"})  # a link in a sentence is nothing to click it away with
_DEPTH = 4  # ancestors, html and body among them, of what a site puts over its pages
_EDGE = 0.15  # of the blocks, at either end, where a consent notice stands


def mark_frame(outline: Outline) -> None:
    """Mark what the page itself says is no main text."""
    mark_named(outline)
    mark_headed(outline)
    _mark_copyright(outline)
    _mark_notices(outline)
    _mark_forms(outline)


def mark(blocks: Iterable[Block], reason: str) -> None:
    """Leave blocks out, for the first reason that was found."""
    for block in blocks:
        if block.reason is None:
            block.reason = reason


def mark_named(outline: Outline) -> None:
    """Mark regions that say by their names what they are, unless one kind of them holds most of the page's text.

    A thread may be made of comments, and a page may have all of its text in a column that is called a sidebar.
    """
    named: dict[str, list[int]] = {}
    for number, region in enumerate(outline.regions):
        if region.reason is not None and region.end > region.start:
            named.setdefault(region.reason, []).append(number)
    if not named:
        return
    whole = sum(block.chars - block.linked for block in outline.blocks)
    for reason, numbers in named.items():
        covered = {n for number in numbers for n in range(outline.regions[number].start, outline.regions[number].end)}
        held = sum(outline.blocks[n].chars - outline.blocks[n].linked for n in covered)
        if held * 2 <= whole:
            mark((outline.blocks[n] for n in covered), reason)


def mark_headed(outline: Outline) -> None:
    """Mark what stands under a heading that says so: related pages, comments, ways to share.

    The whole region that the heading begins, or else what follows up to the next heading of its level. Comments and
    related pages come after the main text, and are never most of it.
    """
    prose = sums(0 if block.is_link else block.chars for block in outline.blocks)
    links = sums(1 if block.link else 0 for block in outline.blocks)
    sections: list[list[int]] = []
    for number, block in enumerate(outline.blocks):
        if block.reason is not None or not (block.kind == "heading" or block.chars <= 60) or number == outline.main:
            continue
        said = heading_of(block.text)
        if said is None:
            continue
        if block.kind != "heading" and said != "share" and not _begins_region(outline, number):
            continue
        sections = sections or _next_headings(outline.blocks)
        start, end = _headed(outline, number, sections)
        if said == "share" and prose[end] - prose[start] > 200:
            end = number + 1
        if prose[start] * _MOST_BELOW < prose[end] - prose[start]:
            continue
        if said == "related" and links[end] - links[start] < 2:
            continue
        mark(outline.blocks[start:end], said)


def _begins_region(outline: Outline, number: int) -> bool:
    return any(
        outline.regions[above].start == number and outline.regions[above].end > number + 1
        for above in outline.above(outline.blocks[number].region)
    )


def _next_headings(blocks: Sequence[Block]) -> list[list[int]]:
    """Return for each level of headings, 0 being any, which block after each is the next of it or above."""
    found = []
    for level in range(7):
        after = [len(blocks)] * len(blocks)
        for number in range(len(blocks) - 2, -1, -1):
            other = blocks[number + 1]
            is_next = other.kind == "heading" and (not level or other.level <= level)
            after[number] = number + 1 if is_next else after[number + 1]
        found.append(after)
    return found


def _headed(outline: Outline, number: int, sections: list[list[int]]) -> tuple[int, int]:
    """Return the range of blocks that stand under a heading; `sections` are its `_next_headings`."""
    block = outline.blocks[number]
    best = None
    for above in outline.above(block.region):
        region = outline.regions[above]
        if region.start != number or region.start <= outline.main < region.end:
            break
        if region.end > number + 1:
            best = region
    if best is not None:
        return best.start, best.end
    # The heading and what it stands above are neighbours.
    parent = next(
        (outline.regions[above] for above in outline.above(block.region) if outline.regions[above].end > number + 1),
        outline.regions[0],
    )
    end = min(parent.end, sections[block.level][number])
    return number, outline.main if number < outline.main < end else end


def _mark_copyright(outline: Outline) -> None:
    """Mark the footer: the largest region round a copyright notice that is no large part of the page."""
    main = outline.main
    whole = sum(block.chars for block in outline.blocks)
    last = max((n for n, block in enumerate(outline.blocks) if _is_notice(block)), default=None)
    if last is None or last <= main:
        return
    before = sums(block.chars for block in outline.blocks)
    marked = (last, last + 1)
    for above in outline.above(outline.blocks[last].region):
        region = outline.regions[above]
        if region.start <= main or before[region.end] - before[region.start] > whole * _FOOTER:
            break
        marked = region.start, region.end
    # What a text says of its own copyright is followed by more of it.
    if not any(block.chars - block.linked >= _PROSE and block.reason is None for block in outline.blocks[marked[1] :]):
        mark(outline.blocks[marked[0] : marked[1]], "footer")


def _is_notice(block: Block) -> bool:
    return block.chars < 300 and block.kind == "text" and COPYRIGHT.search(block.text) is not None


def _mark_notices(outline: Outline) -> None:
    """Mark the notice of consent: a few sentences on cookies at either end of the page, with something to click."""
    count = len(outline.blocks)
    main, before = outline.main, sums(block.chars for block in outline.blocks)
    for number, block in enumerate(outline.blocks):
        is_at_edge = number < max(main, count * _EDGE) or number >= count * (1 - _EDGE)
        if block.reason is None and is_at_edge and block.chars < _NOTICE and COOKIES.search(block.text):
            region = _largest_small(outline, block.region, _NOTICE, before)
            if region is not None and _is_notice_of_consent(outline, region):
                mark(outline.within(region), "cookie")


def _is_notice_of_consent(outline: Outline, region: int) -> bool:
    """Return whether a few sentences stand outside of the main part, with a button, or high in the page with a link."""
    element = outline.regions[region].element
    above = list(element.iterancestors())
    if any(each.tag in {"main", "article"} or each.get("role") == "main" for each in above):
        return False
    if next(element.iter("button", "input"), None) is not None:
        return True
    return element.tag not in _SINGLE and len(above) <= _DEPTH and next(element.iter("a"), None) is not None


def _mark_forms(outline: Outline) -> None:
    """Mark the few words round a field for an e-mail address or a search: a newsletter, a log-in, a search box."""
    body = outline.regions[0].element if outline.regions else None
    if body is None:
        return
    before = sums(block.chars for block in outline.blocks)
    numbers: dict[HtmlElement, int] | None = None
    seen: set[int] = set()
    for field in body.iter("input"):
        if field.get("type", "").lower() not in {"email", "search", "password"}:
            continue
        if numbers is None:
            numbers = {region.element: number for number, region in enumerate(outline.regions)}
        region = next((numbers[above] for above in field.iterancestors() if above in numbers), 0)
        marked = _largest_small(outline, region, min(_FORM, int(before[-1] * _FOOTER)), before)
        if marked is None or marked in seen:
            continue
        seen.add(marked)
        if not holds_main(outline.regions[marked].element):
            mark(outline.within(marked), "form")


def _largest_small(outline: Outline, region: int, most: int, before: list[int]) -> int | None:
    """Return the largest region round another that has at most `most` characters and not the main heading."""
    found = None
    for number in outline.above(region):
        each = outline.regions[number]
        is_small = before[each.end] - before[each.start] <= most
        if number == 0 or each.start <= outline.main < each.end or not is_small:
            break
        found = number
    return found
