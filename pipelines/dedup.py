"""First pipeline: one item for each page and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem

from pipelines.run import Run

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class DedupPipeline:
    """Drops an item whose page has had one in this run: the URLs in a write must be unique."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen: set[str] = set()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Pass the first item of a page on."""
        url = ItemAdapter(item)["url"]
        if url in self._seen:
            self._run.count("pages/repeated")
            msg = f"{url} was met before in this run"
            raise DropItem(msg, log_level="DEBUG")
        self._seen.add(url)
        return item
