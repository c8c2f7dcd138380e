"""Pages of sources with render=always, seen in a browser.

The plain request decides what it always decides: robots.txt, redirects, 304, errors, types, sizes. Only an HTML page
that is there goes on to the browser, and with the bytes that came: the document is downloaded once.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from scrapy import Request
from scrapy.exceptions import NotConfigured
from scrapy.http import HtmlResponse, Response

from lcl_spiders.downloadermiddlewares.typed import TypedRedirectMiddleware
from lcl_spiders.rendering.chromium import BrowserUnavailable
from lcl_spiders.rendering.config import DOCUMENT, ENABLED
from lcl_spiders.rendering.errors import RenderingFailed
from lcl_spiders.rendering.scripted import is_scripted
from pipelines.run import Run

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

RENDERED = frozenset({"page", "probe"})  # of what a spider asks for; robots.txt and sitemaps are no pages
VALIDATORS = ("ETag", "Last-Modified")


class RenderingMiddleware:
    """Replaces a page's body with what a browser makes of it. Enabled by the setting `LCL_RENDER`."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl; a plain one has no such middleware."""
        if not crawler.settings.getbool(ENABLED):
            raise NotConfigured
        return cls(crawler)

    async def process_response(self, request: Request, response: Response) -> Request | Response:
        """Return a page as it is rendered, a request for the one that its scripts lead to, or any other answer as is.

        A page whose text its scripts write loses its validators, which speak for the bytes that they came with: nothing
        that the site says of those spares it the browser when it is due. Raises `RenderingError` or `TooLarge`.
        """
        is_asked_for_text = request.meta.get("lcl") in RENDERED and response.status == HTTPStatus.OK
        if not is_asked_for_text or not isinstance(response, HtmlResponse):
            return response
        rendered = await self._render(request, response)
        self._crawler.stats.inc_value("lcl/pages/rendered")
        if rendered.status != HTTPStatus.OK:
            return self._redirect(request, rendered)
        headers = rendered.headers.copy()
        if is_scripted(response.text.encode("utf-8", "replace"), rendered.body):
            for name in VALIDATORS:
                headers.pop(name, None)
        return response.replace(body=rendered.body, headers=headers, encoding="utf-8", flags=rendered.flags)

    async def _render(self, request: Request, document: HtmlResponse) -> Response:
        """Hand a document to the browser, past the scheduler and its delays: nothing of it is downloaded again."""
        engine = self._crawler.engine
        assert engine is not None  # noqa: S101 - there is one where there are responses
        began = time.monotonic()
        try:
            return await engine.downloader.handlers.download_request_async(
                Request(document.url, meta={"playwright": True, DOCUMENT: document})
            )
        except BrowserUnavailable as error:
            Run.of(self._crawler).stop("browser_unavailable", str(error))
            raise RenderingFailed(str(error)) from error
        finally:
            # A page's download begins with its document: what changes afterwards is later than that.
            request.meta["download_latency"] = request.meta.get("download_latency", 0) + time.monotonic() - began

    def _redirect(self, request: Request, answer: Response) -> Request | Response:
        redirects = self._crawler.get_downloader_middleware(TypedRedirectMiddleware)
        return redirects.process_response(request, answer) if redirects is not None else answer
