"""What the markup of a page tells a prober: visible text, scripts, structured data, feeds, cards, signs of parking.

Pure functions over bytes, of a size that the downloader bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from lxml.etree import iterwalk
from resiliparse.parse.lang import detect_fast

from db.urls import canonical_url
from lcl_spiders.discovery.noise import is_noise
from lcl_spiders.extraction.cards import item_cards
from lcl_spiders.extraction.document import parse, utf8_body
from lcl_spiders.extraction.links import base_of
from lcl_spiders.extraction.paging import next_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lxml.html import HtmlElement

FEED_TYPES = frozenset({"application/rss+xml", "application/atom+xml", "application/feed+json", "application/rdf+xml"})

# schema.org: the Event family, and Article with what is below it; names that end in Event or Article need no listing.
_FAMILIES = frozenset(
    {"Festival", "Hackathon", "EventSeries", "CourseInstance", "BlogPosting", "LiveBlogPosting", "SocialMediaPosting"}
)
_INVISIBLE = frozenset({"head", "script", "style", "noscript", "template", "svg", "iframe", "object"})
_MAX_JSON = 500_000  # characters of one JSON-LD script
_MAX_DEPTH = 20
_ENOUGH_FOR_LANGUAGE = 150  # characters: below, resiliparse leans towards languages with many users of Wikipedia
_MOST_FOR_LANGUAGE = 5_000

FEWEST_CARDS = 5
_CARD_TEXT = (20, 3_000)  # characters: less is navigation, more a page

_PARKED_TEXT = 2_000
_PARKING_HOSTS = frozenset(
    {
        *("sedoparking.com", "sedo.com", "parkingcrew.net", "bodis.com", "dan.com", "afternic.com", "hugedomains.com"),
        *("above.com", "parklogic.com", "undeveloped.com", "sav.com", "uniregistry.com", "skenzo.com", "voodoo.com"),
    }
)
_PARKED = re.compile(
    r"\b(?:(?:this|the) domain(?: name)? (?:is|may be|might be) (?:for sale|parked|available)"
    r"|(?:this|the) domain(?: name)? has (?:recently )?(?:been registered|expired)|domain (?:is )?parked|parked domain"
    r"|buy this domain|welcome to nginx|apache2? .{0,20}default page|iis windows server|future home of"
    r"|(?:deze domeinnaam|dit domein) is (?:te koop|geregistreerd|gereserveerd|geparkeerd)"
    r"|diese domain (?:steht zum verkauf|ist (?:zu verkaufen|geparkt|registriert))"
    r"|ce (?:nom de )?domaine est (?:à vendre|parqué)|este dominio está (?:en venta|aparcado))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What `read` finds. `cards`: the pages that a listing's cards lead to; `parked`: what gives a parked page away."""

    visible: int
    has_scripts: bool
    types: frozenset[str]
    feeds: tuple[str, ...]
    cards: tuple[str, ...]
    parked: str | None


def read(body: bytes, url: str, encoding: str | None, is_page: Callable[[str], bool]) -> Reading:
    """Read a page that was served at `url`; `is_page` tells the canonical URLs of other pages of its site.

    Raises `ExtractionError` as `extraction.document.parse` does.
    """
    tree = parse(utf8_body(body, encoding))
    base = base_of(tree, url)
    text = visible_text(tree)
    return Reading(
        visible=len(text),
        has_scripts=any(each.get("src") or (each.text or "").strip() for each in _programs(tree)),
        types=frozenset(name for name in (*_json_ld_types(tree), *_microdata_types(tree)) if is_telling(name)),
        feeds=_feeds(tree, base),
        cards=_cards(tree, _canonical(url, url) or url, is_page, len(text)),
        parked=_parked(tree, text),
    )


def is_telling(name: str) -> bool:
    """Return whether a schema.org type is of the Event or the Article family."""
    return name in _FAMILIES or name.endswith(("Event", "Article"))


def visible_text(tree: HtmlElement) -> str:
    """Return the text that a browser without scripts would show, white space collapsed."""
    return " ".join(" ".join(_texts(tree)).split())


def _texts(tree: HtmlElement) -> Iterator[str]:
    """Yield what is visible, without recursion: how deep a page is, is its author's choice."""
    hidden: HtmlElement | None = None
    walked: Iterable[tuple[str, HtmlElement]] = iterwalk(tree, events=("start", "end"))
    for event, element in walked:
        if event == "start" and hidden is None:
            if element.tag in _INVISIBLE:
                hidden = element
            else:
                yield element.text or ""
        elif event == "end" and (hidden is None or hidden is element):
            hidden = None
            if element is not tree:
                yield element.tail or ""


def _programs(tree: HtmlElement) -> Iterator[HtmlElement]:
    for script in tree.iter("script"):
        kind = script.get("type", "").strip().lower()
        if not kind or "javascript" in kind or kind == "module":
            yield script


def _json_ld_types(tree: HtmlElement) -> Iterator[str]:
    scripts = [each for each in tree.iter("script") if "ld+json" in each.get("type", "").lower()]
    if not scripts:
        return
    from extruct.jsonld import JsonLdExtractor  # noqa: PLC0415 - a third of a second, for those pages that have any

    for script in scripts:
        if len(script.text or "") > _MAX_JSON:
            continue
        try:
            items = JsonLdExtractor().extract_items(script)
        except (ValueError, RecursionError):  # not JSON, or nested to do harm: the page is without it
            continue
        yield from _types(items, _MAX_DEPTH)


def _types(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, dict):
        given = value.get("@type")
        for name in given if isinstance(given, list) else [given]:
            if isinstance(name, str):
                yield _local_name(name)
        value = list(value.values())
    if isinstance(value, list) and depth:
        for each in value:
            yield from _types(each, depth - 1)


def _microdata_types(tree: HtmlElement) -> Iterator[str]:
    # The attribute alone: to read whole items takes time that grows with the square of their number.
    for element in tree.iterfind(".//*[@itemtype]"):
        yield from map(_local_name, element.get("itemtype", "").split())


def _local_name(name: str) -> str:
    return re.split(r"[/#:]", name)[-1]


def _feeds(tree: HtmlElement, base: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for link in tree.iter("link"):
        is_feed = "alternate" in link.get("rel", "").lower().split() and link.get("type", "").lower() in FEED_TYPES
        if is_feed and (url := _canonical(base, link.get("href", ""))):
            found[url] = None
    return tuple(found)


def _cards(tree: HtmlElement, url: str, is_page: Callable[[str], bool], visible: int) -> tuple[str, ...]:
    """Return the pages that cards lead to, as a listing spider would find them; () for a page that is no listing.

    Cards make a listing of a page when they are many and hold half of its visible text: that spider asks for nothing
    else, and what a listing loses as a website is less than what a website loses as a listing.
    """
    onward = set(next_pages(tree, url))
    cards = item_cards(tree, url, lambda target: target not in onward and is_page(target))
    shortest, longest = _CARD_TEXT
    sizes = [len(visible_text(card)) for card in cards.values() if card.tag != "p"]  # paragraphs have links as well
    telling = [size for size in sizes if shortest <= size <= longest]
    return tuple(cards) if len(telling) >= FEWEST_CARDS and sum(telling) * 2 >= visible else ()


def _parked(tree: HtmlElement, text: str) -> str | None:
    for element in tree.iter("script", "iframe", "frame", "form"):
        host = host_of(element.get("src") or element.get("action") or "")
        if is_parking(host):
            return f"it loads from {host}"
    if len(text) < _PARKED_TEXT:
        title = next((each.text_content() for each in tree.iter("title")), "")
        if found := _PARKED.search(f"{' '.join(title.split())} \n {text}"):
            return f"it says {found[0]!r}"
    return None


def is_parking(domain: str) -> bool:
    """Return whether a domain is one of those that show parked domains."""
    return is_noise(domain, _PARKING_HOSTS)


def language_of(text: str) -> str | None:
    """Return the language that a text is found to be in ("en"), None when it is too short or like none of them."""
    if len(text) < _ENOUGH_FOR_LANGUAGE:
        return None
    language, _ = detect_fast(text[:_MOST_FOR_LANGUAGE])
    return None if language == "unknown" else str(language)


def host_of(url: str) -> str:
    """Return the host of a URL in lower case, "" when it has none or cannot be read."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _canonical(base: str, href: str) -> str | None:
    try:
        return canonical_url(urljoin(base, href.strip())) if href.strip() else None
    except ValueError:
        return None
