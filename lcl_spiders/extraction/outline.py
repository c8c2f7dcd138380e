"""A parsed page -> its outline, in one walk over its elements."""

from collections import Counter
from collections.abc import Callable, Collection
from functools import lru_cache

from lxml import etree
from lxml.html import HtmlElement

from lcl_spiders.extraction import tags
from lcl_spiders.extraction.blocks import Outline, Region
from lcl_spiders.extraction.gathering import BREAK, Gathering
from lcl_spiders.extraction.headings import main_heading
from lcl_spiders.extraction.names import AMBIGUOUS, SOFT
from lcl_spiders.extraction.parts import (
    holds_main,
    is_anchor_sign,
    is_hidden,
    is_too_much,
    is_too_much_text,
    part_of_site,
    text_length,
    unlinked_length,
)
from lcl_spiders.extraction.tables import is_data, markdown_of

_OF_SECTIONS = frozenset({"main", "article", "section", "li", "td", "figure", "blockquote"})
_OF_PAGES = frozenset({"header", "footer", "nav"})  # outside of a `main` that has the heading, however long they are
_DIGITS = str.maketrans("", "", "0123456789")
_TEXT = etree.XPath("string()")
_CODE_TEXTS = etree.XPath(".//text()[not(ancestor::button or ancestor::script or ancestor::style)] | .//br | .//div")

Absolute = Callable[[str], str | None]


def outline(tree: HtmlElement, absolute: Absolute | None = None) -> Outline:
    """Return the blocks and regions of a page's body, or of the whole tree where there is none.

    Links are text only, unless `absolute` gives the URLs with which they are written as Markdown's.
    """
    body = tree.find("body")
    root = tree if body is None else body
    walk = _Walk(root, absolute)
    if doubted := walk.doubted():
        walk = _Walk(root, absolute, doubted)
    found = walk.outline
    title = next((" ".join(_TEXT(each).split()) for each in tree.iter("title")), "")
    found.main = main_heading(found.blocks, title)
    return found


class _Walk:
    """The regions that are open, and the walk that opens and closes them."""

    def __init__(self, root: HtmlElement, absolute: Absolute | None, doubted: Collection[str] = ()) -> None:
        self.outline = Outline()
        self._text = Gathering(self.outline.blocks)
        self._absolute = absolute
        self._root = root
        self._doubted = doubted
        self._whole = text_length(root)
        self._has_main = any(next(main.iter("h1"), None) is not None for main in root.iter("main"))
        self._places: dict[tuple[int, str, str], int] = {}
        self._open: list[int] = []
        self._sections: list[bool] = []
        self._inside = 0  # how many elements are open that have headers and footers of their own
        self._unwalked: list[HtmlElement] = []  # met, and left without a look inside; their end is still to come
        self._said: str | None = None  # what the element that was met last is called, as far as that leaves a doubt
        self._tiles: list[HtmlElement] = []  # links that hold blocks
        self._walk()

    def doubted(self) -> set[str]:
        """Return the reasons that took so much text together that it is no frame: each dish of a "menu"."""
        if not is_too_much_text(self.outline.skipped_chars, self._whole):
            return set()
        taken: Counter[str] = Counter()
        for element, why in self.outline.skipped:
            if why in AMBIGUOUS and why not in self._doubted:
                taken[why] += max(unlinked_length(element), 0)
        return {why for why, chars in taken.items() if is_too_much_text(chars, self._whole)}

    def _walk(self) -> None:
        walker = etree.iterwalk(self._root, events=("start", "end"))
        text, parts, sorts = self._text, self._text.parts, tags.SORTS
        for event, element in walker:
            sort = sorts.get(element.tag, tags.BLOCK)
            if event == "start":
                if not self._start(element, sort):
                    walker.skip_subtree()
                    self._unwalked.append(element)
                    continue
                if written := element.text:
                    parts.append(written)
                    if text.links:
                        text.linked += len(written)
                continue
            if self._unwalked and self._unwalked[-1] is element:
                self._unwalked.pop()
            elif sort >= tags.SPAN:
                self._end(element, sort)
            if element is not self._root and (written := element.tail):
                parts.append(written)
                if text.links:
                    text.linked += len(written)

    def _start(self, element: HtmlElement, sort: int) -> bool:
        """Begin what an element begins; False where nothing in it is to be walked."""
        if sort <= tags.INLINE:
            # What scripts would write from it, as "in three days", is what it says itself.
            if sort == tags.TIME and not len(element) and not element.text and (stated := element.get("datetime")):
                self._text.parts.append(stated)
            return True
        if sort == tags.BREAK:
            self._text.parts.append(BREAK)
        elif sort == tags.CODE:
            self._text.begin_code()
        elif sort == tags.SKIP:
            # The question that opens its answer is a button in a heading.
            return element.tag == "button" and self._text.heading > 0
        elif self._is_left_out(element, sort):
            return False
        elif sort == tags.SPAN:
            self._text.separate()
        elif sort == tags.LINK:
            self._text.begin_link(element.get("href"))
            if len(element) and _is_tile(element):
                self._open_region(element)
                self._tiles.append(element)
        else:
            return self._start_block(element, sort)
        return True

    def _start_block(self, element: HtmlElement, sort: int) -> bool:
        text = self._text
        text.flush(self._region)
        if sort == tags.PRE:
            text.add("code", _code(element), 0, self._region)
            return False
        if sort == tags.TABLE and is_data(element):
            linked = sum(len(_TEXT(link)) for link in element.iter("a"))
            text.add("table", markdown_of(element), linked, self._region)
            return False
        if sort == tags.HEADING:
            text.heading = int(element.tag[1])
        elif sort == tags.LIST:
            text.begin_list(_first_number(element) if element.tag == "ol" else None)
        elif sort == tags.ITEM:
            text.begin_item()
        elif sort == tags.TERM:
            text.kind = "term"
        elif sort == tags.DEFINITION:
            text.marker = ": "
        elif sort == tags.QUOTE:
            text.quoted += 1
        self._open_region(element)
        return True

    def _end(self, element: HtmlElement, sort: int) -> None:
        text = self._text
        if sort == tags.LINK:
            if self._tiles and self._tiles[-1] is element:
                self._tiles.pop()
                self._close_region()
            href = element.get("href") if self._absolute is not None else None
            text.end_link(self._absolute(href) if self._absolute is not None and href is not None else None)
            return
        if sort == tags.SPAN:
            text.end_span()
            return
        if sort == tags.CODE:
            text.end_code()
            return
        if sort in {tags.BREAK, tags.SKIP}:
            return
        self._close_region()
        if sort == tags.HEADING:
            text.heading = 0
        elif sort == tags.LIST:
            text.end_list()
        elif sort == tags.ITEM:
            text.end_item()
        elif sort == tags.TERM:
            text.kind = "text"
        elif sort == tags.DEFINITION:
            text.marker = ""
        elif sort == tags.QUOTE:
            text.quoted -= 1

    @property
    def _region(self) -> int:
        return self._open[-1] if self._open else 0

    def _is_left_out(self, element: HtmlElement, sort: int) -> bool:
        """Note and say that an element is certainly no main text: hidden, an anchor's sign, part of the frame."""
        self._said = None
        if element is self._root or element.tag == "main":
            return False
        if sort == tags.LINK and is_anchor_sign(element):
            return True
        is_line = sort in {tags.LINK, tags.SPAN}
        chars = 0
        why = "hidden"
        if not is_hidden(element):
            said = part_of_site(element, is_inside=self._inside > 0)
            if said is None or (not is_line and holds_main(element)):
                return False
            if said in SOFT and not is_line:
                self._said = said
                return False
            why = said
            chars = text_length(element)
            is_certain = self._has_main and not self._inside and element.tag in _OF_PAGES
            if not is_certain and is_too_much(element, chars, self._whole):
                return False
            if why in self._doubted and unlinked_length(element) * 2 > chars:
                return False
        self.outline.skipped.append((element, why))
        self.outline.skipped_chars += chars
        return True

    def _open_region(self, element: HtmlElement) -> None:
        self._text.flush(self._region)
        regions = self.outline.regions
        parent = self._open[-1] if self._open else -1
        above = regions[parent].place if parent >= 0 else -1
        look = (above, element.tag, _look(element.get("class", "")))
        place = self._places.setdefault(look, len(self._places))
        is_section = element.tag in _OF_SECTIONS or element.get("role") == "main"
        self._inside += is_section
        self._sections.append(is_section)
        self._open.append(len(regions))
        regions.append(Region(element, parent, place, len(self.outline.blocks), reason=self._said))

    def _close_region(self) -> None:
        self._text.flush(self._region)
        region = self.outline.regions[self._open.pop()]
        region.end, region.last = len(self.outline.blocks), len(self.outline.regions)
        self._inside -= self._sections.pop()


def _code(element: HtmlElement) -> str:
    """Return the text of a code block as it is shown, without the button that copies it."""
    if next(element.iter("button", "script", "style", "br", "div"), None) is None:
        return str(_TEXT(element)).strip("\n").rstrip()
    parts: list[str] = []
    for node in _CODE_TEXTS(element):
        if isinstance(node, str):
            parts.append(node)
        elif node.tag == "br" or (parts and not parts[-1].endswith("\n")):  # each line may be an element of its own
            parts.append("\n")
    return "".join(parts).strip("\n").rstrip()


def _is_tile(link: HtmlElement) -> bool:
    """Return whether a link holds blocks, as a card that is all link does."""
    return any(tags.SORTS.get(child.tag, tags.BLOCK) > tags.SKIP for child in link)


def _first_number(element: HtmlElement) -> int:
    start = element.get("start", "1").strip()
    return int(start) if start.isdecimal() and len(start) < 6 else 1


@lru_cache(maxsize=4_096)
def _look(names: str) -> str:
    """Return the first class without its digits: what elements of one kind have in common."""
    return next((look for name in names.split() if (look := name.translate(_DIGITS).strip("-_"))), "")
