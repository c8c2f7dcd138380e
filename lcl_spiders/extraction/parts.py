"""Which part of a site an element is, by what it says of itself: pure functions over one element."""

import re

from lxml import etree
from lxml.html import HtmlElement

from lcl_spiders.extraction import tags
from lcl_spiders.extraction.names import reason

_OF_SECTIONS_TOO = frozenset({"header", "footer", "aside"})
_TOO_MUCH = 0.4  # of a page's text without links: no part of a site's frame has as much, whatever it is called
_ANCHORS = frozenset({"¶", "#", "§", "🔗"})
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_NO_LETTERS = re.compile(r"[\W_]+")
_TEXT = etree.XPath("string()")
_SHOWN = etree.XPath(".//text()[not(parent::script or parent::style)]")


def part_of_site(element: HtmlElement, *, is_inside: bool) -> str | None:
    """Return what `names.reason` reads from an element, None where that says nothing of the site.

    `is_inside`: it stands in a section, which has a header, a footer, notes and a table of contents of its own; these
    are told from those of the site by names only. An id that repeats a heading is an anchor and no name.
    """
    tag = element.tag
    said = "div" if is_inside and tag in _OF_SECTIONS_TOO else tag
    why = reason(said, element.get("role"), element.get("class", ""), element.get("id", ""))
    if why is not None and (_is_anchor(element) or (is_inside and tag == "nav" and _is_contents(element))):
        return None
    return why


def is_hidden(element: HtmlElement) -> bool:
    """Return whether an element says that it is not shown (html.spec.whatwg.org, section 6.1; CSS).

    Panels of tabs are shown one at a time, and what is hidden until it is found is to be found: they are text.
    """
    hidden = element.get("hidden")
    if element.get("role") == "tabpanel" or (hidden is not None and hidden.strip().lower() == "until-found"):
        return False
    if hidden is not None:
        return True
    style = element.get("style")
    return style is not None and _UNSEEN.search(style) is not None


def is_anchor_sign(link: HtmlElement) -> bool:
    """Return whether a link is the sign beside a heading that leads to it: "¶"."""
    return len(link) == 0 and link.text is not None and link.text.strip() in _ANCHORS


def shown_texts(element: HtmlElement) -> list[str]:
    """Return the texts of an element in order, without scripts and style sheets."""
    return [str(text) for text in _SHOWN(element)]


def text_length(element: HtmlElement) -> int:
    """Return the characters of an element's text; scripts and style sheets in it are none."""
    return len(_TEXT(element)) - sum(len(code.text or "") for code in element.iter("script", "style"))


def unlinked_length(element: HtmlElement) -> int:
    """Return the characters of an element's text that are no link."""
    return text_length(element) - sum(len(_TEXT(link)) for link in element.iter("a"))


def holds_main(element: HtmlElement) -> bool:
    """Return whether an element holds what no part of a site's frame holds."""
    return next(element.iter("main", "h1"), None) is not None


def is_too_much(element: HtmlElement, chars: int, whole: int) -> bool:
    """Return whether an element of `chars` characters has too much text without links to be a part of the frame."""
    return is_too_much_text(chars, whole) and is_too_much_text(unlinked_length(element), whole)


def is_too_much_text(chars: int, whole: int) -> bool:
    """Return whether so many of a page's characters are no part of its frame, whatever it is called."""
    return chars > whole * _TOO_MUCH


def _is_anchor(element: HtmlElement) -> bool:
    """Return whether an element's id only repeats the heading in it, as generators of documentation write anchors."""
    identifier = element.get("id")
    if element.tag in tags.HEADINGS:
        return identifier is not None
    if identifier is None or element.get("class") is not None:
        return False
    heading = next(element.iter(*tags.HEADINGS), None)
    return heading is not None and _slug(identifier) in _slug(str(_TEXT(heading)))


def _slug(text: str) -> str:
    return _NO_LETTERS.sub("-", text.lower()).strip("-")


def _is_contents(element: HtmlElement) -> bool:
    """Return whether a `nav` is the table of contents of the text it stands in (DPUB-ARIA 1.1, docutils)."""
    return element.get("role") == "doc-toc" or not {"contents", "toc"}.isdisjoint(element.get("class", "").split())
