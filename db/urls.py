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

# Written into links by advertisers, mailers and analytics for the script on the page they lead to; the page is the same
# without them. Only names that no site gives to anything else: "ref", "source", "cid" or "pk" may choose the page.
_TRACKING_PREFIXES = ("utm_", "mtm_", "matomo_", "piwik_")
_TRACKING = frozenset(
    {
        # Google
        *("gclid", "gbraid", "wbraid", "dclid", "gclsrc", "gad_source", "gad_campaignid", "srsltid"),
        *("_ga", "_gl", "_gac"),
        # Meta, Microsoft, Yandex, X, TikTok, LinkedIn, Reddit, Snapchat, Pinterest
        *("fbclid", "fb_action_ids", "fb_action_types", "igshid", "igsh", "msclkid", "yclid", "ysclid", "_openstat"),
        *("twclid", "ttclid", "li_fat_id", "rdt_cid", "sccid", "epik", "irclickid", "cjevent", "_branch_match_id"),
        # newsletters and marketing suites
        *("mc_cid", "mc_eid", "_hsenc", "_hsmi", "__hstc", "__hssc", "__hsfp", "hsctatracking", "mkt_tok", "_kx"),
        *("vero_id", "vero_conv", "wickedid", "oly_anon_id", "oly_enc_id", "ml_subscriber_hash", "elqtrackid"),
        # Matomo's short names
        *("pk_campaign", "pk_kwd", "pk_keyword", "pk_source", "pk_medium", "pk_content", "pk_cid"),
    }
)
# A session names a visitor, so every visit would find a site full of new pages. These names mean nothing else; the
# ambiguous ones ("s" is a search, "sid" a story) count where the value is as long and as random as only a token is.
_SESSION_PREFIX = "aspsessionid"
_SESSION = frozenset({"phpsessid", "jsessionid", "asp.net_sessionid", "oscsid", "zenid"})
_SESSION_PAIR = frozenset({"cfid", "cftoken"})
_SESSION_TOKEN = re.compile(
    r"(?:(?:sid|sessionid|session_id)=(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{16,}"
    r"|s=(?=[a-f]*[0-9])(?=[0-9]*[a-f])[a-f0-9]{16,})",
    re.IGNORECASE,
)
_SESSION_PATH = re.compile(r";jsessionid=[^;/]*", re.IGNORECASE)  # Jakarta Servlet specification, URL rewriting


def canonical_url(url: str) -> str:
    """Return the one spelling of an absolute http or https URL; idempotent.

    Fragment, credentials (RFC 9110 section 4.2.4) and the scheme's own port are dropped, the host is lower case and
    ASCII (IDNA), dot segments are resolved, percent-encodings and the order of the query's arguments are normalised as
    w3lib does. An empty path is "/". Tracking parameters and session ids are left out: they never name another page.

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
    path, mark, query = path.partition("?")
    if mark and (query := _page_query(query, urlsplit(url).query)):
        query = f"?{query}"
    if ";" in path and (bare := _SESSION_PATH.sub("", path)) != path:
        # What is left may have dot segments: "/a/..;jsessionid=1/b".
        return _canonical(f"{scheme}://{domain}/{bare}{query}")
    return f"{scheme}://{domain}/{path}{query}"


def _page_query(query: str, sent: str) -> str:
    """Return what names the page in a query that w3lib normalised; `sent` is the query before that."""
    arguments = query.split("&")
    kept = _naming(arguments)
    if len(kept) < len(arguments):
        query = "&".join(kept)
        sent = "&".join(_naming(sent.split("&")))
    # w3lib writes "?wsdl" as "?wsdl=", which some servers answer with another page or with none.
    return query.removesuffix("=") if sent and "=" not in sent and "&" not in sent else query


def _naming(arguments: list[str]) -> list[str]:
    names = [argument.partition("=")[0].lower() for argument in arguments]
    has_pair = _SESSION_PAIR.issubset(names)
    return [
        argument
        for argument, name in zip(arguments, names, strict=True)
        if name not in _TRACKING
        and name not in _SESSION
        and not name.startswith((*_TRACKING_PREFIXES, _SESSION_PREFIX))
        and not (has_pair and name in _SESSION_PAIR)
        and not _SESSION_TOKEN.fullmatch(argument)
    ]


_cached = lru_cache(maxsize=_CACHED_URLS)(_canonical)
