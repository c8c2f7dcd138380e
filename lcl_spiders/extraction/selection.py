"""The parts of a page that a source names by CSS selectors."""

from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache

from lxml import etree
from lxml.cssselect import CSSSelector
from lxml.html import HtmlElement, builder


def select(tree: HtmlElement, selectors: Sequence[str]) -> list[HtmlElement]:
    """Return the elements that any of the selectors matches, each once, in document order."""
    return list(_compiled(", ".join(selectors))(tree)) if selectors else []


def exclude(tree: HtmlElement, selectors: Sequence[str]) -> None:
    """Take the elements that the selectors match out of the tree, and leave the text that follows them."""
    for element in select(tree, selectors):
        if element.getparent() is not None:  # the root stays: a tree without it is none
            element.drop_tree()


def only(tree: HtmlElement, selectors: Sequence[str]) -> HtmlElement | None:
    """Return a page of copies of the elements that the selectors match, None when they match none.

    What stands inside an element that was matched is not repeated.
    """
    chosen: list[HtmlElement] = []
    for element in select(tree, selectors):
        # In document order, what holds an element comes before it, and nothing that was chosen in between.
        if not chosen or all(above is not chosen[-1] for above in element.iterancestors()):
            chosen.append(element)
    if not chosen:
        return None
    body = builder.BODY()
    for element in chosen:
        part = deepcopy(element)
        part.tail = None
        if part.tag in {"html", "body"}:
            part.tag = "div"
        body.append(part)
    return builder.HTML(body)


def serialised(tree: HtmlElement) -> str:
    """Return a tree as HTML."""
    html: str = etree.tostring(tree, encoding="unicode", method="html")
    return html


@lru_cache(maxsize=256)
def _compiled(selectors: str) -> CSSSelector:
    return CSSSelector(selectors, translator="html")
