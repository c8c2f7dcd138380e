"""What a local site answers at one path, and the bytes it sends for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Final, NamedTuple

AUTO: Final = "auto"

_CHARSET = re.compile(r"charset=\"?([\w.:-]+)", re.IGNORECASE)
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


class Drip(NamedTuple):
    """A body sent in pieces of ``size`` bytes, with ``pause`` seconds after each."""

    size: int = 64
    pause: float = 0.05


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to GET and HEAD at one path.

    ``etag`` is AUTO for a strong one made from the body, None for none, or the header's text as it is sent (quotes
    included), so that a site can also lie. ``last_modified`` carries a time zone. Both are sent with 2xx answers only.
    ``conditional=False`` sends validators and ignores them in requests; ``stubborn`` answers 304 to whatever validators
    a request has. ``headers`` replace those the page would send by itself. ``delay`` is in seconds, before the first
    byte. ``truncate_at`` announces the whole body, sends that many bytes of it and closes the connection.
    """

    body: str | bytes = b""
    status: int = 200
    content_type: str | None = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = AUTO
    last_modified: datetime | None = None
    conditional: bool = True
    stubborn: bool = False
    delay: float = 0.0
    truncate_at: int | None = None
    drip: Drip | None = None

    def __post_init__(self) -> None:
        if self.last_modified is not None and self.last_modified.tzinfo is None:
            raise ValueError(f"last_modified has no time zone: {self.last_modified}")


class Reply(NamedTuple):
    """What one request is answered with; ``head`` lacks the lines that differ from answer to answer."""

    status: int
    head: bytes
    body: bytes


class PreparedPage:
    """A page as the bytes that leave the socket, made once so that an answer costs no formatting."""

    def __init__(self, page: Page, *, conditional: bool = True) -> None:
        self.page = page
        self.is_immediate = not page.delay and page.drip is None and page.truncate_at is None
        body = _encode(page)
        successful = 200 <= page.status < 300
        self._etag = _etag(page, body) if successful else None
        self._modified = page.last_modified.replace(microsecond=0) if page.last_modified and successful else None
        headers = self._headers(body)
        self._whole = Reply(page.status, _head(page.status, headers), body)
        self._head_only = self._whole._replace(body=b"")
        self._not_modified: Reply | None = None
        if conditional and page.conditional and (self._etag or self._modified):
            headers.pop("content-length", None)
            headers.pop("content-type", None)
            self._not_modified = Reply(304, _head(304, headers), b"")

    def answer(self, method: str, headers: Mapping[str, str]) -> Reply:
        """Return the reply to a GET or HEAD; the names in ``headers`` are in lower case."""
        if self._not_modified is not None and self._is_current(headers):
            return self._not_modified
        return self._head_only if method == "HEAD" else self._whole

    def _headers(self, body: bytes) -> dict[str, tuple[str, str]]:
        page = self.page
        headers: list[tuple[str, str]] = []
        if page.content_type is not None:
            headers.append(("Content-Type", page.content_type))
        if _may_have_body(page.status):
            headers.append(("Content-Length", str(len(body))))
        if self._etag is not None:
            headers.append(("ETag", self._etag))
        if self._modified is not None:
            headers.append(("Last-Modified", format_datetime(self._modified.astimezone(UTC), usegmt=True)))
        headers.extend(page.headers.items())
        return {name.lower(): (name, value) for name, value in headers}

    def _is_current(self, headers: Mapping[str, str]) -> bool:
        if self.page.stubborn and ("if-none-match" in headers or "if-modified-since" in headers):
            return True
        # RFC 9110 section 13.2.2: If-None-Match decides alone where it is present.
        expected = headers.get("if-none-match")
        if expected is not None:
            return self._matches(expected.strip())
        since = headers.get("if-modified-since")
        if since is None or self._modified is None:
            return False
        try:
            return self._modified <= parsedate_to_datetime(since)
        except (TypeError, ValueError):
            return False  # not a date, or one without a zone: the header is ignored (section 13.1.3)

    def _matches(self, expected: str) -> bool:
        # The weak comparison of section 8.8.3.2; the first test also serves tags that are sent without quotes.
        if expected in {"*", self._etag}:
            return True
        own = _ENTITY_TAG.fullmatch(self._etag or "")
        return own is not None and own[1] in _ENTITY_TAG.findall(expected)


def _encode(page: Page) -> bytes:
    if not _may_have_body(page.status):
        return b""
    if isinstance(page.body, bytes):
        return page.body
    charset = _CHARSET.search(page.content_type or "")
    return page.body.encode(charset[1] if charset else "utf-8")


def _etag(page: Page, body: bytes) -> str | None:
    return f'"{sha256(body).hexdigest()[:32]}"' if page.etag == AUTO else page.etag


def _head(status: int, headers: Mapping[str, tuple[str, str]]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.values())]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _may_have_body(status: int) -> bool:
    return status >= 200 and status not in {204, 304}
