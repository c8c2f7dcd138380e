"""Scripts and style sheets of a site, asked for once in a run: Playwright turns the browser's cache off."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from cachetools import LRUCache
from playwright.async_api import Error as PlaywrightError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from playwright.async_api import Route

KEPT_TYPES = frozenset({"script", "stylesheet"})
MAX_BYTES = 32 * 1024 * 1024
_FORBIDDING = ("no-store", "no-cache", "private")


class _Asset(NamedTuple):
    headers: dict[str, str]
    body: bytes


class Assets:
    """Answers requests for assets from memory, the least lately used leaving first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._kept: LRUCache[str, _Asset] = LRUCache(max_bytes, getsizeof=lambda asset: len(asset.body))

    async def answer(self, route: Route) -> None:
        """Answer a request, from the site where that is needed. Raises Playwright's errors when the page is closed."""
        url = route.request.url
        kept = self._kept.get(url)
        if kept is None:
            try:
                response = await route.fetch(max_redirects=0)
                body = await response.body()
            except PlaywrightError:
                await route.abort("failed")
                return
            if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
                await route.continue_()  # the browser follows redirects by its own rules
                return
            if response.status != HTTPStatus.OK:
                await route.fulfill(status=response.status, headers=response.headers, body=body)
                return
            kept = _Asset(response.headers, body)
            if may_keep(response.headers) and len(body) <= self._kept.maxsize:
                self._kept[url] = kept
        await route.fulfill(status=HTTPStatus.OK, headers=kept.headers, body=kept.body)


def may_keep(headers: Mapping[str, str]) -> bool:
    """Return whether an answer's Cache-Control lets it be used again within a run; names in lower case."""
    control = headers.get("cache-control", "").lower()
    return not any(word in control for word in _FORBIDDING)
