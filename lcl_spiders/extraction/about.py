"""What a page's structured data say of it, where they agree with the page: title, description, author, dates.

Read from JSON-LD (schema.org), Open Graph (ogp.me) and `<meta>`. Structured data are written by templates: they may be
those of another page, of the site, or of the day on which it was built. What does not agree is not taken (A24).
"""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lxml.html import HtmlElement

from lcl_spiders.extraction.page import one_line

_LARGEST = 500_000  # characters of one script; its objects take some ten times as much memory
_DEEPEST = 4
_LONGEST = 2_000
_WORD = re.compile(r"\w{4,}")  # shorter ones stand in every title
_AGREES = 0.6
"""The share of the words of a stated title that the page's own title or heading has."""

_OF_THE_SITE = frozenset({"Organization", "WebSite", "NewsMediaOrganization", "BreadcrumbList", "SearchAction"})
"""Types of schema.org that a template writes on every page; their names end the titles of all pages."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class About:
    """What was stated and agrees with the page; None is what was not stated, or not so that it can be believed.

    `published` and `modified` are ISO 8601 as stated, with the zone only if one was stated; whole days are dates.
    """

    title: str | None = None
    description: str | None = None
    author: str | None = None
    published: str | None = None
    modified: str | None = None


def read_about(tree: HtmlElement, title: str | None, heading: str | None) -> About:
    """Return what a page's structured data say; `title` is its `<title>`, `heading` the text of its main heading."""
    metas = _metas(tree)
    own = " ".join(filter(None, (title, heading)))
    stated = [
        data
        for data in _objects(tree)
        if (name := _name(data)) is not None and _agrees(name, own, heading) and _OF_THE_SITE.isdisjoint(_types(data))
    ]
    found: dict[str, str | None] = {
        "title": None,
        "description": None,
        "author": None,
        "published": None,
        "modified": None,
    }
    for data in stated:
        found["description"] = found["description"] or _text(data.get("description"))
        found["author"] = found["author"] or _author(data.get("author"))
        found["published"] = found["published"] or iso(data.get("datePublished"))
        found["modified"] = found["modified"] or iso(data.get("dateModified"))
    shared = metas.get("og:title")
    if shared is None or _agrees(shared, own, heading):
        found["description"] = found["description"] or metas.get("description") or metas.get("og:description")
        found["author"] = found["author"] or _person(metas.get("author"))
        found["published"] = found["published"] or iso(metas.get("article:published_time"))
        found["modified"] = found["modified"] or iso(metas.get("article:modified_time"))
    if found["published"] and found["modified"] and found["modified"][:10] < found["published"][:10]:
        found["modified"] = None  # one of them is wrong; a page is published once, and rebuilt whenever
    names = [shared, *(_name(data) for data in stated)]
    if title is not None and heading is not None and heading != title and heading in title:
        # "Opening hours | The museum": what heads the page and is shared is its title, and the rest the site's name.
        found["title"] = next((heading for name in names if name == heading), None)
    return About(**found)


def iso(value: object) -> str | None:
    """Return a date or time in ISO 8601 (RFC 3339 section 5.6) as it was stated, None for anything else."""
    if not isinstance(value, str) or not _DATE.match(value.strip()):
        return None
    try:
        dt.datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return value.strip()


def _metas(tree: HtmlElement) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in tree.iter("meta"):
        name = element.get("name", element.get("property", "")).strip().lower()
        content = one_line(element.get("content", "")[:_LONGEST])
        if name and content is not None:
            found.setdefault(name, content)
    return found


def _objects(tree: HtmlElement) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a page's JSON-LD; what is no JSON is passed over."""
    for script in tree.iter("script"):
        if script.get("type", "").partition(";")[0].strip().lower() != "application/ld+json":
            continue
        text = script.text or ""
        if len(text) > _LARGEST:
            continue
        try:
            yield from _flat(json.loads(text, strict=False))
        except (ValueError, RecursionError):
            continue


def _flat(value: object, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for each in value:
            yield from _flat(each, depth + 1)
    elif isinstance(value, dict):
        yield value
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            yield from _flat(value.get(key), depth + 1)


def _types(data: Mapping[str, Any]) -> list[str]:
    value = data.get("@type")
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _name(data: Mapping[str, Any]) -> str | None:
    return _text(data.get("headline")) or _text(data.get("name"))


def _text(value: object) -> str | None:
    return one_line(value[:_LONGEST]) if isinstance(value, str) else None


def _author(value: object) -> str | None:
    if isinstance(value, list):
        names = [name for each in value if (name := _author(each)) is not None]
        return ", ".join(names) or None
    return _person(_text(value.get("name")) if isinstance(value, dict) else _text(value))


def _person(name: str | None) -> str | None:
    """Return a name, None for an address of a page or of mail."""
    return None if name is None or "://" in name or "@" in name else name


def _agrees(stated: str, own: str, heading: str | None) -> bool:
    """Return whether a stated title is the page's own; the name of the site is in its title, but not in its heading."""
    words = set(_WORD.findall(stated.lower()))
    headed = set(_WORD.findall((heading or "").lower()))
    is_own = bool(words) and len(words & set(_WORD.findall(own.lower()))) >= len(words) * _AGREES
    return is_own and (not headed or len(words & headed) >= min(len(words), len(headed)) * _AGREES)
