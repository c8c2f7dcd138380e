"""One client's connection: HTTP/1.1 (RFC 9112) requests in, replies out, in the order of the requests."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from lcl_spiders.local_site.page import Page, PreparedPage, Reply

MAX_HEAD = 64 * 1024

Responder = Callable[[str, str, Mapping[str, str]], tuple[PreparedPage, Reply]]
"""Takes method, path with query, and headers (names in lower case)."""


class _Pending(NamedTuple):
    page: Page
    head: bytes
    body: bytes
    keeps_alive: bool


class Connection(asyncio.Protocol):
    """Parses requests and sends what ``respond`` gives for each; it is in ``connections`` while it is open."""

    def __init__(self, respond: Responder, connections: "set[Connection]") -> None:
        self._respond = respond
        self._connections = connections
        self._received = bytearray()
        self._body_left = 0
        self._pending: deque[_Pending] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._ends = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends = True
        self._connections.discard(self)
        if self._sender is not None:
            self._sender.cancel()

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def abort(self) -> None:
        """Close the connection at once, whatever is still to be sent."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while not self._ends:
            if self._body_left:
                skipped = min(self._body_left, len(received))
                del received[:skipped]
                self._body_left -= skipped
            end = received.find(b"\r\n\r\n")
            if self._body_left or end < 0:
                if len(received) > MAX_HEAD:
                    self._refuse(431)
                return
            head = bytes(received[:end]).lstrip(b"\r\n")
            del received[: end + 4]
            try:
                method, target, version, headers = _parse(head)
                self._body_left = int(headers.get("content-length", 0))
            except ValueError:
                self._refuse(400)
                return
            if "transfer-encoding" in headers:
                self._refuse(501)
                return
            page, reply = self._respond(method, target, headers)
            self._send(page, reply, _keeps_alive(version, headers))

    def _refuse(self, status: int) -> None:
        page = PreparedPage(Page(status=status))
        self._send(page, page.answer("GET", {}), keeps_alive=False)

    def _send(self, prepared: PreparedPage, reply: Reply, keeps_alive: bool) -> None:
        self._ends = not keeps_alive
        head = b"".join(
            (reply.head, _date_line(int(time.time())), b"\r\n" if keeps_alive else b"Connection: close\r\n\r\n")
        )
        if prepared.is_immediate and self._sender is None:
            self._transport.write(head + reply.body)
            if not keeps_alive:
                self._transport.close()
            return
        self._pending.append(_Pending(prepared.page, head, reply.body, keeps_alive))
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send_pending())

    async def _send_pending(self) -> None:
        while self._pending:
            page, head, body, keeps_alive = self._pending.popleft()
            await asyncio.sleep(page.delay)  # what the page is to show
            sent = body[: page.truncate_at]
            self._transport.write(head)
            for piece in _pieces(sent, page):
                self._transport.write(piece)
                if page.drip is not None:
                    await asyncio.sleep(page.drip.pause)  # what the page is to show
            if len(sent) < len(body) or not keeps_alive:
                self._ends = True
                self._transport.close()
                return
        self._sender = None


def _pieces(body: bytes, page: Page) -> Iterator[bytes]:
    size = page.drip.size if page.drip is not None else max(len(body), 1)
    return (body[start : start + size] for start in range(0, len(body), size))


def _parse(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = request_line.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"not HTTP/1: {request_line}")
    if not target.startswith("/"):  # the absolute form, which every server must accept (RFC 9112 section 3.2.2)
        parts = urlsplit(target)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not a header: {line}")
        name = name.lower()
        value = value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return method, target, version, headers


def _keeps_alive(version: str, headers: Mapping[str, str]) -> bool:
    options = headers.get("connection", "").lower()
    return "keep-alive" in options if version == "HTTP/1.0" else "close" not in options


@lru_cache(maxsize=1)
def _date_line(second: int) -> bytes:
    return f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
