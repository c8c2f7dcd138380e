"""The heading that a page is called by."""

from collections.abc import Sequence

from lcl_spiders.extraction.blocks import Block

_DEEPEST, _SHORTEST = 3, 4  # level, characters of a heading that may name a page
_NEARLY_ALL = 0.9


def main_heading(blocks: Sequence[Block], title: str) -> int:
    """Return the number of the block that is a page's main heading, -1 without one; `title` is its `<title>`.

    The title names it, as a rule before the name of the site, which may be a heading as well: what the title begins
    with comes first, then the level, and what it only ends with is the site's name. Where the title names none, it is
    the last h1 that nearly all of the text follows, or the first h1.
    """
    wanted = title.casefold()
    named = [
        (not wanted.startswith(text), block.level, number)
        for number, block in enumerate(blocks)
        if 1 <= block.level <= _DEEPEST
        and len(block.text) >= _SHORTEST
        and (text := block.text.casefold()) in wanted
        and not _is_site(text, wanted)
    ]
    if named:
        return min(named)[-1]
    first = -1
    after, whole = 0, sum(block.chars for block in blocks)
    for number in range(len(blocks) - 1, -1, -1):
        after += blocks[number].chars
        if blocks[number].level == 1 and not _is_site(blocks[number].text.casefold(), wanted):
            first = number
            if after >= whole * _NEARLY_ALL:
                return number
    return first


def _is_site(text: str, title: str) -> bool:
    return title.endswith(text) and not title.startswith(text)
