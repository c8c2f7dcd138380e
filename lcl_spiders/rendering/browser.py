"""One Chromium for all crawls of a process: started by the first that renders, closed by the last."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from lcl_spiders.rendering.chromium import ADVICE, BrowserUnavailable, find_chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

    from lcl_spiders.rendering.config import BrowserConfig

logger = logging.getLogger(__name__)

_PRINTED = re.compile(r"^\[pid=\d+\]\[err\] (.+)$", re.MULTILINE)


class SharedBrowser:
    """A browser that is started again when it has died. `places` bounds its open pages.

    Chromium hangs on a pipe from Playwright's driver, the driver on one from this process: both end with it, however
    it ends.
    """

    def __init__(self, config: BrowserConfig) -> None:
        self.config = config
        self.places = asyncio.Semaphore(config.pages_at_a_time)
        self.holders = 0
        self._lock = asyncio.Lock()
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    async def running(self) -> Browser:
        """Return the browser, started if it does not run. Raises `BrowserUnavailable`."""
        async with self._lock:
            if self._browser is not None and self._browser.is_connected():
                return self._browser
            executable = await asyncio.to_thread(find_chromium, self.config.path)
            try:
                if self._playwright is None:
                    self._playwright = await async_playwright().start()
                self._browser = await self._playwright.chromium.launch(**self.config.launch_options(executable))
            except PlaywrightError as error:
                msg = f"{executable} does not start: {_reason(error)}. {ADVICE}"
                raise BrowserUnavailable(msg) from error
            logger.info("rendering in Chromium %s", self._browser.version)
            return self._browser

    async def close(self) -> None:
        """Close the browser and Playwright's driver."""
        async with self._lock:
            browser, self._browser = self._browser, None
            playwright, self._playwright = self._playwright, None
            if browser is not None:
                with suppress(PlaywrightError):  # it has died already
                    await browser.close()
            if playwright is not None:
                await playwright.stop()


def _reason(error: PlaywrightError) -> str:
    """Return the last thing that the browser printed, else what Playwright says, without the command line."""
    printed = _PRINTED.findall(error.message)
    return str(printed[-1] if printed else error.message.splitlines()[0]).strip()[:300]


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[BrowserConfig, SharedBrowser]] = WeakKeyDictionary()


def lease(config: BrowserConfig) -> SharedBrowser:
    """Return the browser that all crawls of this event loop share for these values; it is not started yet."""
    browsers = _shared.setdefault(asyncio.get_running_loop(), {})
    browser = browsers.setdefault(config, SharedBrowser(config))
    browser.holders += 1
    return browser


async def give_back(browser: SharedBrowser) -> None:
    """End one lease; the last closes the browser."""
    browser.holders -= 1
    if browser.holders == 0:
        _shared[asyncio.get_running_loop()].pop(browser.config, None)
        await browser.close()
