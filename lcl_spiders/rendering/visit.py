"""One page in the browser: what it asks for, when it is complete, and where its scripts lead."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from lcl_spiders.downloadermiddlewares.typed import TooLarge
from lcl_spiders.rendering.assets import KEPT_TYPES, Assets
from lcl_spiders.rendering.errors import BrowserBroke, RenderingFailed, RenderingTimeout
from lcl_spiders.rendering.requests import OWN_ABORTS, WANTED_TYPES, is_elsewhere, is_essential, is_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import BrowserContext, Page, Request, Response, Route
    from scrapy.http import HtmlResponse

    from lcl_spiders.rendering.config import RenderingConfig

# Of the document's own headers: what speaks of a body that the browser does not get, or makes a file of the page.
_WITHHELD = frozenset(
    {"connection", "content-disposition", "content-encoding", "content-length", "content-type", "transfer-encoding"}
)


class Visit:
    """Shows the browser a document that was downloaded already, and watches what the page makes of it.

    `allows` says whether the site's robots.txt lets a URL be asked for. `left_for` is the URL that the page's scripts
    navigate to, None while they stay: such a navigation is not followed here. `allowed` counts what the page was let
    ask for, `forbidden` what robots.txt kept from it.
    """

    def __init__(
        self,
        page: Page,
        document: HtmlResponse,
        config: RenderingConfig,
        assets: Assets,
        allows: Callable[[str], Awaitable[bool]],
    ) -> None:
        self.left_for: str | None = None
        self.allowed = self.forbidden = 0
        self._page = page
        self._document = document
        self._config = config
        self._assets = assets
        self._allows = allows
        self._is_over = asyncio.Event()
        self._is_shown = False
        self._awaited: set[Request] = set()
        self._broken: str | None = None
        self._popups: list[Page] = []

    async def render(self) -> str | None:
        """Return the page's HTML when it is complete, None when its scripts leave it.

        Raises a `RenderingError` or `TooLarge`, and Playwright's errors where the browser fails.
        """
        rendering = asyncio.ensure_future(self._render())
        over = asyncio.ensure_future(self._is_over.wait())
        try:
            await asyncio.wait((rendering, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (rendering, over):
                task.cancel()
            await asyncio.gather(rendering, over, return_exceptions=True)
        if self.left_for is not None:
            return None
        if self._is_over.is_set():
            raise BrowserBroke(f"the browser's process for {self._document.url} broke down")
        return rendering.result()

    async def _render(self) -> str:
        page = self._page
        page.on("popup", self._opened)
        page.on("crash", self._ended)
        page.on("close", self._ended)
        page.on("request", self._asked)
        page.on("response", self._answered)
        page.on("requestfinished", self._finished)
        page.on("requestfailed", self._failed)
        await page.route("**/*", self._decide)
        await page.goto(self._document.url, wait_until="commit")
        await self._complete()
        if self._broken is not None and self._config.wait_for is None:
            raise RenderingFailed(self._broken)
        html = await page.content()
        if len(html) > self._config.max_size:
            msg = f"{self._document.url} has {len(html)} characters when it is rendered"
            raise TooLarge(msg)
        return html

    async def close(self) -> None:
        """Close the page, and what it opened."""
        for page in (*self._popups, self._page):
            await page.close()

    async def _complete(self) -> None:
        milliseconds = self._config.timeout * 1000
        if (selector := self._config.wait_for) is not None:
            try:
                await self._page.wait_for_selector(f"css={selector}", state="attached", timeout=milliseconds)
            except PlaywrightTimeout as error:
                msg = f"no element {selector} (render_wait) within {self._config.timeout:.0f} s{self._because}"
                raise RenderingTimeout(msg) from error
            return
        try:
            await self._page.wait_for_load_state("networkidle", timeout=milliseconds)
        except PlaywrightTimeout as error:
            if self._awaited:  # other sites' counters and chats may go on for ever
                url = next(iter(self._awaited)).url
                msg = f"still waiting for {url} after {self._config.timeout:.0f} s; render_wait can name an element"
                raise RenderingTimeout(msg) from error

    @property
    def _because(self) -> str:
        return f"; {self._broken}" if self._broken is not None else ""

    async def _decide(self, route: Route) -> None:
        """Answer, refuse or let through one of the page's requests."""
        request = route.request
        try:
            if request.is_navigation_request() and request.frame.parent_frame is None:
                await self._navigate(route)
            elif request.is_navigation_request() or request.resource_type not in WANTED_TYPES:
                await route.abort("blockedbyclient")
            elif not await self._allows(request.url):
                self.forbidden += 1
                await route.abort("blockedbyclient")
            else:
                self.allowed += 1
                is_asset = request.resource_type in KEPT_TYPES and request.method == "GET"
                await (self._assets.answer(route) if is_asset else route.continue_())
        except PlaywrightError:  # the page was closed meanwhile
            return

    async def _navigate(self, route: Route) -> None:
        url = route.request.url
        if not self._is_shown:
            self._is_shown = True
            await route.fulfill(
                status=self._document.status,
                headers=_shown_headers(self._document),
                content_type="text/html; charset=utf-8",
                body=self._document.text,
            )
            return
        if is_elsewhere(url, self._document.url):
            self.left_for = url
            self._is_over.set()
        else:
            self._broken = f"{url} is loaded again by its own script, as if it were not the page yet"
        await route.abort("aborted")

    def _opened(self, popup: Page) -> None:
        self._popups.append(popup)

    def _ended(self, _: Page) -> None:
        self._is_over.set()

    def _is_essential(self, request: Request) -> bool:
        return is_essential(request.url, request.method, request.resource_type, self._document.url)

    def _asked(self, request: Request) -> None:
        if self._is_essential(request):
            self._awaited.add(request)

    def _answered(self, response: Response) -> None:
        if is_failure(response.status) and self._is_essential(response.request):
            self._broken = f"{response.url}, which the page is made of, answered {response.status}"

    def _finished(self, request: Request) -> None:
        self._awaited.discard(request)

    def _failed(self, request: Request) -> None:
        self._awaited.discard(request)
        why = request.failure or "net::ERR_FAILED"
        if self._is_essential(request) and not why.startswith(OWN_ABORTS):
            self._broken = f"{request.url}, which the page is made of, gave no answer: {why}"


async def refuse_by_default(context: BrowserContext) -> None:
    """Let pages of a context ask for nothing unless a visit decides: pages open others, which nobody watches."""
    await context.route("**/*", _refuse)


async def _refuse(route: Route) -> None:
    with suppress(PlaywrightError):  # closed meanwhile
        await route.abort("blockedbyclient")


def _shown_headers(document: HtmlResponse) -> dict[str, str]:
    """Return the headers that the browser gets with a document, which reaches it decoded."""
    headers = {}
    for name, values in document.headers.items():
        key = name.decode("latin-1").lower()
        if key not in _WITHHELD:
            separator = b"\n" if key == "set-cookie" else b", "
            headers[key] = separator.join(values).decode("latin-1")
    return headers
