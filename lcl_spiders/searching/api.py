"""The HTTP API: `GET /search` and `GET /health`, over one lease of what a process shares.

    GET /search?q=opening+hours&limit=10&source=example&language=nl&path=/docs/&since=7d
    {"query": "opening hours", "results": [{"url": …, "title": …, "heading": …, "content": …, "score": …, "source": …}]}

docs/search.md describes it for those who call it.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from aiohttp import web
from psycopg_pool import PoolTimeout

from db import models
from db.connection import POOL_SIZE
from db.errors import DatabaseUnavailable
from lcl_spiders.searching import question
from lcl_spiders.searching.problems import BadParameter, Problem, Unavailable, as_problem_details
from lcl_spiders.searching.question import MAX_LIMIT, Question
from pipelines import runtime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.typedefs import Handler
    from multidict import MultiMapping

    from db.models import Model
    from pipelines.config import Config
    from pipelines.query import Result
    from pipelines.runtime import Runtime

T = TypeVar("T")

PATIENCE = 2.0  # seconds that a request waits for the database to be there again
AT_A_TIME = POOL_SIZE - 1
"""Searches answered at a time, each with a connection; one is left to see whether the database is there."""

WAITING = 16
"""Searches that wait for their turn; what comes beyond is sent away at once."""

_PARAMETERS = frozenset({"q", "limit", "source", "language", "path", "since", "text_only"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class SearchApi:
    """Answers questions about the index. `open` must have been awaited before the first, `close` comes after the last.

    `token`: what callers must send as a bearer token (RFC 6750); None lets everyone ask. `timeout`: seconds for one
    answer, the time that it waits for its turn included.
    """

    def __init__(self, config: Config, *, token: str | None, timeout: float) -> None:
        self._config = config
        self._token = token
        self._timeout = timeout
        self._shared: Runtime | None = None
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._waiting = 0

    async def open(self) -> None:
        """Take the lease, for as long as the API lives. Raises `DatabaseProblem`."""
        self._shared = await runtime.lease(self._config)

    async def close(self) -> None:
        """Give the lease back."""
        if self._shared is not None:
            shared, self._shared = self._shared, None
            await runtime.give_back(shared)

    def application(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(middlewares=[as_problem_details, self._only_with_token])
        app.router.add_get("/search", self.search)
        app.router.add_get("/health", self.health)
        return app

    async def search(self, request: web.Request) -> web.Response:
        """Answer with the best pages for a query."""
        asked = question_of(request.query)
        began = time.perf_counter()
        async with self._turn():
            await self._reach_database()
            results = await asked.ask(self._config)
        took = (time.perf_counter() - began) * 1000
        return web.json_response(
            {"query": asked.text, "results": [as_member(result) for result in results]},
            headers={"Server-Timing": f"search;dur={took:.1f}", "Cache-Control": "no-store"},
        )

    async def health(self, _request: web.Request) -> web.Response:
        """Answer 200 while questions can be answered: the database is there, and a model is active."""
        model = await self._reach_database()
        if model is None:
            raise Unavailable("the index is empty: no source was crawled yet")
        return web.json_response({"status": "ok", "model": str(model)}, headers={"Cache-Control": "no-store"})

    @web.middleware
    async def _only_with_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is not None and request.path != "/health":
            scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
            is_right = hmac.compare_digest(sent.strip().encode("utf-8", "surrogateescape"), self._token.encode())
            if scheme.lower() != "bearer" or not is_right:
                headers = {"WWW-Authenticate": 'Bearer realm="search"'}
                raise Problem(HTTPStatus.UNAUTHORIZED, "send the token: Authorization: Bearer …", headers=headers)
        return await handler(request)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and bound both the wait and what is done in it."""
        if self._waiting >= WAITING:
            raise Unavailable("too many searches at a time")
        try:
            async with asyncio.timeout(self._timeout):
                self._waiting += 1
                try:
                    await self._turns.acquire()
                finally:
                    self._waiting -= 1
                try:
                    yield
                finally:
                    self._turns.release()
        except TimeoutError:
            raise Unavailable(f"no answer within {self._timeout:g} s") from None

    async def _reach_database(self) -> Model | None:
        """Return the active model once a connection works. Raises `DatabaseUnavailable` when none does in time.

        After an outage the pool's connections are broken, and found to be so one by one.
        """
        assert self._shared is not None  # noqa: S101 - see the class
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        async with self._shared.pool.connection() as connection:
                            return await models.active(connection)
                    except psycopg.OperationalError:
                        await asyncio.sleep(0)  # the pool replaces the connection; with none left it makes us wait
        except (TimeoutError, PoolTimeout):
            msg = f"no connection within {PATIENCE:g} s"
            raise DatabaseUnavailable(msg) from None


def question_of(parameters: MultiMapping[str]) -> Question:
    """Return the question that a URL's parameters ask. Raises `BadParameter`."""
    if unknown := sorted(set(parameters) - _PARAMETERS):
        raise BadParameter(unknown[0], f"no such parameter; there are {', '.join(sorted(_PARAMETERS))}")
    for name in ("q", "limit", "path", "since", "text_only"):
        if len(parameters.getall(name, [])) > 1:
            raise BadParameter(name, "give it once")
    return Question(
        text=_parsed(question.text, "q", parameters.get("q", "")),
        limit=_parsed(_limit, "limit", parameters.get("limit", "10")),
        sources=tuple(parameters.getall("source", [])),
        languages=tuple(_parsed(question.language, "language", each) for each in parameters.getall("language", [])),
        path=_parsed(question.path, "path", parameters["path"]) if "path" in parameters else None,
        since=_parsed(question.since, "since", parameters["since"]) if "since" in parameters else None,
        text_only=_parsed(_truth, "text_only", parameters.get("text_only", "false")),
    )


def as_member(result: Result) -> dict[str, Any]:
    """Return a result as a member of the answer: the fields that `scrapy search --json` prints."""
    fields = ("url", "title", "heading", "content", "score", "source")
    return {name: getattr(result, name) for name in fields}


def _parsed(parse: Callable[[str], T], name: str, given: str) -> T:
    try:
        return parse(given)
    except ValueError as error:
        raise BadParameter(name, str(error)) from None


def _limit(given: str) -> int:
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given[:4]) <= MAX_LIMIT or len(given) > 3:
        raise ValueError(f"{given[:20]!r} is no whole number from 1 to {MAX_LIMIT}")
    return int(given)


def _truth(given: str) -> bool:
    if given.lower() not in _TRUTH:
        raise ValueError(f"{given[:20]!r} is neither true nor false")
    return _TRUTH[given.lower()]
