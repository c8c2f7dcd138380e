"""Search providers: a question in, the addresses of pages out.

The one there is speaks the Brave Search API (api.search.brave.com, "Web Search"): GET with `q`, `count` (at most 20)
and `offset` (a page of results, at most 9); the key is the header X-Subscription-Token.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "LCL_SEARCH_KEY"
URL = "LCL_SEARCH_URL"
BRAVE = "https://api.search.brave.com/res/v1/web/search"

PAGE_SIZE = 20
MAX_PAGES = 10
MAX_RESULTS = PAGE_SIZE * MAX_PAGES
MAX_ANSWER = 5 * 2**20  # bytes
TIMEOUT = 15  # seconds
ATTEMPTS = 3


class SearchFailed(Exception):
    """A search provider gave no results that can be used. The message never holds the key."""

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient


class SearchProvider(Protocol):
    """What discovery asks of a search engine."""

    async def search(self, query: str, limit: int) -> list[str]:
        """Return the addresses of at most `limit` pages, best first. Raises `SearchFailed`."""
        ...


class BraveSearch:
    """The Brave Search API. The key goes into a header of requests to `url`, and nowhere else."""

    def __init__(self, key: str, url: str = BRAVE) -> None:
        self._key = key
        self._url = url

    async def search(self, query: str, limit: int) -> list[str]:
        """Return the addresses of at most `limit` (200) pages. Raises `SearchFailed`."""
        found: dict[str, None] = {}
        for page in range(MAX_PAGES):
            answer = await self._page(query, page)
            found |= dict.fromkeys(_addresses(answer))
            if len(found) >= limit or not _has_more(answer):
                break
        return list(found)[:limit]

    async def _page(self, query: str, page: int) -> dict[str, Any]:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, SearchFailed) and error.is_transient),
            wait=wait_random_exponential(multiplier=0.5, max=5),
            stop=stop_after_attempt(ATTEMPTS),
            reraise=True,
        ):
            with attempt:
                return await asyncio.to_thread(self._ask, query, page)
        raise AssertionError  # the loop returns or raises

    def _ask(self, query: str, page: int) -> dict[str, Any]:
        parameters = urlencode({"q": query, "count": PAGE_SIZE, "offset": page, "result_filter": "web"})
        request = urllib.request.Request(  # noqa: S310 - http or https, checked by `provider`
            f"{self._url}?{parameters}", headers={"Accept": "application/json", "X-Subscription-Token": self._key}
        )
        host = urlsplit(self._url).netloc
        try:
            with _OPENER.open(request, timeout=TIMEOUT) as response:
                body = response.read(MAX_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(host, error.code) from None  # its body may say the key back
        except (OSError, http.client.HTTPException) as error:
            msg = f"the search provider ({host}) does not answer: {type(error).__name__}"
            raise SearchFailed(msg, is_transient=True) from None
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            msg = f"the search provider ({host}) answered with something else than a JSON object; check {URL}"
            raise SearchFailed(msg)
        return answer


def provider(environ: Mapping[str, str] = os.environ) -> SearchProvider:
    """Return the search provider that the environment has a key for. Raises `SearchFailed`."""
    key, url = environ.get(KEY, "").strip(), environ.get(URL, "").strip() or BRAVE
    if not key:
        msg = f"a search needs a key of the Brave Search API (brave.com/search/api): set {KEY} in the environment"
        raise SearchFailed(msg)
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        msg = f"{KEY} has characters that no key has"
        raise SearchFailed(msg)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query:
        msg = f"{URL} must be an http or https URL without a query, as in {BRAVE}"
        raise SearchFailed(msg)
    return BraveSearch(key, url)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows none: urllib would send the key along to wherever it leads."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _refused(host: str, status: int) -> SearchFailed:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}:
        return SearchFailed(f"the search provider ({host}) refused the request ({status}): check {KEY}, and its plan")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return SearchFailed(
            f"the search provider ({host}) answered 429: the key's rate or quota is used up", is_transient=True
        )
    return SearchFailed(f"the search provider ({host}) answered {status}", is_transient=status >= 500)


def _addresses(answer: dict[str, Any]) -> list[str]:
    web = answer.get("web")
    results = web.get("results") if isinstance(web, dict) else None
    if not isinstance(results, list):
        return []
    urls = (result.get("url") for result in results if isinstance(result, dict))
    return [url for url in urls if isinstance(url, str)]


def _has_more(answer: dict[str, Any]) -> bool:
    query = answer.get("query")
    return isinstance(query, dict) and query.get("more_results_available") is True
