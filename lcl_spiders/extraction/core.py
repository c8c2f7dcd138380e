"""Where on a page its main text stands: functions that mark what stands outside of it."""

from lxml.html import HtmlElement

from lcl_spiders.extraction.blocks import Block, Outline, Region, sums
from lcl_spiders.extraction.frame import mark
from lcl_spiders.extraction.groups import LEAST, Group
from lcl_spiders.extraction.tags import HEADINGS

_MOST, _NEARLY_ALL = 0.7, 0.95
_HALF = 0.5
_TEXTUAL = frozenset({"p", "ul", "ol", "dl", "li", "dd", "dt", "blockquote"})
_SHORT = 30
_COLUMN = 0.4  # of the main text's characters: a column beside it has no more
_PROSE = 80
"""Characters without links that make a block prose, which no menu has."""


def weights(outline: Outline, cards: Group | None) -> list[int]:
    """Return what each block counts as main text: its characters, without links unless it is part of a card."""
    found = [0 if block.reason is not None else max(block.chars - block.linked, 0) for block in outline.blocks]
    for number, block in enumerate(outline.blocks):
        if block.is_link:
            found[number] = 0
    for member in cards.regions if cards is not None else ():
        region = outline.regions[member]
        for number in range(region.start, region.end):
            if outline.blocks[number].reason is None:
                found[number] = outline.blocks[number].chars
    return found


def mark_outside(outline: Outline, found: list[int]) -> bool:
    """Mark what stands outside of the page's `main`, or its only `article`, if that holds most of the main text.

    Returns whether there is one that does.
    """
    mains = [region for region in outline.regions if _is_called(region.element, "main", role="main")]
    articles = [region for region in outline.regions if _is_called(region.element, "article", itemprop="articleBody")]
    has_main = _mark_all_but(outline, found, mains, _HALF, "outside <main>")
    return _mark_all_but(outline, found, articles, _MOST, "outside <article>") or has_main


def _is_called(element: HtmlElement, tag: str, **attributes: str) -> bool:
    return element.tag == tag or any(element.get(name) == value for name, value in attributes.items())


def _mark_all_but(outline: Outline, found: list[int], named: list[Region], least: float, reason: str) -> bool:
    named = [region for region in named if region.end > region.start]
    if len(named) != 1:
        return False
    region, before = named[0], sums(found)
    if before[region.end] - before[region.start] <= before[-1] * least:
        return False
    # The heading may stand above the columns, in a picture.
    mark((block for n, block in enumerate(outline.blocks[: region.start]) if n != outline.main), reason)
    mark(outline.blocks[region.end :], reason)
    return True


def mark_before_heading(outline: Outline, found: list[int]) -> None:
    """Mark what stands before the main heading, if most of the main text comes after it."""
    before = sums(found)
    if outline.main >= 0 and (before[-1] - before[outline.main]) * 2 > before[-1]:
        mark(outline.blocks[: outline.main], "before the main heading")


def mark_around(outline: Outline, found: list[int]) -> None:
    """Mark what stands outside of the smallest region that has the main heading and most of the main text.

    A region is left for a smaller one only where nothing else in it has a heading: sections of a text have one each,
    the sentences of a footer or of a column have none.
    """
    if outline.main < 0:
        return
    before = sums(found)
    root = 0
    while True:
        child = next((c for c in outline.children(root) if _holds(outline, c, outline.main)), None)
        if child is None:
            break
        region, parent = outline.regions[child], outline.regions[root]
        held = before[region.end] - before[region.start]
        others = [*range(parent.start, region.start), *range(region.end, parent.end)]
        has_heading = any(outline.blocks[n].level and outline.blocks[n].reason is None for n in others)
        if held < before[-1] * (_NEARLY_ALL if has_heading else _MOST):
            break
        root = child
    region = outline.regions[root]
    mark(outline.blocks[: region.start], "outside the main part")
    mark(outline.blocks[region.end :], "outside the main part")


def _holds(outline: Outline, number: int, block: int) -> bool:
    return outline.regions[number].start <= block < outline.regions[number].end


def mark_link_regions(outline: Outline, found: list[int]) -> None:
    """Mark the regions beside the main text that hold little but links: menus, lists of other pages, tags, pagers.

    A region that holds most of the main text is looked into; one that holds little of it is left out if half of its
    text is link and none of its blocks is prose.
    """
    before = sums(found)
    waiting = [0] if outline.regions else []
    while waiting:
        parent = waiting.pop()
        held = before[outline.regions[parent].end] - before[outline.regions[parent].start]
        for child in outline.children(parent):
            region = outline.regions[child]
            blocks = [block for block in outline.blocks[region.start : region.end] if block.reason is None]
            # A heading that is a link leads to itself; one without text below it goes with the ends.
            if not blocks or region.element.tag in HEADINGS:
                continue
            weight = before[region.end] - before[region.start]
            if weight * 2 > held or weight * 2 > before[-1]:
                waiting.append(child)
            elif region.start <= outline.main < region.end or _is_in_text(outline, parent, child, before):
                continue
            elif _are_links(blocks) and weight < sum(block.chars for block in blocks) * _HALF:
                mark(blocks, "links")
            elif _is_column(blocks) and weight <= min(before[-1] * _COLUMN, sum(b.chars for b in blocks) * _MOST):
                mark(blocks, "a column of links")
            else:
                waiting.append(child)


def _is_in_text(outline: Outline, parent: int, child: int, before: list[int]) -> bool:
    """Return whether a paragraph or a list stands between main text: its links belong to that."""
    region, around = outline.regions[child], outline.regions[parent]
    if region.element.tag not in _TEXTUAL or before[region.start] <= before[around.start]:
        return False
    if before[around.end] > before[region.end]:
        return True
    # The last section of an index is text as those before it are, which stand under headings of their own.
    return _is_headed(outline, region) and any(
        each.place == region.place and before[each.start] > before[around.start] and _is_headed(outline, each)
        for each in (outline.regions[other] for other in outline.children(parent))
        if each is not region
    )


def _is_headed(outline: Outline, region: Region) -> bool:
    above = outline.blocks[region.start - 1] if region.start else None
    return above is not None and above.kind == "heading" and above.reason is None


def _are_links(blocks: list[Block]) -> bool:
    chars = sum(block.chars for block in blocks)
    linked = sum(block.linked for block in blocks)
    return linked * 2 >= chars and all(block.chars - block.linked < _PROSE for block in blocks)


def _is_column(blocks: list[Block]) -> bool:
    """Return whether most blocks are links, as in a column of widgets with a sentence in one of them."""
    links = sum(block.is_link for block in blocks)
    return links >= LEAST and links * 2 >= len(blocks)


def mark_ends(outline: Outline, found: list[int]) -> None:
    """Mark the links before the first and after the last block that counts: between two paragraphs they are text."""
    counting = [
        number
        for number, block in enumerate(outline.blocks)
        if block.reason is None and block.kind != "heading" and found[number] and not _is_short_link(block)
    ]
    if not counting:
        return
    for number, block in enumerate(outline.blocks):
        is_outside = number < counting[0] or number > counting[-1]
        if is_outside and block.reason is None and number != outline.main:
            if block.kind == "heading":
                if number > counting[-1]:
                    mark([block], "a heading without text")
            elif _is_short_link(block) or block.is_link:
                mark([block], "links at the end" if number > counting[-1] else "links at the start")


def _is_short_link(block: Block) -> bool:
    return block.linked * 2 >= block.chars and block.chars - block.linked < _SHORT
