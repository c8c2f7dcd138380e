"""What every base spider shares: a source, strict arguments, answers turned into outcomes."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Request, Spider, signals
from scrapy.http import HtmlResponse

from db import pages
from db.errors import DatabaseProblem, one_line
from db.urls import canonical_url, domain_of
from lcl_spiders.base_spiders.answers import (
    charset,
    header,
    is_same_page,
    kind_of,
    robots_directives,
    was_moved_for_good,
)
from lcl_spiders.base_spiders.frontier import MAX_URL, Frontier
from lcl_spiders.downloadermiddlewares.typed import RobotsForbidden
from lcl_spiders.extraction import ExtractedPage, ExtractionCrashed, ExtractionError, body_hash
from lcl_spiders.extraction.config import ExtractionConfig
from lcl_spiders.extraction.pool import ExtractionPool, leased_pool
from lcl_spiders.items import Outcome, PageItem
from lcl_spiders.source_config import SourceConfig
from pipelines.run import Run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

    from db.pages import KnownPage

PAGE = "page"


class SourceSpider(Spider):
    """A spider over one source, which the spider loader sets as class attributes.

    Subclasses find URLs in `find` and pass them to `ask_for`. A page that was asked for ends as one item, or is
    counted: nothing that was met disappears.
    """

    slug: ClassVar[str] = ""
    start_url: ClassVar[str] = ""
    domain: ClassVar[str] = ""
    config: ClassVar[SourceConfig] = SourceConfig()
    has_fresh_pages = False
    custom_settings = {"HTTPERROR_ALLOW_ALL": True}

    run: Run
    frontier: Frontier
    pool: ExtractionPool
    extraction: ExtractionConfig

    def __init__(self, name: str | None = None, **arguments: Any) -> None:
        # The arguments are kept apart, for the run extension to parse, and never become attributes.
        super().__init__(name)
        self.run_arguments = arguments
        self._present: set[str] = set()
        self._leases = AsyncExitStack()

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> SourceSpider:
        """Build and connect to one crawl. Raises `ValueError` for a setting that makes no sense."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.extraction = ExtractionConfig.from_settings(crawler.settings)
        crawler.signals.connect(spider._request_sent, signal=signals.request_reached_downloader)
        crawler.signals.connect(spider._give_back, signal=signals.spider_closed)
        return spider

    @abstractmethod
    def find(self) -> AsyncIterator[Request | PageItem]:
        """Yield the first requests, by `ask_for`."""

    async def start(self) -> AsyncIterator[Request | PageItem]:
        """Make the run's parts ready and yield what `find` finds; an error there ends the run with its reason."""
        self.run = Run.of(self.crawler)
        self.frontier = Frontier(self.domain, self.config, self.run.arguments.max_pages)
        self.run.has_left_out = self.frontier.has_waiting
        try:
            self.pool = await self._leases.enter_async_context(
                leased_pool(self.extraction.workers, self.extraction.time_limit, self.extraction.memory_limit)
            )
            async for found in self.find():
                yield found
        except DatabaseProblem as error:
            self.run.stop(error.reason, str(error))
        except Exception as error:  # Scrapy would only say "start_error"
            self.logger.exception("the crawl could not go on")
            self.run.stop("internal_error", f"{type(error).__name__}: {one_line(error)}")

    def ask_for(
        self, url: str, *, known: KnownPage | None = None, depth: int = 0, is_start: bool = False, is_due: bool = False
    ) -> Request | None:
        """Return a request for a page, or None when it was asked for already or the limit is reached.

        `is_due`: the page failed before; it ends with an outcome whatever it answers.
        """
        if not self.frontier.take(url, depth):
            return None
        meta = {
            "lcl": PAGE,
            "url": url,
            "known": known,
            "page_depth": depth,
            "is_start": is_start,
            "is_expected": is_due or known is not None,
        }
        # The frontier has seen to duplicates, by canonical URL. Shallow pages first, so that none is met too deep.
        return Request(url, callback=self.parse, errback=self.page_failed, dont_filter=True, priority=-depth, meta=meta)

    async def follow(self, links: Iterable[str], depth: int) -> list[Request]:
        """Return requests for those of the links that are in scope, unmet, not too deep and not fresh (A15)."""
        unmet = self.frontier.unmet(links, depth)
        if unmet and self.has_fresh_pages:
            fresh = await self.fresh_among(unmet)
            unmet = [url for url in unmet if url not in fresh]
        return [request for url in unmet if (request := self.ask_for(url, depth=depth)) is not None]

    async def fresh_among(self, urls: Sequence[str]) -> set[str]:
        """Return which of these URLs are pages that were checked lately."""
        run = self.run
        return await run.runtime.use_connection(
            lambda connection: pages.fresh_urls(connection, run.source.id, urls, run.seen_before)
        )

    async def parse(self, response: Response) -> AsyncIterator[PageItem | Request]:
        """Turn one answer into an item, and the page's links into requests."""
        asked: str = response.meta["url"]
        if response.status != HTTPStatus.OK and response.meta["is_start"]:
            self.run.start_failure = f"{response.url} answered {response.status}"
        try:
            url = self._answered_url(response)
            if url != asked and (left := self._left_behind(response, asked)) is not None:
                yield left
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
            return None
        if url == asked:
            return asked
        if domain_of(url) != self.domain:
            self.run.count("requests/left_domain")
            if response.meta["is_start"]:
                self.run.start_failure = f"it leads to another site: register that one, {url}"
            return None
        if len(url) > MAX_URL:
            self.run.count("requests/url_too_long")
            return None
        return url if self.frontier.meet(url) else None

    def _left_behind(self, response: Response, asked: str) -> PageItem | None:
        """Return the outcome of a URL that redirected: gone where it moved for good within the site (C4)."""
        if not response.meta["is_expected"]:
            return None
        inside = response.url.startswith((f"http://{self.domain}/", f"https://{self.domain}/"))
        if inside and response.status == HTTPStatus.OK and was_moved_for_good(response):
            return outcome(asked, Outcome.GONE, "redirect", None)
        return outcome(asked, Outcome.UNKNOWN, "redirected", response.status, f"redirects to {response.url}")

    async def _read(self, response: Response, url: str) -> AsyncIterator[PageItem | Request]:
        status = response.status
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            yield outcome(url, Outcome.GONE, f"http_{status}", status)
        elif status != HTTPStatus.OK:
            yield outcome(url, Outcome.UNKNOWN, f"http_{status}", status, f"answered {status}")
        elif not isinstance(response, HtmlResponse):
            self.run.count("pages/other_type")
            if response.meta["is_expected"] or response.meta["is_start"]:
                message = f"answers {header(response, 'Content-Type') or 'no content type'}, which is not read yet"
                yield outcome(url, Outcome.UNKNOWN, "other_type", status, message)
            if response.meta["is_start"]:
                self.run.start_failure = f"{url} {message}"
        else:
            async for result in self._read_page(response, url):
                yield result

    async def _read_page(self, response: HtmlResponse, url: str) -> AsyncIterator[PageItem | Request]:
        self._present.add(url)
        known: KnownPage | None = response.meta["known"]
        if known is None or known.url != url:
            known = await self.run.known(url)
        digest = body_hash(response.body)
        directives = robots_directives(response)
        item = PageItem(
            url=url,
            outcome=Outcome.PRESENT,
            body_hash=digest,
            etag=header(response, "ETag"),
            last_modified=header(response, "Last-Modified"),
            http_status=response.status,
            known=known,
        )
        is_same = known is not None and known.body_hash == digest and "noindex" not in directives
        if known is not None and is_same and not self.run.arguments.reembed:
            item.outcome, item.outlinks = Outcome.UNCHANGED, known.outlinks
            self.run.count("pages/same_body")
        else:
            try:
                page = await self.pool.extract(response.body, url, charset(response))
            except ExtractionCrashed as error:
                if not self.crawler.crawling:  # the shutdown took the workers with it, which says nothing of the page
                    return
                item.outcome, item.reason, item.message = Outcome.FAILED, error.kind, str(error)
            except ExtractionError as error:
                item.outcome, item.reason, item.message = Outcome.FAILED, error.kind, str(error)
                item.outlinks = known.outlinks if known is not None else ()
            else:
                self._fill(item, page, directives)
                if not self._take_identity(item, page):
                    return
        for request in await self.follow(item.outlinks, response.meta["page_depth"] + 1):
            yield request
        yield item

    def _take_identity(self, item: PageItem, page: ExtractedPage) -> bool:
        """Give the item the URL that its page calls canonical; False when that page was read in this run itself."""
        canonical = page.canonical
        if canonical is None or canonical == item.url or not is_same_page(item.url, canonical):
            return True
        if canonical in self._present:
            self.run.count("pages/repeated")
            return False
        if self.frontier.meet(canonical):
            self._present.add(canonical)
            item.url, item.known = canonical, None
        return True

    def _fill(self, item: PageItem, page: ExtractedPage, directives: frozenset[str]) -> None:
        item.title, item.language, item.content = page.title, page.language, page.content
        if not page.nofollow and "nofollow" not in directives:
            item.outlinks = page.outlinks
        if page.noindex or "noindex" in directives:
            item.outcome, item.reason = Outcome.GONE, "noindex"
        self.run.count(f"extracted/{page.extractor}")

    def page_failed(self, failure: Failure) -> list[PageItem | Request]:
        """Turn a request without an answer into an item: by the type of the error, never by its text (A23)."""
        request: Request = failure.request  # type: ignore[attr-defined]  # Scrapy sets it on every errback's failure
        error = failure.value
        results: list[PageItem | Request] = []
        if isinstance(error, RobotsForbidden):
            self.run.count("requests/forbidden")
            if (waiting := self.frontier.give_back()) and (next_one := self.ask_for(waiting[0], depth=waiting[1])):
                results.append(next_one)
            if not (request.meta["is_expected"] or request.meta["is_start"]):
                return results
        message = f"{type(error).__name__}: {one_line(error)}"[:500] if error is not None else None
        if request.meta["is_start"]:
            self.run.start_failure = message
        kind = kind_of(error) if error is not None else "no_answer"
        return [*results, outcome(request.meta["url"], Outcome.UNKNOWN, kind, None, message)]

    def _request_sent(self, request: Request) -> None:
        Run.of(self.crawler).count("requests/sent" if request.meta.get("lcl") == PAGE else "requests/other")

    async def _give_back(self) -> None:
        await self._leases.aclose()


def outcome(url: str, how: Outcome, reason: str, status: int | None, message: str | None = None) -> PageItem:
    """Return the item of a page that was not read."""
    return PageItem(url=url, outcome=how, reason=reason, http_status=status, message=message)
