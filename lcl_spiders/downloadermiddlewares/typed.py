"""Scrapy's own middlewares, raising what happened as a type: a page is never judged by a message's text (A23).

All of them raise a bare `IgnoreRequest` for robots.txt, redirects and decompression alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.redirect import RedirectMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response


class RobotsForbidden(IgnoreRequest):
    """robots.txt forbids the URL."""


class TooManyRedirects(IgnoreRequest):
    """A chain of redirects does not end within `REDIRECT_MAX_TIMES`."""


class TooLarge(IgnoreRequest):
    """A body is larger than `DOWNLOAD_MAXSIZE` when decompressed."""


class TypedRobotsTxtMiddleware(RobotsTxtMiddleware):
    """robots.txt, with `RobotsForbidden`."""

    async def process_request(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            await super().process_request(request, *args, **kwargs)
        except IgnoreRequest as error:
            raise RobotsForbidden(str(error)) from error


class TypedRedirectMiddleware(RedirectMiddleware):
    """Redirects, with `TooManyRedirects`."""

    def process_response(self, *args: Any, **kwargs: Any) -> Request | Response:
        try:
            return super().process_response(*args, **kwargs)
        except IgnoreRequest as error:
            raise TooManyRedirects(str(error)) from error


class TypedHttpCompressionMiddleware(HttpCompressionMiddleware):
    """Decompression, with `TooLarge`."""

    def process_response(self, *args: Any, **kwargs: Any) -> Request | Response:
        try:
            return super().process_response(*args, **kwargs)
        except IgnoreRequest as error:
            raise TooLarge(str(error)) from error
