"""What extraction says of a page. Light to import: a crawl needs the words, only its workers the extractors."""

import hashlib
import unicodedata
from dataclasses import dataclass, field
from importlib.metadata import version

_OWN_VERSION = 2

EXTRACTION_VERSION = f"{_OWN_VERSION}+trafilatura-{'.'.join(version('trafilatura').split('.')[:2])}"
"""Changes when the same body may give another page, so that stored hashes of bodies stop matching."""


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    """What a page says; a value that was not stated is None.

    Attributes:
        title: the `<title>`, else what the page gives to those who share it (`og:title`); one line, NFC. Without the
            site's name where heading and structured data agree on the rest.
        language: primary subtag of the root's `lang`, lower case: "en"; that of the text where it plainly is another.
        content: Markdown, NFC, stripped; "" when nothing was found.
        canonical: `rel=canonical` as a canonical URL.
        is_canonical_malformed: there is a `rel=canonical` that is no URL of a page.
        outlinks: canonical URLs of the links that are not `nofollow`, each once, in document order, at most 2,000.
        noindex: the page asks by `<meta name=robots>` to stay out of indexes.
        nofollow: the page asks the same way that no link be followed; `outlinks` holds them all the same.
        extractor: who found the content: "blocks", "trafilatura", "resiliparse" or "full".
        is_selector_missed: the source's `content_css` or `title_css` found nothing, and the page was read as usual.
        kind: "article", "listing", "documentation", "table", "thread" or "shell"; None where nothing recognised it.
        evidence: what the kind was recognised by: counts, shares from 0 to 1, names on the page.
        tried: the ways of extraction that were tried, in order, with what each found.
        description, author, published, modified: as the page's structured data state them, see `about.About`.
        cards: hashes of the cards of a listing, see `boilerplate.hashes_of`: they are no boilerplate.
        boilerplate: the units that were taken out of `content`, because most of the site's pages of its kind have them.
        kept: the units that most of them have, too, and that are indexed with this page only.
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
    is_selector_missed: bool = False
    kind: str | None = None
    evidence: dict[str, float | str] = field(default_factory=dict)
    tried: tuple[str, ...] = ()
    description: str | None = None
    author: str | None = None
    published: str | None = None
    modified: str | None = None
    cards: bytes = b""
    boilerplate: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def stated(self) -> dict[str, str] | None:
        """Return what the page's structured data state, as it is stored; None where that is nothing."""
        names = ("description", "author", "published", "modified")
        found = {name: storable(value) for name in names if (value := getattr(self, name)) is not None}
        return found or None


def body_hash(body: bytes, reader: str) -> bytes:
    """Return the sha256 of a body together with what reads it (`ExtractionOptions.version`): 32 bytes."""
    return hashlib.sha256(reader.encode() + b"\x00" + body).digest()


def normalised(text: str) -> str:
    """Return a text as it is stored: NFC, stripped, without the character that PostgreSQL has no place for."""
    return unicodedata.normalize("NFC", text).replace("\x00", "").strip()


def storable(text: str) -> str:
    """Return a text that a database takes: in JSON any code point can be written, NUL and halves of a pair too."""
    return normalised(text).encode("utf-8", "replace").decode()


def one_line(text: str) -> str | None:
    """Return a text as one line in NFC, None when nothing is left."""
    return unicodedata.normalize("NFC", " ".join(text.split())) or None
