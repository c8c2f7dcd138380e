"""What a page says about itself in its markup: title, language, canonical URL, links, robots directives."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin

from lxml.html import HtmlElement

from db.urls import canonical_url
from lcl_spiders.extraction.page import one_line

MAX_OUTLINKS = 2_000
MAX_LINK_LENGTH = 2_083
"""Longer links are left out, as Scrapy's URLLENGTH_LIMIT does with requests."""

_CACHED_LINKS = 8_192
_CACHED_LENGTH = 300
_SUBTAG = re.compile(r"\s*([A-Za-z]{2,3})(?![A-Za-z0-9])")
# Another scheme, or a forgotten "http://", which urljoin takes for the page's own folder.
_NO_PAGE = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*:|https?:/*$", re.IGNORECASE)
_SPACE = " \t\n\r\f"


@dataclass(frozen=True, slots=True)
class Markup:
    """The fields of `ExtractedPage` that are read from single elements, and the `base` of links; nothing is guessed."""

    title: str | None
    language: str | None
    canonical: str | None
    is_canonical_malformed: bool
    base: str
    outlinks: tuple[str, ...]
    noindex: bool
    nofollow: bool


def read_markup(tree: HtmlElement, url: str) -> Markup:
    """Read a parsed page that was found at `url`, in one pass over its elements."""
    title = stated_title = base = canonical = None
    links: list[str] = []
    directives: set[str] = set()
    for element in tree.iter("a", "area", "title", "meta", "link", "base"):
        tag = element.tag
        if tag in {"a", "area"}:
            href = element.get("href")
            if href is not None and "nofollow" not in element.get("rel", "").lower().split():
                links.append(href)
        elif tag == "title":
            if title is None and getattr(element.getparent(), "tag", None) != "svg":
                title = one_line(element.text_content())
        elif tag == "meta":
            name = element.get("name", element.get("property", "")).strip().lower()
            if name == "robots":
                directives.update(re.split(r"[\s,]+", element.get("content", "").lower()))
            elif name == "og:title" and stated_title is None:
                stated_title = one_line(element.get("content", ""))
        elif tag == "base":
            base = element.get("href") if base is None else base
        elif canonical is None and "canonical" in element.get("rel", "").lower().split():
            canonical = element.get("href")
    base = _joined(url, base) or url
    own_url = canonical_or_none(base, canonical)
    return Markup(
        title=title or stated_title,
        language=_language(tree),
        canonical=own_url,
        is_canonical_malformed=bool(canonical and canonical.strip()) and own_url is None,
        base=base,
        outlinks=outlinks(base, links),
        noindex=not directives.isdisjoint({"noindex", "none"}),
        nofollow=not directives.isdisjoint({"nofollow", "none"}),
    )


def outlinks(base: str, hrefs: Iterable[str]) -> tuple[str, ...]:
    """Return the canonical http(s) URLs that `hrefs` lead to, each once, in order, at most `MAX_OUTLINKS`."""
    found: dict[str, None] = {}
    directory = urljoin(base, ".")
    # A table of contents has thousands of links to the sections of a few pages.
    for link in dict.fromkeys(href.partition("#")[0].strip(_SPACE) for href in hrefs):
        if not link or len(link) > MAX_LINK_LENGTH or _NO_PAGE.match(link):
            continue
        try:
            if link[0] in "?;" or len(link) > _CACHED_LENGTH:
                target = canonical_url(urljoin(base, link))
            else:
                target = _resolved(directory, link)
        except ValueError:
            continue
        if len(target) <= MAX_LINK_LENGTH:
            found[target] = None
            if len(found) == MAX_OUTLINKS:
                break
    return tuple(found)


# The same navigation stands on each page of a site. A relative path depends on its page's folder only
# (RFC 3986 section 5.2.3), so that one entry serves all pages of a folder.
@lru_cache(maxsize=_CACHED_LINKS)
def _resolved(directory: str, link: str) -> str:
    return canonical_url(urljoin(directory, link))


def _language(tree: HtmlElement) -> str | None:
    for attribute in ("lang", "xml:lang"):
        subtag = _SUBTAG.match(tree.get(attribute, ""))
        if subtag and subtag[1].lower() != "und":
            return str(subtag[1].lower())
    return None


def _joined(url: str, href: str | None) -> str | None:
    try:
        return urljoin(url, href.strip(_SPACE)) if href else None
    except ValueError:
        return None


def canonical_or_none(base: str, href: str | None) -> str | None:
    """Return what a page at `base` names as its canonical URL, None when that is no URL of a page."""
    target = _joined(base, href)
    try:
        return canonical_url(target) if target and len(target) <= MAX_LINK_LENGTH else None
    except ValueError:
        return None
