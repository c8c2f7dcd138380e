"""What a page may ask for while it is rendered, and what it cannot do without: pure functions."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urldefrag, urlsplit

# What text is made of. Images, fonts and media are none; beacons, event streams and manifests are nobody's text.
WANTED_TYPES = frozenset({"document", "script", "stylesheet", "xhr", "fetch"})
ESSENTIAL_TYPES = frozenset({"script", "xhr", "fetch"})
# The page gave up itself, or we did not let it: nobody's failure.
OWN_ABORTS = ("net::ERR_ABORTED", "net::ERR_BLOCKED_BY_CLIENT")


def is_essential(url: str, method: str, resource_type: str, page_url: str) -> bool:
    """Return whether a page's text may hang on a request: its own site's scripts, and data that they ask for.

    Its own site is its host, and those below that host without its `www.`: data often comes from `api.`.
    """
    if method != "GET" or resource_type not in ESSENTIAL_TYPES:
        return False
    host, own = urlsplit(url).hostname or "", (urlsplit(page_url).hostname or "").removeprefix("www.")
    return host == own or host.endswith(f".{own}")


def is_failure(status: int) -> bool:
    """Return whether a status says that the site cannot answer at the moment."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def is_elsewhere(url: str, page_url: str) -> bool:
    """Return whether a navigation leads to another document than the page itself."""
    return urlsplit(url).scheme in {"http", "https"} and urldefrag(url)[0] != urldefrag(page_url)[0]
