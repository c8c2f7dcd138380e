"""What an answer says, decided by status, headers and types of errors: pure functions."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from w3lib.encoding import http_content_type_encoding

from lcl_spiders.downloadermiddlewares.typed import (
    BodyCutShort,
    RobotsForbidden,
    RobotsUnavailable,
    TooLarge,
    TooManyRedirects,
)
from lcl_spiders.items import Outcome, PageItem
from lcl_spiders.rendering.errors import RenderingFailed, RenderingTimeout

if TYPE_CHECKING:
    from scrapy.http import Response

GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
PERMANENT = frozenset({301, 308})  # RFC 9110 section 15.4
SILENT = frozenset({"dns", "timeout", "no_answer"})
"""Kinds of failures in which nobody said anything: the site's doing, or that of the way to it."""

_INDEX_FILE = re.compile(r"/(?:index\.(?:html?|php|aspx?))?(?=$|\?)")
_KINDS: dict[type[Exception], str] = {
    RobotsForbidden: "robots_forbidden",
    RobotsUnavailable: "robots_unavailable",
    TooManyRedirects: "redirect_loop",
    TooLarge: "too_large",
    BodyCutShort: "body_cut_short",
    RenderingFailed: "rendering_failed",
    RenderingTimeout: "rendering_timeout",
    DownloadCancelledError: "too_large",
    DownloadTimeoutError: "timeout",
    CannotResolveHostError: "dns",
    DownloadConnectionRefusedError: "connection_refused",
    ResponseDataLossError: "body_cut_short",
}


def outcome(url: str, how: Outcome, reason: str, status: int | None, message: str | None = None) -> PageItem:
    """Return the item of a page that was not read."""
    return PageItem(url=url, outcome=how, reason=reason, http_status=status, message=message)


def kind_of(error: BaseException) -> str:
    """Return the short kind of a request's failure, by its type; "no_answer" for one without a name of its own."""
    return next((kind for type_, kind in _KINDS.items() if isinstance(error, type_)), "no_answer")


def was_moved_for_good(response: Response) -> bool:
    """Return whether every redirect that led to this response was permanent."""
    reasons = response.meta.get("redirect_reasons", [])
    return bool(reasons) and all(reason in PERMANENT for reason in reasons)


def is_same_page(url: str, canonical: str) -> bool:
    """Return whether two canonical URLs differ in nothing but scheme, trailing slash or the name of an index file.

    A rel=canonical that says more than this is not believed without having seen its target.
    """
    return _INDEX_FILE.sub("", url.partition("://")[2]) == _INDEX_FILE.sub("", canonical.partition("://")[2])


def robots_directives(response: Response) -> frozenset[str]:
    """Return the directives of X-Robots-Tag headers that hold for every crawler; `none` is both that there are."""
    headers = b",".join(response.headers.getlist("X-Robots-Tag")).decode("latin-1")
    found = {part.strip().lower() for part in headers.split(",")}
    return frozenset(found | ({"noindex", "nofollow"} if "none" in found else set()))


def header(response: Response, name: str) -> str | None:
    """Return a header's value, None when it is absent or empty."""
    value = response.headers.get(name)
    return value.decode("latin-1").strip() or None if value else None


def charset(response: Response) -> str | None:
    """Return the encoding that the HTTP header declares; what the document says is the extractor's business."""
    return http_content_type_encoding(header(response, "Content-Type"))
