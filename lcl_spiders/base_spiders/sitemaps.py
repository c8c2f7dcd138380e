"""Sitemaps as sitemaps.org defines them: where robots.txt names them, and what they list."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

import lxml.etree
from scrapy.utils.gz import gunzip
from scrapy.utils.sitemap import Sitemap

from db.urls import canonical_url
from lcl_spiders.extraction.feeds import Entry, utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 50 * 1024 * 1024  # sitemaps.org: at most 50 MB uncompressed and 50,000 URLs
MAX_ENTRIES = 50_000
MAX_ROBOTS = 500 * 1024  # RFC 9309 section 2.5: at least this much must be read
_GZIP_MAGIC = b"\x1f\x8b"


class BadSitemap(ValueError):
    """A body that is no sitemap."""


def named_in_robots(robots_txt: bytes, base_url: str) -> list[str]:
    """Return the canonical URLs of the sitemaps that a robots.txt names; malformed ones are left out."""
    lines = robots_txt[:MAX_ROBOTS].decode("utf-8-sig", "replace").splitlines()
    fields = (line.partition("#")[0].partition(":") for line in lines)
    named = (value for field, _, value in fields if field.strip().lower() == "sitemap" and value.strip())
    return [url for value in named if (url := _canonical(value, base_url))]


def parse(body: bytes) -> tuple[bool, list[Entry]]:
    """Return whether a body is a sitemap index, and its entries. Malformed entries are left out one by one.

    Takes XML and the plain list of URLs that sitemaps.org allows; in UTF-8, or UTF-16 with a byte order mark; also
    gzipped. Raises `BadSitemap`, also for a text without any URL.
    """
    if body.startswith(_GZIP_MAGIC):
        try:
            body = gunzip(body, max_size=MAX_BYTES)
        except Exception as error:  # zlib, gzip and Scrapy's own size error: all mean that it cannot be read
            raise BadSitemap(str(error) or type(error).__name__) from error
    body = utf8(body)
    if body.lstrip()[:1] != b"<":
        if not (listed := list(_lines(body))):
            msg = "it is neither XML nor a list of URLs"
            raise BadSitemap(msg)
        return False, listed
    try:
        sitemap = Sitemap(body)
        kind = sitemap.type
        entries = [entry for entry, _ in zip(_entries(sitemap), range(MAX_ENTRIES), strict=False)]
    except (lxml.etree.Error, StopIteration, ValueError, SyntaxError) as error:
        raise BadSitemap(str(error) or type(error).__name__) from error
    if kind not in ("urlset", "sitemapindex"):
        msg = f"its root is <{kind}>, neither urlset nor sitemapindex"
        raise BadSitemap(msg)
    return kind == "sitemapindex", entries


def _entries(sitemap: Sitemap) -> Iterator[Entry]:
    for found in sitemap:
        if url := _canonical(found["loc"]):
            yield Entry(url, found.get("lastmod") or None)


def _lines(body: bytes) -> Iterator[Entry]:
    for line in body.decode("utf-8", "replace").splitlines()[:MAX_ENTRIES]:
        if url := _canonical(line):
            yield Entry(url, None)


def _canonical(url: str, base: str = "") -> str | None:
    try:
        return canonical_url(urljoin(base, url.strip()))
    except ValueError:
        return None
