"""Third pipeline: the text of a new or changed page, cut into chunks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from itemadapter import ItemAdapter

from pipelines.index_model import chunker_of
from pipelines.outcome import Outcome
from pipelines.run import Run
from pipelines.unchanged import REEMBED

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from pipelines.chunker import Chunk, Chunker

LARGE = 200_000  # characters; cutting this much takes longer than the event loop should wait


async def cut(chunker: Chunker, content: str, title: str | None) -> list[Chunk]:
    """Return the chunks of a page, cut in a thread where that takes long. Raises `ValueError` or `UnicodeError`."""
    if len(content) > LARGE:
        return await asyncio.to_thread(chunker.cut, content, title)
    return chunker.cut(content, title)


class ChunkingPipeline:
    """Cuts pages with the one chunker, that of the index's model."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Set `chunks` of a present page. A page that cannot be cut fails alone, with its old version kept."""
        page = ItemAdapter(item)
        if page["outcome"] != Outcome.PRESENT:
            return item
        try:
            page["chunks"] = await cut(chunker_of(self._run.model), page["content"], page["title"])
        except (ValueError, UnicodeError) as error:
            page["outcome"], page["reason"], page["message"] = Outcome.FAILED, "chunking_failed", str(error)
            return item
        if not page["chunks"] and page["known"] is not None and page["reason"] != REEMBED:
            # A consent wall, a maintenance page, a move to JavaScript: no reason to forget what the page said.
            page["outcome"], page["reason"] = Outcome.FAILED, "no_text"
            page["message"] = "the page had text and has none now; its old version stays"
        return item
