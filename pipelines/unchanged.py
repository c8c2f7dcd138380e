"""Second pipeline: a page whose text is the one in the index goes no further than its last-seen time (A14)."""

from __future__ import annotations

import hashlib
import logging
import unicodedata
from typing import TYPE_CHECKING, Any, Self

from itemadapter import ItemAdapter

from pipelines.outcome import Outcome
from pipelines.run import Run

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

REEMBED = "reembed"  # why a page with unchanged content is present all the same
STRIPPED = "stripped"  # why a page from the index is present with less text: what it lost is no text of its own
RESTORED = "restored"  # why one is present with more: what other pages lost is left to it


class UnchangedPipeline:
    """Compares a downloaded page's content hash with the stored one."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Turn a downloaded page into an unchanged one where its hash says so, unless `reembed` was asked for.

        What its signals had said of it is compared with what was found (C6).
        """
        page = ItemAdapter(item)
        outcome = Outcome(page["outcome"])
        if outcome is Outcome.UNCHANGED:
            self._compare(page, is_same=True)
        elif outcome is Outcome.GONE:
            self._note(page, is_same=False)
        if outcome not in (Outcome.PRESENT, Outcome.DUPLICATE):
            return item
        page["content_hash"] = content_hash(page["title"], page["content"])
        if page["known"] is None:
            page["known"] = await self._run.known(page["url"])
        known = page["known"]
        if known is None:
            return item
        is_same = known.content_hash == page["content_hash"]
        self._compare(page, is_same=is_same)
        if not is_same:
            return item
        if outcome is Outcome.DUPLICATE:
            if known.duplicate_of == page["duplicate_of"]:
                page["outcome"] = Outcome.UNCHANGED
        elif self._run.arguments.reembed and known.duplicate_of is None:
            page["reason"] = REEMBED
        elif page.get("seen_at") is None:
            page["outcome"] = Outcome.UNCHANGED
        return item

    def _compare(self, page: ItemAdapter, *, is_same: bool) -> None:
        """Tell the run whether the signals that called the page unchanged were right; one that lied is revoked."""
        claims, fetch, known = page.get("claims"), page.get("fetch"), page["known"]
        # Another version of the extraction may read another text out of the same page: nobody's lie.
        if not claims or not known.content_hash or fetch is None:
            return
        if known.check is None or known.check.reader != fetch.reader:
            return
        self._note(page, is_same=is_same)

    def _note(self, page: ItemAdapter, *, is_same: bool) -> None:
        run = self._run
        for signal in run.trust.compare(page.get("claims") or (), page["url"], is_same=is_same):
            run.count("signals/revoked")
            logger.warning(
                "%s: its %s says that %s did not change, and it did: it is believed no more, and what it spared is "
                "asked for again",
                run.source.slug,
                signal,
                page["url"],
            )


def content_hash(title: str | None, content: str) -> bytes:
    """Return sha256 over title and content in NFC with runs of white space folded: text decides, not layout (A29)."""
    digest = hashlib.sha256()
    for part in (title or "", content):
        digest.update(" ".join(unicodedata.normalize("NFC", part).split()).encode())
        digest.update(b"\0")
    return digest.digest()
