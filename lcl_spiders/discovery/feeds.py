"""Feeds as they are met by a prober: RSS and Atom (feedparser), and JSON Feed 1.0 and 1.1 (jsonfeed.org)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin

import feedparser  # type: ignore[import-untyped]  # published without types

from db.urls import canonical_url

_XML = (b"<?xml", b"<rss", b"<feed", b"<rdf:rdf", b"<!doctype rss")
_JSON_FEED = "https://jsonfeed.org/version/"
_BOM = b"\xef\xbb\xbf"


def entries(body: bytes, url: str) -> list[str] | None:
    """Return the canonical URLs that a feed's entries lead to, "" for one without; None for what is no feed."""
    start = body.removeprefix(_BOM).lstrip()[:20].lower()
    if start.startswith(b"{"):
        found = _json_entries(body)
    elif start.startswith(_XML):
        found = _xml_entries(body)
    else:
        return None
    return None if found is None else [_canonical(url, link) for link in found]


def _json_entries(body: bytes) -> list[Any] | None:
    try:
        feed = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    if not str(feed.get("version", "")).startswith(_JSON_FEED):
        return None
    items = feed.get("items")
    return [item.get("url") for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _xml_entries(body: bytes) -> list[Any] | None:
    feed = feedparser.parse(body, sanitize_html=False, resolve_relative_uris=False)
    return [entry.get("link") for entry in feed.entries] if feed.version else None


def _canonical(base: str, link: Any) -> str:
    try:
        return canonical_url(urljoin(base, link.strip())) if isinstance(link, str) and link.strip() else ""
    except ValueError:
        return ""
