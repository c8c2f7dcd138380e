"""Keeps two requests to a site as far apart as its answers ask for, and remembers that beyond the run (B13)."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from scrapy import signals
from scrapy.exceptions import NotConfigured
from scrapy.utils.httpobj import urlparse_cached

from lcl_spiders.politeness import NAMES, TOO_MUCH, Politeness, rate_limit
from pipelines.numbers import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy import Request, Spider
    from scrapy.core.downloader import Slot
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.robotstxt import RobotParser

logger = logging.getLogger(__name__)

LONGEST_SETTING = 300


class PolitenessExtension:
    """Lengthens the delay of a host that answers 403 or 429, and keeps to the Crawl-delay of its robots.txt.

    `LCL_MAX_DELAY` (seconds, 30) is the longest delay that a site can ask for this way; 0 switches it off. The run
    extension calls `remember` before the first request, and takes `learned` at the end. AutoThrottle, which shortens
    delays after good answers, must be connected before: extensions of a higher order are.
    """

    def __init__(self, crawler: Crawler, longest: float, user_agent: str) -> None:
        self._crawler = crawler
        self._longest = longest
        self._user_agent = user_agent
        self._hosts: dict[str, Politeness] = {}
        self._lengthened_at: dict[str, float] = {}
        self._own = ""
        self._remembered = Politeness()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl. Raises `ValueError` for a setting that makes no sense."""
        settings = crawler.settings
        longest = whole_number(settings, "LCL_MAX_DELAY", 0, LONGEST_SETTING)
        if not longest:
            raise NotConfigured
        extension = cls(crawler, longest, settings["ROBOTSTXT_USER_AGENT"] or settings["USER_AGENT"])
        crawler.signals.connect(extension.robots_parsed, signal=signals.robots_parsed)
        crawler.signals.connect(extension.request_reached_downloader, signal=signals.request_reached_downloader)
        crawler.signals.connect(extension.response_downloaded, signal=signals.response_downloaded)
        return extension

    def remember(self, host: str, stored: Mapping[str, Any] | None) -> None:
        """Begin with what earlier runs learned of the source's own host."""
        self._own = host
        self._hosts[host] = self._remembered = Politeness.from_json(stored)
        if (floor := self._remembered.floor(self._longest, dt.datetime.now(dt.UTC))) > 0:
            logger.info("requests to %s are %.1f s apart, as it asked for in an earlier run", host, floor)

    @property
    def learned(self) -> dict[str, Any] | None:
        """What to store for the source's own host, None when this run learned nothing new of it."""
        known = self._hosts.get(self._own, self._remembered)
        return None if known == self._remembered else known.as_json()

    def robots_parsed(self, robotparser: RobotParser, request: Request) -> None:
        """Take note of a Crawl-delay, and of one that is not there any more."""
        host = urlparse_cached(request).hostname or ""
        self._hosts[host] = replace(self._of(host), crawl_delay=robotparser.crawl_delay(self._user_agent) or None)

    def request_reached_downloader(self, request: Request) -> None:
        """Hold a host's slot, which may be new, to what is known: this comes before the request is queued there."""
        if urlparse_cached(request).hostname in self._hosts:
            self._hold(request)

    def response_downloaded(self, response: Response, request: Request, spider: Spider) -> None:
        """Learn from an answer, whatever was asked for: a page, a sitemap, robots.txt."""
        host = urlparse_cached(request).hostname or ""
        if response.status in TOO_MUCH:
            self._slow_down(host, response, request, spider)
        said = {name.decode("latin-1").lower() for name in response.headers} & NAMES
        if said:
            headers = {name: b", ".join(response.headers.getlist(name)).decode("latin-1") for name in said}
            if (found := rate_limit(headers, response.status, dt.datetime.now(dt.UTC))) is not None:
                self._hosts[host] = replace(self._of(host), rate_limit=found)
        if host in self._hosts:
            self._hold(request)

    def _slow_down(self, host: str, response: Response, request: Request, spider: Spider) -> None:
        """Lengthen the delay, once for all requests that were under way when it was lengthened last."""
        now = monotonic()
        sent_at = now - request.meta.get("download_latency", 0.0)
        slot = self._slot(request)
        if slot is None or sent_at < self._lengthened_at.get(host, 0.0):
            return
        self._lengthened_at[host] = now
        slower = self._of(host).slowed(slot.delay, self._longest, response.status, dt.datetime.now(dt.UTC))
        self._hosts[host] = slower
        assert self._crawler.stats is not None  # noqa: S101 - set before any component is built
        self._crawler.stats.inc_value("lcl/politeness/slowed")
        if slower.delay > slot.delay:
            message = "%s: %s answered %d: requests to %s are %.1f s apart from now on"
            logger.info(message, spider.name, response.url, response.status, host, slower.delay)

    def _hold(self, request: Request) -> None:
        slot = self._slot(request)
        floor = self._of(urlparse_cached(request).hostname or "").floor(self._longest, dt.datetime.now(dt.UTC))
        if slot is not None and slot.delay <= floor and floor > 0:
            # Scrapy's jitter would make every other request come too early.
            slot.delay, slot.jitter = floor, 0.0

    def _slot(self, request: Request) -> Slot | None:
        assert self._crawler.engine is not None  # noqa: S101 - it is there while requests are made
        slot: Slot | None = self._crawler.engine.downloader.slots.get(request.meta.get("download_slot", ""))
        return slot

    def _of(self, host: str) -> Politeness:
        return self._hosts.get(host, Politeness())
