"""The ceiling: Scrapy following every link of a site, doing nothing with the pages. `python -m benchmarks.raw URL`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.http import HtmlResponse
from scrapy.linkextractors import LinkExtractor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.http import Response

SETTINGS = {
    "LOG_LEVEL": "ERROR",
    "CONCURRENT_REQUESTS": 16,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 16,
    "TELNETCONSOLE_ENABLED": False,
    "REMOTE_CONTROL_ENABLED": False,
}


class RawSpider(Spider):
    name = "raw"

    def __init__(self, url: str) -> None:
        super().__init__(start_urls=[url])
        self.links = LinkExtractor(allow=rf"^http://{urlsplit(url).netloc}/")
        self.pages = 0

    def parse(self, response: Response) -> Iterator[Request]:
        if isinstance(response, HtmlResponse):
            self.pages += 1
            for link in self.links.extract_links(response):
                yield Request(link.url)

    def closed(self, reason: str) -> None:
        began = self.crawler.stats.get_value("start_time")
        print(f"pages {self.pages} seconds {(datetime.now(UTC) - began).total_seconds()}")


if __name__ == "__main__":
    process = AsyncCrawlerProcess(SETTINGS)
    process.crawl(RawSpider, url=sys.argv[1])
    process.start()
