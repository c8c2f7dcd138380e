"""Errors of the HTTP API as problem details (RFC 9457)."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import psycopg
from aiohttp import web
from psycopg_pool import PoolTimeout

from db.errors import AmbiguousSource, DatabaseProblem, SourceNotFound, one_line
from pipelines.providers import ProviderError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

logger = logging.getLogger(__name__)

UNAVAILABLE = (DatabaseProblem, PoolTimeout, ProviderError, psycopg.OperationalError)
RETRY_AFTER = "2"  # seconds


class Problem(Exception):
    """An answer that is no result. Raised by the API's handlers; `more` is sent as members of the problem's own."""

    def __init__(self, status: HTTPStatus, detail: str, *, headers: dict[str, str] | None = None, **more: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.more = more


class BadParameter(Problem):
    """A parameter that is missing, unknown, or has a value that makes no sense."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, f"{name}: {detail}", parameter=name)


class Unavailable(Problem):
    """The question was not answered, and may be asked again."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": RETRY_AFTER})


@web.middleware
async def as_problem_details(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error, aiohttp's own as well, as problem details. What nobody expected is logged, and not told."""
    try:
        return await handler(request)
    except Problem as problem:
        return _response(problem)
    except (SourceNotFound, AmbiguousSource) as error:
        return _response(BadParameter("source", str(error)))
    except UNAVAILABLE as error:
        logger.warning("%s %s: %s", request.method, request.path, one_line(error))
        return _response(Unavailable(_told(error)))
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        return _response(Problem(status, status.description or status.phrase, headers=_kept(error)))
    except Exception:  # whatever it was, the next request must find a server
        logger.exception("%s %s failed", request.method, request.path)
        return _response(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the search failed; the server's log says why"))


def _told(error: BaseException) -> str:
    """Return what strangers may know of an outage: a driver's message names hosts, users and databases."""
    if isinstance(error, ProviderError):
        return "the embedding provider does not answer; text_only=true asks without it"
    if isinstance(error, DatabaseProblem) and error.reason != DatabaseProblem.reason:
        return f"the index cannot be searched: {error.reason}"
    return "the database does not answer"


def _response(problem: Problem) -> web.Response:
    status = problem.status
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": problem.detail,
        **problem.more,
    }
    return web.Response(
        status=status,
        body=json.dumps(body, ensure_ascii=False).encode(),
        content_type="application/problem+json",
        headers=problem.headers,
    )


def _kept(error: web.HTTPException) -> dict[str, str]:
    return {name: error.headers[name] for name in ("Allow",) if name in error.headers}
