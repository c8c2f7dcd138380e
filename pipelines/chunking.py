"""Third pipeline: the text of a new or changed page, cut into chunks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from itemadapter import ItemAdapter

from pipelines.chunker import Chunker
from pipelines.outcome import Outcome
from pipelines.run import Run

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

LARGE = 200_000  # characters; cutting this much takes longer than the event loop should wait


class ChunkingPipeline:
    """Cuts pages with the one chunker."""

    def __init__(self, run: Run, chunker: Chunker) -> None:
        self._run = run
        self._chunker = chunker

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        run = Run.of(crawler)
        return cls(run, Chunker(run.config.chunk_size))

    async def process_item(self, item: Any) -> Any:
        """Set `chunks` of a present page. A page that cannot be cut fails alone, with its old version kept."""
        page = ItemAdapter(item)
        if page["outcome"] != Outcome.PRESENT:
            return item
        content = page["content"]
        try:
            if len(content) > LARGE:
                page["chunks"] = await asyncio.to_thread(self._chunker.cut, content)
            else:
                page["chunks"] = self._chunker.cut(content)
        except (ValueError, UnicodeError) as error:
            page["outcome"], page["reason"], page["message"] = Outcome.FAILED, "chunking_failed", str(error)
        return item
