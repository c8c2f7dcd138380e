"""What every base spider shares: a source, strict arguments, responses turned into outcomes."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Request, Spider, signals
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http import HtmlResponse
from w3lib.encoding import http_content_type_encoding

from db import pages
from db.urls import canonical_url, domain_of
from lcl_spiders.base_spiders.frontier import MAX_URL, Frontier
from lcl_spiders.extraction import ExtractedPage, ExtractionError, body_hash
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
_INDEX_FILE = re.compile(r"/(?:index\.(?:html?|php|aspx?))?(?=$|\?)")

_KINDS_OF_FAILURE: dict[type[Exception], str] = {
    DownloadTimeoutError: "timeout",
    CannotResolveHostError: "dns",
    DownloadConnectionRefusedError: "connection_refused",
    ResponseDataLossError: "body_cut_short",
}


class SourceSpider(Spider):
    """A spider over one source, which the spider loader sets as class attributes.

    Subclasses find URLs and pass them to `ask_for`; each response becomes exactly one item.
    """

    slug: ClassVar[str] = ""
    start_url: ClassVar[str] = ""
    domain: ClassVar[str] = ""
    config: ClassVar[SourceConfig] = SourceConfig()
    has_fresh_pages = False
    custom_settings = {"HTTPERROR_ALLOW_ALL": True}

    def __init__(self, name: str | None = None, **arguments: Any) -> None:
        # The arguments are kept apart, for the run extension to parse, and never become attributes.
        super().__init__(name)
        self.run_arguments = arguments
        self._leases = AsyncExitStack()

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> SourceSpider:
        """Build and connect to one crawl."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider._request_sent, signal=signals.request_reached_downloader)
        crawler.signals.connect(spider._give_back, signal=signals.spider_closed)
        return spider

    async def prepare(self) -> Run:
        """Return the run, and make the frontier and the extraction pool ready, at the beginning of `start`."""
        run = Run.of(self.crawler)
        self.frontier = Frontier(self.domain, self.config, run.arguments.max_pages)
        self.run = run
        self.pool: ExtractionPool = await self._leases.enter_async_context(
            leased_pool(
                workers=self.settings.getint("LCL_EXTRACTION_WORKERS"),
                time_limit=self.settings.getfloat("LCL_EXTRACTION_TIMEOUT"),
                memory_limit=self.settings.getint("LCL_EXTRACTION_MEMORY"),
            )
        )
        return run

    def ask_for(self, url: str, *, known: KnownPage | None = None, is_start: bool = False) -> Request | None:
        """Return a request for a page, or None when it was asked for already or the limit is reached."""
        if not self.frontier.take(url):
            return None
        return Request(
            url,
            callback=self.parse,
            errback=self.page_failed,
            dont_filter=True,  # the frontier has seen to it, by canonical URL
            meta={"lcl": PAGE, "known": known, "is_start": is_start},
        )

    async def follow(self, links: Iterable[str]) -> list[Request]:
        """Return requests for those of the links that are in scope, unmet and not fresh (A15)."""
        unmet = self.frontier.unmet(links)
        if unmet and self.has_fresh_pages:
            fresh = await self.fresh_among(unmet)
            unmet = [url for url in unmet if url not in fresh]
        return [request for url in unmet if (request := self.ask_for(url)) is not None]

    async def fresh_among(self, urls: Sequence[str]) -> set[str]:
        """Return which of these URLs are pages that were checked lately."""
        run = self.run
        return await run.runtime.use_connection(
            lambda connection: pages.fresh_urls(connection, run.source.id, urls, run.seen_before)
        )

    async def parse(self, response: Response) -> AsyncIterator[PageItem | Request]:
        """Turn one answer into one item, and the page's links into requests."""
        url = self._final_url(response)
        if url is None:
            return
        if response.status != HTTPStatus.OK and response.meta["is_start"]:
            self.run.start_failure = f"{response.url} answered {response.status}"
        if response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            yield self._outcome(url, Outcome.GONE, f"http_{response.status}", response.status)
        elif response.status != HTTPStatus.OK:
            message = f"answered {response.status}"
            yield self._outcome(url, Outcome.UNKNOWN, f"http_{response.status}", response.status, message)
        elif not isinstance(response, HtmlResponse):
            self.run.count("pages/other_type")
        else:
            async for result in self._parse_page(response, url):
                yield result

    async def _parse_page(self, response: HtmlResponse, url: str) -> AsyncIterator[PageItem | Request]:
        known: KnownPage | None = response.meta["known"]
        if known is None or known.url != url:
            known = await self.run.known(url)
        digest = body_hash(response.body)
        item = PageItem(
            url=url,
            outcome=Outcome.PRESENT,
            body_hash=digest,
            etag=_header(response, "ETag"),
            last_modified=_header(response, "Last-Modified"),
            http_status=response.status,
            known=known,
        )
        directives = robots_directives(_header(response, "X-Robots-Tag"))
        is_same = known is not None and known.body_hash == digest and "noindex" not in directives
        if known is not None and is_same and not self.run.arguments.reembed:
            item.outcome, item.outlinks = Outcome.UNCHANGED, known.outlinks
            self.run.count("pages/same_body")
        else:
            try:
                page = await self.pool.extract(response.body, url, _charset(response))
            except ExtractionError as error:
                item.outcome, item.reason, item.message = Outcome.FAILED, error.kind, str(error)
                item.outlinks = known.outlinks if known is not None else ()
            else:
                if not self._take_identity(item, page):
                    return
                self._fill(item, page, directives)
        for request in await self.follow(item.outlinks):
            yield request
        yield item

    def _take_identity(self, item: PageItem, page: ExtractedPage) -> bool:
        """Give the item the URL that its page calls canonical, and return whether that page has had no item yet."""
        if page.canonical is None or page.canonical == item.url or not is_same_page(item.url, page.canonical):
            return True
        item.url, item.known = page.canonical, None
        return self.frontier.meet(page.canonical)

    def _fill(self, item: PageItem, page: ExtractedPage, directives: frozenset[str]) -> None:
        item.title, item.language, item.content = page.title, page.language, page.content
        if not page.nofollow and "nofollow" not in directives:
            item.outlinks = page.outlinks
        if page.noindex or "noindex" in directives:
            item.outcome, item.reason = Outcome.GONE, "noindex"
        self.run.count(f"extracted/{page.extractor}")

    def _final_url(self, response: Response) -> str | None:
        """Return the canonical URL that answered, None when it is another page's business."""
        asked = response.meta.get("redirect_urls", [response.url])[0]
        try:
            url = canonical_url(response.url)
        except ValueError:
            return None
        if url == asked:
            return url
        if len(url) > MAX_URL:
            self.run.count("requests/url_too_long")
            return None
        if domain_of(url) != self.domain:
            self.run.count("requests/left_domain")
            if response.meta["is_start"]:
                self.run.start_failure = f"it leads to another site: register that one, {url}"
            return None
        return url if self.frontier.meet(url) else None

    def page_failed(self, failure: Failure) -> list[PageItem]:
        """Turn a request without an answer into an item: by the type of the error, never by its text (A23)."""
        request: Request = failure.request  # type: ignore[attr-defined]
        error = failure.value
        if isinstance(error, IgnoreRequest):
            if request.meta["known"] is None and not request.meta["is_start"]:
                self.run.count("requests/forbidden")
                return []
            kind = "robots_forbidden"
        else:
            kind = next((name for kind, name in _KINDS_OF_FAILURE.items() if isinstance(error, kind)), "no_answer")
        message = f"{type(error).__name__}: {error}"[:500]
        if request.meta["is_start"]:
            self.run.start_failure = message
        url = canonical_url(request.meta.get("redirect_urls", [request.url])[0])
        return [self._outcome(url, Outcome.UNKNOWN, kind, None, message)]

    def _outcome(
        self, url: str, outcome: Outcome, reason: str, status: int | None, message: str | None = None
    ) -> PageItem:
        return PageItem(url=url, outcome=outcome, reason=reason, http_status=status, message=message)

    def _request_sent(self, request: Request) -> None:
        Run.of(self.crawler).count("requests/sent" if request.meta.get("lcl") == PAGE else "requests/other")

    async def _give_back(self) -> None:
        await self._leases.aclose()


def is_same_page(url: str, canonical: str) -> bool:
    """Return whether two canonical URLs differ in nothing but scheme, trailing slash or the name of an index file.

    A rel=canonical that says more than this is not believed without having seen its target.
    """
    return _INDEX_FILE.sub("", url.partition("://")[2]) == _INDEX_FILE.sub("", canonical.partition("://")[2])


def robots_directives(header: str | None) -> frozenset[str]:
    """Return the directives of an X-Robots-Tag header that hold for every crawler; `none` is both that there are."""
    found = {part.strip().lower() for part in (header or "").split(",")}
    return frozenset(found | ({"noindex", "nofollow"} if "none" in found else set()))


def _header(response: Response, name: str) -> str | None:
    value = response.headers.get(name)
    return value.decode("latin-1").strip() or None if value else None


def _charset(response: Response) -> str | None:
    """Return the encoding that the HTTP header declares; what the document says is the extractor's business."""
    return http_content_type_encoding(_header(response, "Content-Type"))
