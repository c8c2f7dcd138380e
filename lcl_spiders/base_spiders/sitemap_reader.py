"""Every sitemap of a site, downloaded and taken in."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from scrapy import Request

from lcl_spiders.base_spiders import sitemaps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lcl_spiders.base_spiders.listed import ListedUrls
    from lcl_spiders.base_spiders.source import SourceSpider
    from lcl_spiders.extraction.feeds import Entry

MAX_SITEMAPS = 500
MAX_DEPTH = 5


async def read_sitemaps(spider: SourceSpider, listed: ListedUrls, urls: Iterable[str]) -> None:
    """Take in what these sitemaps list, and those that they are an index of; one that cannot be read is counted."""
    waiting = [(url, 0) for url in urls]
    met: set[str] = set()
    while waiting and len(met) < MAX_SITEMAPS and spider.run.stop_reason is None:
        url, depth = waiting.pop(0)
        if url in met or depth > MAX_DEPTH:
            continue
        met.add(url)
        is_index, entries = await _download(spider, url)
        if is_index:
            waiting += [(entry.url, depth + 1) for entry in entries]
        else:
            await listed.take_in(entries)


async def _download(spider: SourceSpider, url: str) -> tuple[bool, list[Entry]]:
    """Return whether a URL's sitemap is an index, and its entries; none for one that cannot be read."""
    run = spider.run
    try:
        response = await spider.download(Request(url))
    except Exception as error:  # noqa: BLE001 - a crawl does without, whatever the reason
        run.count("sitemaps/failed")
        spider.logger.info("%s: %s: %s", url, type(error).__name__, error)
        return False, []
    if response.status != HTTPStatus.OK:
        run.count("sitemaps/failed")
        return False, []
    try:
        found = await asyncio.to_thread(sitemaps.parse, response.body)
    except sitemaps.BadSitemap as error:
        run.count("sitemaps/malformed")
        spider.logger.warning("%s is no sitemap: %s", response.url, error)
        return False, []
    run.count("sitemaps/read")
    return found
