"""Feeds: RSS, Atom (RFC 4287) and JSON Feed (jsonfeed.org, version 1.1), each as the entries it lists."""

from __future__ import annotations

import codecs
import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from db.errors import one_line
from db.urls import canonical_url
from lcl_spiders.extraction.errors import BadFeed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_BYTES = 5 * 1024 * 1024
MAX_ENTRIES = 50_000  # as many as a sitemap may have
_PROLOGUE = 16_000  # bytes in which the root element must begin
_NO_ELEMENT = re.compile(r"<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE)
_ROOT = re.compile(r"<(?:[\w.-]+:)?(\w+)")
_FEEDS = frozenset({"rss", "rdf", "feed", "channel"})
_SITEMAPS = frozenset({"urlset", "sitemapindex"})
_XML_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_JSON_FEED = "jsonfeed.org/version/"


@dataclass(frozen=True, slots=True)
class Entry:
    """A URL that a feed or a sitemap lists, canonical.

    `lastmod` is Atom's `updated`, JSON Feed's `date_modified` or a sitemap's `lastmod`, as written. RSS has none: its
    pubDate says when an item came out.
    """

    url: str
    lastmod: str | None


@dataclass(frozen=True, slots=True)
class Feed:
    """What one document lists. `next_page` is the rest of a paged feed (RFC 5005 section 3)."""

    entries: Sequence[Entry]
    next_page: str | None = None


def is_sitemap(body: bytes) -> bool:
    """Return whether a body begins as a sitemap does: with its root, or as a list of URLs. It is no feed then."""
    root = _root(_without_mark(body, None)[0])
    return root is None or root in _SITEMAPS


def parse_feed(body: bytes, url: str, encoding: str | None = None) -> Feed:
    """Return what a feed lists that was found at `url`; `encoding` is the HTTP header's charset.

    Entries without a URL are left out one by one. Nothing is downloaded, and no entity is expanded. A MB that is made
    to hurt takes feedparser 10 s and more: `ExtractionPool.read_feed` bounds that. Raises `BadFeed`.
    """
    body, encoding = _without_mark(body, encoding)
    if len(body) > MAX_BYTES:
        msg = f"it has {len(body):,} bytes, and a feed may have {MAX_BYTES:,}"
        raise BadFeed(msg)
    root = _root(body)
    if root == "{":
        return _json_feed(body, url)
    if root in _FEEDS:
        return _xml_feed(body, url, encoding)
    msg = f"its root is <{root}>, which is no feed" if root else "it is neither XML nor JSON"
    raise BadFeed(msg)


def _without_mark(body: bytes, encoding: str | None) -> tuple[bytes, str | None]:
    """Return a body without its byte order mark, and its encoding: the mark says more than a header."""
    plain = utf8(body)
    return plain, encoding if plain == body else "utf-8"


def utf8(body: bytes) -> bytes:
    """Return a body without its byte order mark, and UTF-16 as UTF-8, without the declaration that says otherwise."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _XML_DECLARATION.sub("", body.decode("utf-16", "replace"), count=1).encode("utf-8", "replace")
    return body.removeprefix(codecs.BOM_UTF8)


def _root(body: bytes) -> str | None:
    """Return the name of a document's root element in lower case, "{" for JSON, None for anything else."""
    text = body[:_PROLOGUE].decode("utf-8", "replace").lstrip()
    if text.startswith("{"):
        return "{"
    found = _ROOT.search(_NO_ELEMENT.sub("", text)) if text.startswith("<") else None
    return found[1].lower() if found else None


def _xml_feed(body: bytes, url: str, encoding: str | None) -> Feed:
    import feedparser  # noqa: PLC0415 - 60 ms of each start, for feeds only

    content_type = f"application/xml; charset={encoding}" if encoding else "application/xml"
    parsed = feedparser.parse(
        io.BytesIO(body),  # a text would be taken for the name of a file or a URL
        response_headers={"content-type": content_type, "content-location": url},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    if not parsed.version or (parsed.bozo and not parsed.entries):
        why = parsed.get("bozo_exception")
        msg = f"it is no feed that can be read: {one_line(why) if why is not None else 'neither RSS nor Atom'}"
        raise BadFeed(msg)
    is_atom = parsed.version.startswith("atom")
    found = (
        # Read as a plain dict: feedparser gives `published` for an `updated` that is missing.
        _entry(url, entry.get("link"), dict.get(entry, "updated") if is_atom else None)
        for entry in parsed.entries[:MAX_ENTRIES]
    )
    return Feed(_whole(found), _next_link(url, parsed.feed.get("links", ())))


def _next_link(url: str, links: Iterable[dict[str, str]]) -> str | None:
    return next((_canonical(url, link.get("href")) for link in links if link.get("rel") == "next"), None)


def _json_feed(body: bytes, url: str) -> Feed:
    try:
        feed = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f"it is no JSON: {one_line(error)}"
        raise BadFeed(msg) from error
    items = feed.get("items")
    if _JSON_FEED not in str(feed.get("version")) or not isinstance(items, list):
        msg = "it is JSON, but no JSON Feed: that has a version and a list of items"
        raise BadFeed(msg)
    found = (
        _entry(url, item.get("url"), item.get("date_modified"))
        for item in items[:MAX_ENTRIES]
        if isinstance(item, dict)
    )
    return Feed(_whole(found), _canonical(url, feed.get("next_url")))


def _whole(found: Iterable[Entry | None]) -> list[Entry]:
    return [entry for entry in found if entry is not None]


def _entry(base: str, link: Any, lastmod: Any) -> Entry | None:
    url = _canonical(base, link)
    return Entry(url, lastmod if isinstance(lastmod, str) and lastmod else None) if url is not None else None


def _canonical(base: str, link: Any) -> str | None:
    if not isinstance(link, str) or not link.strip():
        return None
    try:
        return canonical_url(urljoin(base, link.strip()))
    except ValueError:
        return None
