"""Second pipeline: a page whose text is the one in the index goes no further than its last-seen time (A14)."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING, Any, Self

from itemadapter import ItemAdapter

from pipelines.outcome import Outcome
from pipelines.run import Run

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


REEMBED = "reembed"  # why a page with unchanged content is present all the same


class UnchangedPipeline:
    """Compares a downloaded page's content hash with the stored one."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Turn a present page into an unchanged one where its hash says so, unless `reembed` was asked for."""
        page = ItemAdapter(item)
        if page["outcome"] != Outcome.PRESENT:
            return item
        page["content_hash"] = content_hash(page["title"], page["content"])
        if page["known"] is None:
            page["known"] = await self._run.known(page["url"])
        known = page["known"]
        if known is not None and known.content_hash == page["content_hash"]:
            if self._run.arguments.reembed:
                page["reason"] = REEMBED
            else:
                page["outcome"] = Outcome.UNCHANGED
        return item


def content_hash(title: str | None, content: str) -> bytes:
    """Return sha256 over title and content in NFC with runs of white space folded: text decides, not layout (A29)."""
    digest = hashlib.sha256()
    for part in (title or "", content):
        digest.update(" ".join(unicodedata.normalize("NFC", part).split()).encode())
        digest.update(b"\0")
    return digest.digest()
