"""The settings of rendering, checked before a run begins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.numbers import whole_number

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

ENABLED = "LCL_RENDER"  # set for the crawls of sources with render=always, by SourceConfig.scrapy_settings
DOCUMENT = "lcl_document"  # the meta key of the document that is to be rendered
HANDLERS = dict.fromkeys(("http", "https"), "lcl_spiders.rendering.handler.RenderingDownloadHandler")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@dataclass(frozen=True)
class BrowserConfig:
    """How the browser is started. Hashable: crawls with equal values share one.

    `path` is the operator's choice, None for the one on PATH. `pages_at_a_time` bounds all crawls that share it.
    """

    path: str | None
    pages_at_a_time: int

    def launch_options(self, executable: str) -> dict[str, Any]:
        """Return the options of Playwright's `launch`.

        Signals are left to Scrapy, which closes the browser. Chromium's sandbox does not work for root.
        """
        return {
            "executable_path": executable,
            "headless": True,
            "args": list(FLAGS),
            "chromium_sandbox": os.geteuid() != 0,
            "handle_sigint": False,
            "handle_sigterm": False,
            "handle_sighup": False,
        }


@dataclass(frozen=True)
class RenderingConfig:
    """How pages are rendered. `timeout`, in seconds, bounds what a page does after its document has come.

    `time_limit`, in seconds, bounds its time in the browser altogether. `wait_for` is CSS of an element that shows that
    the page is complete, None for a network that has come to rest. `max_size` bounds the rendered page, in characters.
    """

    browser: BrowserConfig
    timeout: float
    time_limit: float
    pages_per_context: int
    wait_for: str | None
    max_size: int
    user_agent: str
    verify_certificates: bool

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> RenderingConfig:
        """Read the `LCL_RENDER_` settings. Raises `ValueError` naming the setting that is wrong."""
        timeout = whole_number(settings, "LCL_RENDER_TIMEOUT", 1, 300)
        return cls(
            browser=BrowserConfig(
                path=settings.get("LCL_CHROMIUM_PATH") or None,
                pages_at_a_time=whole_number(settings, "LCL_RENDER_PAGES_AT_A_TIME", 1, 64),
            ),
            timeout=float(timeout),
            time_limit=timeout + settings.getfloat("DOWNLOAD_TIMEOUT"),
            pages_per_context=whole_number(settings, "LCL_RENDER_PAGES_PER_CONTEXT", 1, 10_000),
            wait_for=settings.get("LCL_RENDER_WAIT") or None,
            max_size=settings.getint("DOWNLOAD_MAXSIZE"),
            user_agent=settings["USER_AGENT"],
            verify_certificates=settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"),
        )

    def context_options(self) -> dict[str, Any]:
        """Return the options of Playwright's `new_context`.

        A service worker would ask for things behind the back of the routes that decide what is asked for.
        """
        return {
            "user_agent": self.user_agent,
            "service_workers": "block",
            "accept_downloads": False,
            "ignore_https_errors": not self.verify_certificates,
        }
