"""A site that runs in a thread of its own and can be changed while it runs."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Lock, Thread
from types import MappingProxyType
from typing import NamedTuple, Self
from urllib.parse import quote

from lcl_spiders.local_site.connection import Connection
from lcl_spiders.local_site.folder import content_type, load
from lcl_spiders.local_site.page import Page, PreparedPage, Reply

HOST = "127.0.0.1"
NOT_FOUND = Page("<!doctype html><title>Not found</title><h1>Not found</h1>", status=404)

NotFound = Page | Callable[[str], Page]
"""What a path without a page is answered with, or a function that makes it from the path with its query."""

_NOT_ALLOWED = PreparedPage(Page(status=405, headers={"Allow": "GET, HEAD"}))


class Request(NamedTuple):
    """A request as the site saw it: the path with its query, header names in lower case, the status it answered."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]


class LocalSite:
    """An HTTP/1.1 site on loopback, at a free port unless one is given.

    ``pages`` maps paths to pages; a text or bytes stands for a page with the content type that the path's end says. A
    request finds the page of its path with query, else of its path alone, else ``not_found``. ``conditional=False``
    answers no request with 304. ``log=False`` keeps no ``requests``: use it where they would be many.

    ``start`` returns when the site answers and raises OSError if the port is taken; a second start without a stop is
    a RuntimeError. ``stop`` drops all connections, does nothing when the site does not run, and a later start uses the
    same port, so that a site can go away and come back. All methods may be called from any thread.
    """

    def __init__(
        self,
        pages: Mapping[str, Page | str | bytes] | None = None,
        *,
        port: int = 0,
        conditional: bool = True,
        not_found: NotFound = NOT_FOUND,
        log: bool = True,
    ) -> None:
        self._port = port
        self._conditional = conditional
        self._logs = log
        self._lock = Lock()
        self._prepared: dict[str, PreparedPage] = {}
        self._requests: list[Request] = []
        self._thread: Thread | None = None
        self.not_found = not_found
        for path, page in (pages or {}).items():
            self[path] = page

    @classmethod
    def from_folder(
        cls,
        folder: Path | str,
        *,
        port: int = 0,
        conditional: bool = True,
        not_found: NotFound = NOT_FOUND,
        log: bool = True,
    ) -> Self:
        """Return a site with the files of a folder as they are now; ``index.html`` is its folder's page as well."""
        return cls(load(Path(folder)), port=port, conditional=conditional, not_found=not_found, log=log)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to answer."""
        if self._thread is not None:
            raise RuntimeError(f"this site is already running at {self.url()}")
        started: Future[None] = Future()
        thread = Thread(target=lambda: asyncio.run(self._serve(started)), name="local-site", daemon=True)
        thread.start()
        started.result()
        self._thread = thread

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    @property
    def domain(self) -> str:
        """Host and port, as in the site's URLs."""
        if not self._port:
            raise RuntimeError("the site has no port before its first start")
        return f"{HOST}:{self._port}"

    def url(self, path: str = "/") -> str:
        """Return the absolute URL of a path."""
        return f"http://{self.domain}{_wire_path(path)}"

    @property
    def pages(self) -> Mapping[str, Page]:
        """The pages by path as they are now; a snapshot that cannot be written to."""
        with self._lock:
            return MappingProxyType({path: prepared.page for path, prepared in self._prepared.items()})

    def __getitem__(self, path: str) -> Page:
        return self._prepared[_wire_path(path)].page

    def __setitem__(self, path: str, page: Page | str | bytes) -> None:
        path = _wire_path(path)
        if not isinstance(page, Page):
            page = Page(page, content_type=content_type(path, page if isinstance(page, bytes) else None))
        prepared = self._prepare(page)
        with self._lock:
            self._prepared[path] = prepared

    def __delitem__(self, path: str) -> None:
        with self._lock:
            del self._prepared[_wire_path(path)]

    def __contains__(self, path: str) -> bool:
        return _wire_path(path) in self._prepared

    @property
    def not_found(self) -> NotFound:
        """What a path without a page is answered with; give it status 200 and the site has soft 404s."""
        return self._not_found

    @not_found.setter
    def not_found(self, answer: NotFound) -> None:
        self._not_found = answer
        self._answer_unknown = self._answerer(answer)

    @property
    def requests(self) -> list[Request]:
        """The requests since the start or the last reset, in the order they came; a copy."""
        with self._lock:
            return list(self._requests)

    def reset(self) -> None:
        """Forget the requests seen so far."""
        with self._lock:
            self._requests.clear()

    def _respond(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[PreparedPage, Reply]:
        prepared = self._find(path) if method in {"GET", "HEAD"} else _NOT_ALLOWED
        reply = prepared.answer(method, headers)
        if self._logs:
            with self._lock:
                self._requests.append(Request(method, path, reply.status, headers))
        return prepared, reply

    def _find(self, path: str) -> PreparedPage:
        prepared = self._prepared.get(path)
        if prepared is None and "?" in path:
            prepared = self._prepared.get(path.partition("?")[0])
        return self._answer_unknown(path) if prepared is None else prepared

    def _answerer(self, answer: NotFound) -> Callable[[str], PreparedPage]:
        if not isinstance(answer, Page):
            return lambda path: self._prepare(answer(path))
        prepared = self._prepare(answer)
        return lambda _: prepared

    def _prepare(self, page: Page) -> PreparedPage:
        return PreparedPage(page, conditional=self._conditional)

    async def _serve(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        connections: set[Connection] = set()
        try:
            server = await self._loop.create_server(
                lambda: Connection(self._respond, connections), HOST, self._port, backlog=1024
            )
        except OSError as error:
            started.set_exception(error)
            return
        self._port = server.sockets[0].getsockname()[1]
        started.set_result(None)
        await self._stopping.wait()
        server.close()
        for connection in tuple(connections):
            connection.abort()
        await asyncio.sleep(0)  # a turn of the loop, in which the aborted connections close


def _wire_path(path: str) -> str:
    """Return a path as it stands in a request line; what is percent-encoded already stays so."""
    if not path.startswith("/"):
        raise ValueError(f"a path begins with a slash: {path!r}")
    return quote(path, safe="%/?:@!$&'()*+,;=~")
