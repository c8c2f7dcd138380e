"""The run of a guest: the same lock, fence, record and verdict, over a spider that knows nothing of them."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Self

from scrapy import signals
from scrapy.utils.asyncio import is_asyncio_available
from scrapy.utils.httpobj import urlparse_cached

from lcl_spiders.extensions.run import RunExtension
from lcl_spiders.extensions.verdict import FINISHED, LIMITED, Verdict, judge
from lcl_spiders.guests.source import Wanted, registered, wanted
from pipelines.arguments import RunArguments, parse_flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

    from db import sources
    from db.connection import Connection
    from pipelines.run import Run

logger = logging.getLogger(__name__)

PARTIAL = "LCL_PARTIAL_RUNS"
LIMITS = frozenset({"closespider_itemcount", "closespider_pagecount"})
"""Reasons by which Scrapy ends a crawl that was to be no longer."""

ADVICE = f"A spider that is to find only what is new says so with {PARTIAL} = True"

ARGUMENTS = tuple(field.name for field in fields(RunArguments) if field.name != "max_pages")
"""What a run takes from the spider's own arguments; how many pages it asks for is the spider's business."""


class GuestRunExtension(RunExtension):
    """Opens a run for a spider of another project, registers its source, and counts its requests.

    `LCL_PARTIAL_RUNS` (off) says that a run need not find what earlier ones found.
    """

    _wanted: Wanted
    _is_partial = False

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Check settings, arguments, and that the spider's site can be told. Raises `ValueError`."""
        if not is_asyncio_available():
            msg = (
                "the index needs asyncio: leave TWISTED_REACTOR as Scrapy has it, or set "
                "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
            )
            raise ValueError(msg)
        assert crawler.spider is not None  # noqa: S101 - the add-on adds this extension to nothing but crawls
        asked = wanted(crawler.spider, crawler.settings)
        is_partial = parse_flag(PARTIAL, crawler.settings.get(PARTIAL, False))
        extension = super().from_crawler(crawler)
        extension._wanted, extension._is_partial = asked, is_partial
        crawler.signals.connect(extension.request_sent, signal=signals.request_reached_downloader)
        return extension

    @staticmethod
    def given(spider: Spider | None) -> Mapping[str, Any]:
        """Return the run's arguments: `-a name=value`, which Scrapy makes an attribute of the spider."""
        return {name: getattr(spider, name) for name in (*ARGUMENTS, "_job") if hasattr(spider, name)}

    async def find_source(self, connection: Connection, spider: Spider) -> sources.Source:
        """Return the spider's source, registered at its first run. Raises `InvalidSource`."""
        return await registered(connection, self._wanted)

    def request_sent(self, request: Request) -> None:
        """Count a request, whatever it is for: which of them are for pages only the spider knows."""
        is_robots = urlparse_cached(request).path == "/robots.txt"
        self.run.count("requests/other" if is_robots else "requests/sent")

    def item_error(self, item: Any, failure: Failure) -> None:
        """Count an item that a pipeline of the project failed on: whether it was a page is not known here."""
        self.run.count("items/failed")

    def spider_error(self, failure: Failure, response: Response | Failure | None) -> None:
        """Count a callback that failed. Which pages it would have yielded nobody knows: none is recorded as failed."""
        self.remember("", failure.value)

    def judge(self, reason: str) -> Verdict:
        """Return the verdict; it never counts towards a backoff, since the project decides when it crawls."""
        verdict = judge_guest(self.run, reason, is_partial=self._is_partial)
        return replace(verdict, blame=verdict.blame or None)

    async def spider_closed(self, reason: str) -> None:
        """Close the run, and say in the log why it failed: the exit code of Scrapy's own `crawl` does not."""
        await super().spider_closed(reason)
        is_told = self._refusal is not None or self.run.stop_reason is not None
        if self.verdict is not None and self.verdict.status == "failed" and not is_told:
            logger.error("%s: %s: %s", self.run.source.slug, self.verdict.reason, self.verdict.message)


def judge_guest(run: Run, reason: str, *, is_partial: bool) -> Verdict:
    """Return the verdict over a guest's run that was closed for this reason.

    A run that was to be short is compared with no other, in neither direction; a partial one may even find nothing.
    """
    if is_partial or reason in LIMITS:
        run.has_left_out = lambda: True
    verdict = judge(run, FINISHED if reason in LIMITS else reason)
    if verdict.reason != "yield_collapse":
        return verdict
    if is_partial:
        return Verdict("succeeded", LIMITED, None, blame=True)
    if not run.counter("items/pages"):
        others = run.counter("items/other")
        found = f"none of {others} items is about a page" if others else "the spider yielded no item"
        return Verdict.failure("yield_collapse", f"{found}. {ADVICE}")
    return Verdict.failure("yield_collapse", f"{verdict.message}. {ADVICE}")
