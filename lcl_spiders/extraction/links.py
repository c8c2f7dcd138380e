"""The links of a parsed page that a listing is read by, as elements with the URLs that they lead to: pure functions."""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urljoin, urlsplit

from lxml.html import HtmlElement

from lcl_spiders.extraction.markup import outlinks

MAX_LINKS = 5_000
"""A page has no more that are looked at."""


def base_of(tree: HtmlElement, url: str) -> str:
    """Return the URL against which the links of a page are resolved."""
    base = next((found for element in tree.iter("base") if (found := element.get("href"))), None)
    try:
        return urljoin(url, base.strip()) if base else url
    except ValueError:
        return url


def target_of(element: HtmlElement, base: str) -> str | None:
    """Return the canonical URL that a link leads to; None for one that is `nofollow`, or leads to no page."""
    href = element.get("href")
    if href is None or "nofollow" in element.get("rel", "").lower().split():
        return None
    found = outlinks(base, [href])
    return found[0] if found else None


def selected(tree: HtmlElement, url: str, css: str) -> list[str]:
    """Return the URLs of the links that a CSS selector finds, or that are inside of what it finds, each once."""
    base = base_of(tree, url)
    found = (target_of(link, base) for element in tree.cssselect(css) for link in _links_in(element))
    return list(dict.fromkeys(target for target in found if target is not None and target != url))


def folder_of(url: str) -> str:
    """Return what the URLs of pages of one kind have in common: the path without its end, the names in the query."""
    parts = urlsplit(url)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return f"{parts.path.rstrip('/').rpartition('/')[0]}/?{'&'.join(names)}"


def classes(element: HtmlElement) -> list[str]:
    """Return an element's classes in lower case."""
    return str(element.get("class", "")).lower().split()


def text_of(element: HtmlElement) -> str:
    """Return an element's text on one line."""
    return " ".join(element.text_content().split())


def _links_in(element: HtmlElement) -> Iterable[HtmlElement]:
    return [element] if element.get("href") is not None else element.iter("a", "area")
