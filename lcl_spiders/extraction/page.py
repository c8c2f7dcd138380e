"""What extraction says of a page. Light to import: a crawl needs the words, only its workers the extractors."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version

_OWN_VERSION = 1

EXTRACTION_VERSION = f"{_OWN_VERSION}+trafilatura-{'.'.join(version('trafilatura').split('.')[:2])}"
"""Changes when the same body may give another page, so that stored hashes of bodies stop matching."""


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    """What a page says; a value that was not stated is None.

    Attributes:
        title: the `<title>`, else what the page gives to those who share it (`og:title`); one line, NFC.
        language: primary subtag of the root's `lang`, lower case: "en".
        content: Markdown, NFC, stripped; "" when nothing was found.
        canonical: `rel=canonical` as a canonical URL.
        is_canonical_malformed: there is a `rel=canonical` that is no URL of a page.
        outlinks: canonical URLs of the links that are not `nofollow`, each once, in document order, at most 2,000.
        noindex: the page asks by `<meta name=robots>` to stay out of indexes.
        nofollow: the page asks the same way that no link be followed; `outlinks` holds them all the same.
        extractor: who found the content: "trafilatura" or "resiliparse".
    """

    title: str | None
    language: str | None
    content: str
    canonical: str | None
    is_canonical_malformed: bool
    outlinks: tuple[str, ...]
    noindex: bool
    nofollow: bool
    extractor: str


def body_hash(body: bytes) -> bytes:
    """Return the sha256 of a body together with `EXTRACTION_VERSION`: 32 bytes."""
    return hashlib.sha256(EXTRACTION_VERSION.encode() + b"\x00" + body).digest()
