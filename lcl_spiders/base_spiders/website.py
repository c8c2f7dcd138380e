"""A whole website: from its start URL, its sitemaps, and what the index knows of it already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db import pages
from lcl_spiders.base_spiders import sitemaps
from lcl_spiders.base_spiders.refresh import BATCH, FEW, RefreshSpider
from lcl_spiders.base_spiders.sitemap_reader import read_sitemaps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from scrapy import Request

    from lcl_spiders.base_spiders.listed import ListedUrls


class WebsiteSpider(RefreshSpider):
    """Crawl a website: its start URLs, the sitemaps that its robots.txt names, and links within its domain.

    `scrapy crawl website -a url=https://…` registers a site and crawls it; a registered one is crawled by its slug.
    """

    name = "website"

    async def read_lists(self, listed: ListedUrls, robots_txt: bytes) -> None:
        """Take in the sitemaps that robots.txt names."""
        if self.config.sitemaps:
            await read_sitemaps(self, listed, sitemaps.named_in_robots(robots_txt, self.start_url))

    async def first_requests(self) -> AsyncIterator[Request]:
        """Yield the start URLs, unless they were checked lately."""
        standing, known = await self.known_among(self.starts)
        for url in self.frontier.unmet(self.starts):
            if url in standing and not standing[url].is_due:
                continue
            if request := self.ask_for(url, known=known.get(url), is_start=True):
                yield request

    async def replay(self, skipped: Sequence[int]) -> AsyncIterator[Request]:
        """Yield requests for new pages to which the stored links of pages lead that are not asked for (A15, C3)."""
        run = self.run
        links = await run.runtime.use_connection(
            lambda connection: pages.unknown_outlinks(
                connection,
                run.source.id,
                due=run.due,
                page_ids=skipped,
                prefixes=self.frontier.prefixes,
                limit=self.config.max_pages,
            )
        )
        for at in range(0, len(links), BATCH):
            for request in await self.follow(links[at : at + BATCH], depth=1):
                yield request
            await self.pending.fallen_to(FEW)
