"""scrapy-playwright's download handler, for documents that were downloaded already."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error as PlaywrightError
from scrapy import Request
from scrapy.http import HtmlResponse, Response
from scrapy_playwright.handler import BrowserContextWrapper, ScrapyPlaywrightDownloadHandler

from db.errors import one_line
from lcl_spiders.downloadermiddlewares.typed import TypedRobotsTxtMiddleware
from lcl_spiders.rendering.assets import Assets
from lcl_spiders.rendering.browser import SharedBrowser, give_back, lease
from lcl_spiders.rendering.config import DOCUMENT, RenderingConfig
from lcl_spiders.rendering.contexts import Contexts
from lcl_spiders.rendering.errors import BrowserBroke, RenderingFailed, RenderingTimeout
from lcl_spiders.rendering.visit import Visit, refuse_by_default

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page
    from scrapy import Spider
    from scrapy.crawler import Crawler

GRACE = 15  # seconds to make a page and to close it, in a busy browser

# What fails reaches the page's outcome with its reason; scrapy-playwright would add a traceback.
logging.getLogger("scrapy-playwright").addFilter(lambda record: record.levelno in {logging.DEBUG, logging.ERROR})


class LeasedBrowser:
    """scrapy-playwright's BrowserProvider over the browser that the crawls of this process share."""

    def __init__(self, config: RenderingConfig) -> None:
        self.shared: SharedBrowser = lease(config.browser)

    async def start(self) -> None:
        """Do nothing: the browser is started when the first page wants it."""

    async def launch_browser(self) -> Browser:
        """Return the shared browser. Raises `BrowserUnavailable`."""
        return await self.shared.running()

    async def launch_persistent_context(self, context_kwargs: dict[str, Any]) -> BrowserContext:
        """Refuse: nothing of a crawl outlives it."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give the browser back."""
        await give_back(self.shared)


class RenderingDownloadHandler(ScrapyPlaywrightDownloadHandler):  # type: ignore[misc]  # published without types
    """Renders the document in a request's `DOCUMENT`; downloads every other request as Scrapy does.

    Contexts, pages, and what happens when the browser dies are scrapy-playwright's business; so is closing a page in
    every case. A page that its scripts leave for another is answered with status 302 and that one's URL in `Location`.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._rendering = RenderingConfig.from_settings(crawler.settings)
        self._assets = Assets()
        self._contexts = Contexts(self._rendering.pages_per_context)

    async def _launch(self) -> None:
        self.browser_provider = LeasedBrowser(self._rendering)

    async def download_request(self, request: Request) -> Response:
        """Return the answer to a request.

        Raises a `RenderingError`, `TooLarge` or `BrowserUnavailable` for one that is rendered.
        """
        if DOCUMENT not in request.meta:
            response: Response = await super().download_request(request)
            return response
        async with self.browser_provider.shared.places:
            try:
                return await self._render(request)
            except BrowserBroke:
                return await self._render(request)

    async def _render(self, request: Request) -> Response:
        name = self._contexts.enter()
        request.meta["playwright_context"] = name
        request.meta["playwright_context_kwargs"] = self._rendering.context_options()
        try:
            async with asyncio.timeout(self._rendering.time_limit + GRACE):
                rendered: Response = await super().download_request(request)
            return rendered
        except TimeoutError as error:
            raise RenderingFailed(f"the browser does not answer: {request.url} was given up") from error
        except PlaywrightError as error:
            raise BrowserBroke(f"the browser failed on {request.url}: {one_line(error)[:300]}") from error
        finally:
            if self._contexts.leave(name) and (spent := self.context_wrappers.get(name)) is not None:
                with suppress(PlaywrightError):
                    await spent.context.close()

    async def _create_browser_context(self, *args: Any, **kwargs: Any) -> BrowserContextWrapper:
        """Make a context in which pages that pages open, and that no visit watches, can ask for nothing."""
        wrapper = await super()._create_browser_context(*args, **kwargs)
        await refuse_by_default(wrapper.context)
        return wrapper

    async def _download_request_with_page(self, request: Request, page: Page, spider: Spider) -> Response:
        """Render one document, in place of scrapy-playwright's own navigation, which would download it again."""
        document: HtmlResponse = request.meta[DOCUMENT]
        visit = Visit(page, document, self._rendering, self._assets, self._is_allowed)
        try:
            async with asyncio.timeout(self._rendering.time_limit):
                html = await visit.render()
        except TimeoutError as error:
            msg = f"{request.url} did not end within {self._rendering.time_limit:.0f} s in the browser"
            raise RenderingTimeout(msg) from error
        finally:
            await visit.close()
        for kind, count in (("requests", visit.allowed), ("forbidden", visit.forbidden)):
            if count:
                self.stats.inc_value(f"lcl/render/{kind}", count)
        if html is None:
            return Response(document.url, status=302, headers={"Location": visit.left_for}, request=request)
        headers = document.headers.copy()
        headers["Content-Type"] = "text/html; charset=utf-8"
        return HtmlResponse(
            document.url,
            status=document.status,
            headers=headers,
            body=html.encode("utf-8", "replace"),  # a script can write half of a character
            encoding="utf-8",
            request=request,
            flags=[*document.flags, "rendered"],
        )

    async def _is_allowed(self, url: str) -> bool:
        """Return whether the site's robots.txt, which was read before the crawl, lets the page ask for a URL.

        That of another host is not asked for.
        """
        robots: TypedRobotsTxtMiddleware | None = self._crawler.get_downloader_middleware(TypedRobotsTxtMiddleware)
        return robots is None or await robots.allows(url)

    async def _close(self) -> None:
        for wrapper in list(self.context_wrappers.values()):
            with suppress(PlaywrightError):
                await wrapper.context.close()
        self.context_wrappers.clear()
        if hasattr(self, "browser"):
            self.browser.remove_listener("disconnected", self._browser_disconnected_callback)
        if hasattr(self, "browser_provider"):
            await self.browser_provider.close()
