"""Scrapy's own middlewares, raising what happened as a type: a page is never judged by a message's text (A23).

All of them raise a bare `IgnoreRequest` for robots.txt, redirects and decompression alike.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import re
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from scrapy import Request
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.redirect import RedirectMiddleware
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.utils.httpobj import urlparse_cached

from db.errors import one_line
from db.urls import canonical_url
from lcl_spiders.validators import retry_after

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.http import Response

CONDITIONAL_HEADERS = ("If-None-Match", "If-Modified-Since")
_NO_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?:/|$)", re.IGNORECASE)
REDIRECTS = (301, 302, 303, 307, 308)
PATIENCE = 5  # seconds
UNREACHABLE = (HTTPStatus.TOO_MANY_REQUESTS,)  # says as little as a server error does


# What keeps a robots.txt from being read ends the run, with one line that says so; Scrapy adds a traceback.
logging.getLogger("scrapy.downloadermiddlewares.robotstxt").addFilter(lambda record: record.levelno < logging.ERROR)


class RobotsForbidden(IgnoreRequest):
    """robots.txt forbids the URL."""


class RobotsUnavailable(IgnoreRequest):
    """robots.txt could not be read, so that everything is forbidden (RFC 9309 section 2.3.1.4)."""


class TooManyRedirects(IgnoreRequest):
    """A chain of redirects does not end within `REDIRECT_MAX_TIMES`."""


class TooLarge(IgnoreRequest):
    """A body is larger than `DOWNLOAD_MAXSIZE` when decompressed."""


class BodyCutShort(IgnoreRequest):
    """A compressed body ends before its end."""


class TypedRobotsTxtMiddleware(RobotsTxtMiddleware):
    """robots.txt by RFC 9309, with `RobotsForbidden` and `RobotsUnavailable`.

    Scrapy takes a server error, and no answer at all, for "everything is allowed".
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._bodies: dict[str, bytes] = {}
        self._unavailable: dict[str, RobotsUnavailable] = {}

    async def read(self, url: str) -> bytes:
        """Return the robots.txt of a URL's host, empty when it has none. Raises `RobotsUnavailable`."""
        request = Request(url)
        await self.robot_parser(request)
        netloc = urlparse_cached(request).netloc
        if netloc in self._unavailable:
            raise self._unavailable[netloc]
        return self._bodies.get(netloc, b"")

    async def allows(self, url: str) -> bool:
        """Return whether a URL may be asked for, as far as the robots.txt of its host was read already."""
        request = Request(url)
        if urlparse_cached(request).netloc not in self._bodies:
            return True
        parser = await self.robot_parser(request)
        return parser is None or parser.allowed(url, self._robotstxt_useragent or self._default_useragent)

    async def process_request(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.meta.get("dont_obey_robotstxt"):
            return
        await self.read(request.url)
        try:
            await super().process_request(request, *args, **kwargs)
        except IgnoreRequest as error:
            raise RobotsForbidden(str(error)) from error

    async def _parse_robots(self, response: Response, netloc: str, *args: Any, **kwargs: Any) -> None:
        if response.status in UNREACHABLE or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            msg = f"{response.url} answered {response.status}"
            raise RobotsUnavailable(msg)
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            response = response.replace(body=b"")
        self._bodies[netloc] = response.body
        await super()._parse_robots(response, netloc, *args, **kwargs)

    def _robots_error(self, exc: Exception, netloc: str) -> None:
        if isinstance(exc, RobotsUnavailable):
            self._unavailable[netloc] = exc
        elif not isinstance(exc, TooManyRedirects):  # which counts as having none (section 2.3.1.2)
            error = RobotsUnavailable(f"robots.txt of {netloc} gave no answer: {type(exc).__name__}: {one_line(exc)}")
            error.__cause__ = exc
            self._unavailable[netloc] = error
        super()._robots_error(exc, netloc)


class TypedRedirectMiddleware(RedirectMiddleware):
    """Redirects, with `TooManyRedirects`, and without the validators of the page that was asked for.

    The page that a redirect leads to would answer 304 to what it never said.
    """

    def process_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Request | Response:
        if response.status in REDIRECTS and not _is_url(response):
            self.crawler.stats.inc_value("lcl/redirects/malformed")
            return response
        try:
            answer = super().process_response(request, response, *args, **kwargs)
        except IgnoreRequest as error:
            raise TooManyRedirects(str(error)) from error
        if isinstance(answer, Request):
            for name in CONDITIONAL_HEADERS:
                answer.headers.pop(name, None)
        return answer


class PatientRetryMiddleware(RetryMiddleware):
    """Retries, after the time that a site asks for where it is short; a longer one is the next run's business."""

    async def process_response(  # type: ignore[override]  # Scrapy takes either
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Request | Response:
        asked = response.headers.get("Retry-After") or b""
        seconds = retry_after(asked.decode("latin-1"), dt.datetime.now(dt.UTC)) or 0
        if seconds > PATIENCE:
            return response
        answer = super().process_response(request, response, *args, **kwargs)
        if isinstance(answer, Request):
            await asyncio.sleep(seconds)  # as long as the site asks for
        return answer


class TypedHttpCompressionMiddleware(HttpCompressionMiddleware):
    """Decompression, with `TooLarge`, and with `BodyCutShort` where Scrapy takes what it got for the page."""

    def process_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Request | Response:
        # Looked at first: Scrapy takes the header away from the answer that it decodes.
        is_gzip = response.headers.getlist("Content-Encoding")[-1:] in ([b"gzip"], [b"x-gzip"])
        try:
            answer = super().process_response(request, response, *args, **kwargs)
        except IgnoreRequest as error:
            raise TooLarge(str(error)) from error
        if is_gzip and response.body and request.method != "HEAD" and not _is_whole_gzip(response.body):
            msg = f"the gzip stream of {response.url} has no end"
            raise BodyCutShort(msg)
        return answer


def _is_url(response: Response) -> bool:
    """Return whether a redirect says where to: a URL with a host, or one relative to the page."""
    location = (response.headers.get("Location") or b"").decode("utf-8", "replace").strip()
    if not location or _NO_HOST.match(location):
        return False
    try:
        canonical_url(urljoin(response.url, location))
    except ValueError:
        return False
    return True


def _is_whole_gzip(body: bytes) -> bool:
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        stream.decompress(body)
    except zlib.error:
        return False
    return stream.eof
