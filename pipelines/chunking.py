"""Third pipeline: the text of a new or changed page, cut into chunks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from itemadapter import ItemAdapter

from pipelines.chunker import Chunker
from pipelines.outcome import Outcome
from pipelines.run import Run
from pipelines.unchanged import REEMBED

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
                page["chunks"] = await asyncio.to_thread(self._chunker.cut, content, page["title"])
            else:
                page["chunks"] = self._chunker.cut(content, page["title"])
        except (ValueError, UnicodeError) as error:
            page["outcome"], page["reason"], page["message"] = Outcome.FAILED, "chunking_failed", str(error)
            return item
        if not page["chunks"] and page["known"] is not None and page["reason"] != REEMBED:
            # A consent wall, a maintenance page, a move to JavaScript: no reason to forget what the page said.
            page["outcome"], page["reason"] = Outcome.FAILED, "no_text"
            page["message"] = "the page had text and has none now; its old version stays"
        return item
