"""What every base spider shares: a source, strict arguments, answers turned into outcomes."""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Request, signals
from scrapy.http import HtmlResponse

from db import pages
from db.errors import DatabaseProblem, one_line
from db.urls import canonical_url
from lcl_spiders.base_spiders.answers import GONE, header, kind_of, outcome, robots_directives
from lcl_spiders.base_spiders.boilerplate import learn, learned_by, take_out
from lcl_spiders.base_spiders.conditional import conditional_headers, deciding_signal
from lcl_spiders.base_spiders.frontier import MAX_URL, Frontier
from lcl_spiders.base_spiders.parked import ParkedPages
from lcl_spiders.base_spiders.pending import Pending
from lcl_spiders.base_spiders.reader import PageReader
from lcl_spiders.base_spiders.reading import ReadingSpider
from lcl_spiders.base_spiders.redirects import left_behind
from lcl_spiders.base_spiders.replaced import ReplacedPages
from lcl_spiders.base_spiders.second_look import second_look
from lcl_spiders.downloadermiddlewares.typed import RobotsForbidden
from lcl_spiders.extraction.config import ExtractionConfig
from lcl_spiders.extraction.pool import leased_pool
from lcl_spiders.items import ListedPages, Outcome, PageItem
from lcl_spiders.validators import retry_after
from pipelines.run import Run
from pipelines.schedule import is_audit_due

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from scrapy.core.engine import ExecutionEngine
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

    from db.pages import KnownPage, Standing

PAGE = "page"
THERE = (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED)


class SourceSpider(ReadingSpider):
    """A spider over one source, which the spider loader sets as class attributes.

    Subclasses find URLs in `find` and pass them to `ask_for`. A page that was asked for ends as one item, or is
    counted: nothing that was met disappears.
    """

    slug: ClassVar[str] = ""
    start_url: ClassVar[str] = ""
    domain: ClassVar[str] = ""
    custom_settings = {"HTTPERROR_ALLOW_ALL": True}

    run: Run
    frontier: Frontier
    extraction: ExtractionConfig
    pending: Pending
    reader: PageReader
    parked: ParkedPages
    replaced: ReplacedPages

    def __init__(self, name: str | None = None, **arguments: Any) -> None:
        # The arguments are kept apart, for the run extension to parse, and never become attributes.
        super().__init__(name)
        self.run_arguments = arguments
        self.starts: Sequence[str] = [self.start_url]
        self._known_urls: set[str] = set()
        self._leases = AsyncExitStack()

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> SourceSpider:
        """Build and connect to one crawl. Raises `ValueError` for a setting that makes no sense."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.extraction = ExtractionConfig.from_settings(crawler.settings)
        spider.pending = Pending(crawler)
        crawler.signals.connect(spider._request_sent, signal=signals.request_reached_downloader)
        crawler.signals.connect(spider._give_back, signal=signals.spider_closed)
        return spider

    @abstractmethod
    def find(self) -> AsyncIterator[Request | PageItem | ListedPages]:
        """Yield the first requests, by `ask_for`, and items of pages that need none."""

    async def start(self) -> AsyncIterator[PageItem | ListedPages]:
        """Make the run's parts ready, ask for what `find` and the second look ask for, and yield their items.

        An error there ends the run with its reason.
        """
        self.run = Run.of(self.crawler)
        self.reader = PageReader(self, self.run)
        self.replaced = ReplacedPages(self.run)
        self.parked = ParkedPages(self.reader, self.replaced)
        self.frontier = Frontier(self.domain, self.config, self.run.arguments.max_pages)
        self.run.has_left_out = self.frontier.has_waiting
        try:
            self.pool = await self._leases.enter_async_context(
                leased_pool(self.extraction.workers, self.extraction.time_limit, self.extraction.memory_limit)
            )
            self.boilerplate = await learned_by(self)
            for finder in (take_out(self), self.find(), second_look(self), learn(self)):
                async for found in finder:
                    if isinstance(found, Request):
                        # Of what is yielded here the engine takes one a turn of its loop, too few to keep it busy.
                        self._engine.crawl(found)
                    else:
                        self.pending.add()
                        yield found
                if self.run.stop_reason is not None:
                    return
        except DatabaseProblem as error:
            self.run.stop(error.reason, str(error))
        except Exception as error:  # Scrapy would only say "start_error"
            self.logger.exception("the crawl could not go on")
            self.run.stop("internal_error", f"{type(error).__name__}: {one_line(error)}")

    def ask_for(
        self,
        url: str,
        *,
        known: KnownPage | None = None,
        depth: int = 0,
        is_start: bool = False,
        is_due: bool = False,
        again: bool = False,
    ) -> Request | None:
        """Return a request for a page, or None when it was asked for already or the limit is reached.

        `known`: asked only whether it changed, as far as its site is believed. `is_due`: the page failed before; it
        ends with an outcome whatever it answers. `again`: it was asked for before, on a word that proved false.
        """
        if not (self.frontier.take_again() if again else self.frontier.take(url, depth)):
            return None
        headers = self._conditional_headers(known)
        meta = {
            "lcl": PAGE,
            "url": url,
            "known": known,
            "page_depth": depth,
            "is_start": is_start,
            "is_expected": is_due or known is not None,
            "signal": deciding_signal(headers) if headers else None,
        }
        self.pending.add()
        # The frontier has seen to duplicates, by canonical URL. Shallow pages first, so that none is met too deep.
        return Request(
            url,
            headers=headers,
            callback=self.parse,
            errback=self.page_failed,
            dont_filter=True,
            priority=-depth,
            meta=meta,
        )

    def _conditional_headers(self, known: KnownPage | None) -> dict[str, bytes]:
        """Return the validators to send: none for a page whose download is due, or that is to be read anew."""
        run = self.run
        if known is None or run.arguments.force_rescrape or run.arguments.reembed or self.is_audit_due(known):
            return {}
        if self.reader.is_called_changed(known) or not self.is_read_alike(known):
            return {}
        return conditional_headers(known, run.trust.believes)

    @property
    def front_page(self) -> str:
        """The URL of a page of the site that should be there, to compare with what it answers for missing ones."""
        return self.start_url

    def is_audit_due(self, known: KnownPage | Standing) -> bool:
        """Return whether a page must be downloaded in this run whatever its signals say."""
        run = self.run
        return is_audit_due(
            known.url,
            known.check,
            reader=self.reads_as,
            every=run.config.trust_audit_every,
            max_staleness=run.max_staleness,
            now=run.started_at,
        )

    async def lead_on(self, response: Response, item: PageItem) -> list[Request]:
        """Return requests for the pages to which a page leads: by the stored links if it was not downloaded or read."""
        links = [*item.outlinks, item.canonical] if item.canonical is not None else item.outlinks
        return await self.follow(links, response.meta["page_depth"] + 1)

    async def follow(self, links: Iterable[str], depth: int) -> list[Request]:
        """Return requests for those of the links that are in scope, unmet, not too deep and not in the index.

        Known pages are asked for as such, when they are due.
        """
        unmet = self.frontier.unmet(links, depth)
        if unmet and self.run.known_pages:
            unmet = await self._unknown_among(unmet)
        return [request for url in unmet if (request := self.ask_for(url, depth=depth)) is not None]

    async def _unknown_among(self, urls: Sequence[str]) -> list[str]:
        run = self.run
        unsure = [url for url in urls if url not in self._known_urls]
        if unsure:
            self._known_urls |= await run.runtime.use_connection(
                lambda connection: pages.known_urls(connection, run.source.id, unsure)
            )
        return [url for url in unsure if url not in self._known_urls]

    async def download(self, request: Request) -> Response:
        """Return the answer to a request that is no page's: robots.txt, a sitemap, a probe. Raises what went wrong."""
        return await self._engine.download_async(request)

    @property
    def _engine(self) -> ExecutionEngine:
        assert self.crawler.engine is not None  # noqa: S101 - it is there while a spider runs
        return self.crawler.engine

    async def parse(self, response: Response) -> AsyncIterator[PageItem | Request]:
        """Turn one answer into an item, and the page's links into requests."""
        try:
            async for result in self._answer(response):
                if isinstance(result, PageItem):
                    self.pending.add()
                yield result
        finally:
            self.pending.remove()

    async def _answer(self, response: Response) -> AsyncIterator[PageItem | Request]:
        asked: str = response.meta["url"]
        if response.status not in THERE and response.meta["is_start"]:
            self.run.start_failure = f"{response.url} answered {response.status}"
        try:
            url = self._answered_url(response)
            if url != asked and response.meta["is_expected"]:
                yield await left_behind(self, response, asked)
            if url is not None:
                async for result in self._read(response, url):
                    yield result
        except DatabaseProblem as error:
            self.run.stop(error.reason, str(error))
        except Exception as error:  # whatever it is, the page must end as an item
            self.logger.exception("%s: an error that nobody foresaw", asked)
            message = f"{type(error).__name__}: {one_line(error)}"
            yield outcome(asked, Outcome.FAILED, "internal_error", response.status, message)

    def _answered_url(self, response: Response) -> str | None:
        """Return the URL of the page that answered, None when a redirect led to one that is another's business."""
        asked: str = response.meta["url"]
        if "redirect_urls" not in response.meta:
            return asked
        try:
            url = canonical_url(response.url)
        except ValueError:
            self.run.count("redirects/malformed")
            return None
        if url == asked:
            return asked
        if not self.frontier.is_inside(url):
            self.run.count("requests/left_domain")
            if response.meta["is_start"]:
                self.run.start_failure = f"it leads to another site: register that one, {url}"
            return None
        if len(url) > MAX_URL:
            self.run.count("requests/url_too_long")
            return None
        return url if self.frontier.meet(url) else None

    async def _read(self, response: Response, url: str) -> AsyncIterator[PageItem | Request]:
        status, meta = response.status, response.meta
        if status in GONE:
            item = outcome(url, Outcome.GONE, f"http_{status}", status)
            item.claims = self.reader.claims_over_nothing(meta["known"])
            yield item
        elif status == HTTPStatus.NOT_MODIFIED and meta["signal"] is not None and url == meta["known"].url:
            item = self.reader.not_modified(response, meta["known"])
            if "noindex" in robots_directives(response):
                item.outcome, item.reason, item.signal = Outcome.GONE, "noindex", None
            for request in await self.lead_on(response, item):
                yield request
            yield item
        elif status != HTTPStatus.OK:
            item = outcome(url, Outcome.UNKNOWN, f"http_{status}", status, f"answered {status}")
            item.retry_after = retry_after(header(response, "Retry-After") or "", dt.datetime.now(dt.UTC))
            yield item
        elif not isinstance(response, HtmlResponse):
            self.run.count("pages/other_type")
            message = f"answers {header(response, 'Content-Type') or 'no content type'}, which is not read yet"
            if meta["is_expected"] or meta["is_start"]:
                yield outcome(url, Outcome.UNKNOWN, "other_type", status, message)
            if meta["is_start"]:
                self.run.start_failure = f"{url} {message}"
        else:
            async for result in self._read_page(response, url):
                yield result

    async def _read_page(self, response: HtmlResponse, url: str) -> AsyncIterator[PageItem | Request]:
        item = await self.reader.read(response, url)
        if item is None:
            return
        for request in await self.lead_on(response, item):
            yield request
        for ready in await self.parked.ready(item):
            yield ready

    def page_failed(self, failure: Failure) -> list[PageItem | Request]:
        """Turn a request without an answer into an item: by the type of the error, never by its text (A23)."""
        results = self._failed(failure)
        for result in results:
            if isinstance(result, PageItem):
                self.pending.add()
        self.pending.remove()
        return results

    def _failed(self, failure: Failure) -> list[PageItem | Request]:
        request: Request = failure.request  # type: ignore[attr-defined]  # Scrapy sets it on every errback's failure
        error = failure.value
        results: list[PageItem | Request] = []
        if isinstance(error, RobotsForbidden):
            self.run.count("requests/forbidden")
            if request.meta["is_start"]:
                self.run.start_reason = "robots_forbidden"
            if (waiting := self.frontier.give_back()) and (next_one := self.ask_for(waiting[0], depth=waiting[1])):
                results.append(next_one)
            if not (request.meta["is_expected"] or request.meta["is_start"]):
                return results
        message = f"{type(error).__name__}: {one_line(error)}"[:500] if error is not None else None
        kind = kind_of(error) if error is not None else "no_answer"
        if request.meta["is_start"]:
            self.run.start_failure, self.run.start_kind = message, kind
        return [*results, outcome(request.meta["url"], Outcome.UNKNOWN, kind, None, message)]

    def _request_sent(self, request: Request) -> None:
        Run.of(self.crawler).count("requests/sent" if request.meta.get("lcl") == PAGE else "requests/other")

    async def _give_back(self) -> None:
        await self._leases.aclose()
