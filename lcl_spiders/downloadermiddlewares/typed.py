"""Scrapy's own middlewares, raising what happened as a type: a page is never judged by a message's text (A23).

All of them raise a bare `IgnoreRequest` for robots.txt, redirects and decompression alike.
"""

from __future__ import annotations

import zlib
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


class BodyCutShort(IgnoreRequest):
    """A compressed body ends before its end."""


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


def _is_whole_gzip(body: bytes) -> bool:
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        stream.decompress(body)
    except zlib.error:
        return False
    return stream.eof
