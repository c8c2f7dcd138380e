"""The identity of a page: two addresses are one page when their canonical URLs are equal.

Canonical URLs are keys in the database. Whoever changes what `canonical_url` returns renames stored pages.
"""

import re
from functools import lru_cache
from urllib.parse import urlsplit

from w3lib.url import canonicalize_url

_CACHED_URLS = 8_192
_CACHED_LENGTH = 500
"""Longer URLs are not cached: the cache is bounded in entries, and a site chooses how long its URLs are."""

_STRIPPED = "".join(map(chr, range(0x21)))
_BREAKS = str.maketrans("", "", "\t\n\r")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_HOST = re.compile(
    r"(?P<host>[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


def canonical_url(url: str) -> str:
    """Return the one spelling of an absolute http or https URL; idempotent.

    Fragment, credentials (RFC 9110 section 4.2.4) and the scheme's own port are dropped, the host is lower case and
    ASCII (IDNA), dot segments are resolved, percent-encodings and the order of the query's arguments are normalised as
    w3lib does. An empty path is "/".

    Raises:
        ValueError: not an absolute http or https URL with a valid host and port.
    """
    if len(url) <= _CACHED_LENGTH:
        return _cached(url)
    return _canonical(url)


def domain_of(url: str) -> str:
    """Return the host of a URL, with the port when it is not the scheme's own: "docs.example.org", "[::1]:8000".

    Raises:
        ValueError: as `canonical_url`.
    """
    return canonical_url(url).split("/", 3)[2]


def slug_of(url: str) -> str:
    """Return a slug made from the domain: "docs-example-org", "127-0-0-1-8000".

    Raises:
        ValueError: as `canonical_url`.
    """
    return re.sub(r"[^a-z0-9]+", "-", domain_of(url)).strip("-")


def _canonical(url: str) -> str:
    # w3lib decodes one level of percent-encoding a pass, so "%%34%31" would become "%41" first and "A" the next time.
    url = _LONE_PERCENT.sub("%25", url.strip(_STRIPPED).translate(_BREAKS))
    scheme, separator, rest = canonicalize_url(url).partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ValueError(f"not an absolute http or https URL: {url[:200]!r}")
    netloc, _, path = rest.partition("/")
    host = _HOST.fullmatch(netloc.rpartition("@")[2])
    if host is None:
        raise ValueError(f"no valid host: {url[:200]!r}")
    port = host["port"]
    domain = host["host"] if port in {None, _DEFAULT_PORTS[scheme]} else f"{host['host']}:{port}"
    return f"{scheme}://{domain}/{_as_sent(path, url)}"


def _as_sent(path: str, url: str) -> str:
    # w3lib writes "?wsdl" as "?wsdl=", which some servers answer with another page or with none.
    query = urlsplit(url).query
    return path.removesuffix("=") if query and "=" not in query and "&" not in query else path


_cached = lru_cache(maxsize=_CACHED_URLS)(_canonical)
