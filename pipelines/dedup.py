"""First pipeline: one item for each page and run, and one page for what a site itself calls one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from cachetools import LRUCache
from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem

from db import pages
from db.errors import DatabaseProblem
from pipelines.outcome import Outcome
from pipelines.run import Run
from pipelines.similarity import containment, shingles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy.crawler import Crawler

    from db.connection import Connection

CANONICALS = 32
LIKENESS = 0.8  # share of a page's text that must stand in the page it calls canonical


class DedupPipeline:
    """Drops an item whose page has been answered in this run: the URLs in a write must be unique.

    A page that was first taken for unchanged on a signal's word may be answered once more, and one that comes out of
    the index is no answer.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._answered: set[str] = set()
        # The pages of one site often name the same.
        self._canonicals: LRUCache[tuple[str, bytes], frozenset[int]] = LRUCache(CANONICALS)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Pass the first item of a page on; one that names another page as canonical is compared with that page."""
        page = ItemAdapter(item)
        if page["outcome"] == Outcome.LISTED:
            return item
        url = page["url"]
        if url in self._answered and page.get("seen_at") is None:
            self._run.count("pages/repeated")
            msg = f"{url} was met before in this run"
            raise DropItem(msg, log_level="DEBUG")
        if page.get("signal") is None and page.get("seen_at") is None:
            self._answered.add(url)
        if page["outcome"] == Outcome.PRESENT and page.get("canonical") is not None:
            try:
                page["duplicate_of"] = await self._original(page)
            except DatabaseProblem as error:
                self._run.stop(error.reason, str(error))
                msg = f"{url} stays as it was: {error}"
                raise DropItem(msg, log_level="DEBUG") from error
            if page["duplicate_of"] is not None:
                page["outcome"] = Outcome.DUPLICATE
        return item

    async def _original(self, page: ItemAdapter) -> int | None:
        """Return the id of the page that this one calls canonical; None when it is gone, unknown or another text."""
        run, url = self._run, page["canonical"]
        original, text = await run.runtime.use_connection(self._stored(url))
        if original is None or url in run.departures or containment(shingles(page["content"]), text) < LIKENESS:
            run.count("canonicals/not_believed")
            return None
        known = page.get("known")
        return None if known is not None and known.id == original else original

    def _stored(self, url: str) -> Callable[[Connection], Awaitable[tuple[int | None, frozenset[int]]]]:
        """Return what reads the id under which a page is indexed, None for one that is not, and its text's shingles."""
        source_id = self._run.source.id

        async def read(connection: Connection) -> tuple[int | None, frozenset[int]]:
            known = (await pages.known_by_url(connection, source_id, [url])).get(url)
            if known is None:
                return None, frozenset()
            key = url, known.content_hash
            if key not in self._canonicals:
                _, content = (await pages.contents(connection, source_id, [url])).get(url, (None, ""))
                self._canonicals[key] = shingles(content)
            return known.duplicate_of or known.id, self._canonicals[key]

        return read
