"""The one pipeline that a guest's items go through: it reads them, and gives them back as they came."""

from __future__ import annotations

import datetime as dt
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from scrapy.exceptions import DropItem
from scrapy.pipelines import ItemPipelineManager
from scrapy.utils.misc import build_from_crawler, load_object

from db.errors import DatabaseProblem
from db.page_rows import Fetch, Recognised
from lcl_spiders.extensions.run import RunExtension
from lcl_spiders.extraction import EXTRACTION_VERSION, ExtractionCrashed, ExtractionError, body_hash
from lcl_spiders.extraction.config import ExtractionConfig
from lcl_spiders.extraction.pool import leased_pool
from lcl_spiders.guests.items import BadItem, ItemReader
from lcl_spiders.items import Outcome, PageItem
from pipelines.addon import PIPELINES
from pipelines.run import Run

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from lcl_spiders.extraction.pool import ExtractionPool
    from lcl_spiders.guests.items import GuestPage

logger = logging.getLogger(__name__)

GIVEN = "item"
"""What read a page whose text the item brings: the project itself."""


class GuestPipeline:
    """Makes a page of each item that is about one, and sends the page through the pipelines of the index.

    The item itself is neither changed nor dropped, whatever becomes of the page: its project goes on with it.
    """

    pool: ExtractionPool

    def __init__(self, crawler: Crawler, run: Run, items: ItemReader, extraction: ExtractionConfig) -> None:
        self._crawler = crawler
        self._run = run
        self._items = items
        self._extraction = extraction
        stages = sorted(PIPELINES, key=lambda path: PIPELINES[path])
        self._stages = ItemPipelineManager(
            *(build_from_crawler(load_object(path), crawler) for path in stages), crawler=crawler
        )
        self._leases = AsyncExitStack()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl. Raises `ValueError` for a setting that makes no sense."""
        settings = crawler.settings
        return cls(
            crawler, Run.of(crawler), ItemReader.from_settings(settings), ExtractionConfig.from_settings(settings)
        )

    async def open_spider(self) -> None:
        """Lease the processes that read documents; none is started before there is a document to read."""
        limits = self._extraction
        pool = leased_pool(limits.workers, limits.time_limit, limits.memory_limit)
        self.pool = await self._leases.enter_async_context(pool)
        await self._stages.open_spider_async()

    async def close_spider(self) -> None:
        """Write what waits, and give the processes back."""
        await self._stages.close_spider_async()
        await self._leases.aclose()

    async def process_item(self, item: Any) -> Any:
        """Bring the item's page in the index up to date, and return the item when that is durable."""
        page: PageItem | None = None
        try:
            page = await self._page(item)
            if page is not None:
                self._run.count("items/pages")
                await self._stages.process_item_async(page)
        except DropItem as why:  # met before in this run, or the run is ending
            logger.debug("not indexed: %s", why)
        except Exception as error:  # whatever it is, the item is its project's
            url = page.url if page is not None else ""
            logger.exception("%s: %s stays as it was in the index", self._run.source.slug, url or type(item).__name__)
            extension = self._crawler.get_extension(RunExtension)
            if extension is not None:
                extension.remember(url, error)
        return item

    async def _page(self, item: Any) -> PageItem | None:
        run = self._run
        try:
            given = self._items.read(item)
            if given is None:
                run.count("items/other")
                return None
            return await self._made(given)
        except BadItem as error:
            if error.url is not None:
                return _absent(error.url, Outcome.FAILED, "bad_item", f"{type(item).__name__}: {error}")
            run.count("items/without_url")
            run.count("pages/failed")
            logger.warning("%s: an item of %s is not indexed: %s", run.source.slug, type(item).__name__, error)
        except DatabaseProblem as error:
            run.stop(error.reason, f"{error}. What is committed stays; the next run goes on.")
        return None

    async def _made(self, given: GuestPage) -> PageItem | None:
        if given.outcome is not Outcome.PRESENT:
            return _absent(given.url, given.outcome, given.reason, given.message, given.http_status)
        if given.content is not None:
            body, reader = given.content.encode(), GIVEN
        else:
            body, reader = given.document or b"", EXTRACTION_VERSION
        known = await self._run.known(given.url)
        page = PageItem(
            url=given.url,
            outcome=Outcome.PRESENT,
            title=given.title,
            language=given.language,
            content=given.content or "",
            # What the item says beside the document is part of what is read.
            body_hash=body_hash(body, "\n".join([reader, given.title or "", given.language or ""])),
            http_status=given.http_status,
            known=known,
            fetch=Fetch(dt.datetime.now(dt.UTC), len(body), reader, None, 0),
        )
        if known is not None and known.body_hash == page.body_hash and not self._run.arguments.reembed:
            page.outcome, page.outlinks = Outcome.UNCHANGED, known.outlinks
            self._run.count("pages/same_body")
            return page
        return page if given.document is None else await self._extracted(page, given.document, given.encoding)

    async def _extracted(self, page: PageItem, document: bytes, encoding: str | None) -> PageItem | None:
        """Read a page's document; what the item itself says of title and language stands. None: nothing is known."""
        try:
            read = await self.pool.extract(document, page.url, encoding)
        except ExtractionError as error:
            if isinstance(error, ExtractionCrashed) and not self._crawler.crawling:
                return None  # the shutdown took the workers with it: that says nothing of the page
            return _absent(page.url, Outcome.FAILED, error.kind, str(error))
        page.title, page.language = page.title or read.title, page.language or read.language
        page.content, page.outlinks = read.content, read.outlinks
        self._run.count(f"extracted/{read.extractor}")
        if read.kind is not None and page.fetch is not None:
            self._run.count(f"kinds/{read.kind}")
            page.fetch = replace(page.fetch, recognised=Recognised(read.kind, read.evidence))
        if read.noindex:
            page.outcome, page.reason = Outcome.GONE, "noindex"
        return page


def _absent(
    url: str, outcome: Outcome, reason: str | None, message: str | None, http_status: int | None = None
) -> PageItem:
    return PageItem(url=url, outcome=outcome, reason=reason, message=message, http_status=http_status)
