"""What a prober reads in a page."""

import json

import pytest

from lcl_spiders.discovery import reading
from lcl_spiders.discovery.probe import led_to, spread
from tests.support.site import html, prose

URL = "https://example.org/agenda"


def read(page: str) -> reading.Reading:
    return reading.read(page.encode(), URL, "utf-8", lambda url: url.startswith("https://example.org/"))


def test_visible_text_is_what_a_browser_without_scripts_shows() -> None:
    page = (
        "<title>T</title><body>One<script>no()</script> two <style>b{}</style><noscript>turn it on</noscript>"
        "<div>three<template>no</template></div> four<!-- no --></body>"
    )
    assert read(page).visible == len("One two three four")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("<script src=/app.js></script>", True),
        ("<script type=module>run()</script>", True),
        ('<script type="application/json">{"a": 1}</script>', False),
        ("<script> </script>", False),
    ],
)
def test_only_programs_count_as_scripts(script: str, expected: bool) -> None:
    assert read(f"<body>x{script}</body>").has_scripts is expected


@pytest.mark.parametrize(
    ("markup", "types"),
    [
        ({"@type": "MusicEvent"}, {"MusicEvent"}),
        ({"@graph": [{"@type": ["Thing", "NewsArticle"]}, {"@type": "WebPage"}]}, {"NewsArticle"}),
        ({"@type": "ItemList", "itemListElement": [{"item": {"@type": "schema:Festival"}}]}, {"Festival"}),
        ({"@type": "Organization"}, set()),
    ],
)
def test_events_and_articles_are_found_in_json_ld_at_any_depth(markup: object, types: set[str]) -> None:
    page = f'<body><script type="application/ld+json">{json.dumps(markup)}</script></body>'
    assert read(page).types == types


def test_json_ld_that_cannot_be_read_hides_no_other() -> None:
    broken = '<script type="application/ld+json">{"@type": "Event"</script>'
    deep = f'<script type="application/ld+json">{"[" * 100_000}</script>'
    good = '<script type="application/ld+json">{"@type": "Event"}</script>'
    assert read(f"<body>{broken}{deep}{good}</body>").types == {"Event"}


def test_events_are_found_in_microdata() -> None:
    assert read('<div itemscope itemtype="https://schema.org/Event"><b itemprop=name>A</b></div>').types == {"Event"}


def test_feeds_that_a_page_names_are_found() -> None:
    head = (
        '<link rel="alternate" type="application/rss+xml" href="/rss">'
        '<link rel="alternate" type="application/atom+xml" href="">'
        '<link rel="alternate" hreflang="de" href="/de"><link rel="stylesheet" href="/css">'
    )
    assert read(f"<html><head>{head}</head><body>x</body></html>").feeds == ("https://example.org/rss",)


def card(number: int) -> str:
    return f'<li class="card"><h3><a href="/e/{number}">Concert {number}</a></h3><p>In the big hall, at eight.</p></li>'


def test_a_page_of_cards_is_a_listing() -> None:
    page = f"<body><nav><a href=/>Home</a></nav><ul>{''.join(map(card, range(8)))}</ul></body>"
    assert read(page).cards == tuple(f"https://example.org/e/{number}" for number in range(8))


def test_cards_may_have_headers_of_their_own() -> None:
    header = '<header><h2><a href="/e/{}">Concert</a></h2></header>'
    cards = "".join(f"<article>{header.format(number)}<p>In the hall, at eight.</p></article>" for number in range(6))
    assert len(read(f"<body><header><a href=/>Home</a></header><main>{cards}</main></body>").cards) == 6


def test_the_next_page_of_a_listing_is_no_card() -> None:
    pager = '<li class="card"><h3><a href="/agenda?page=2">Next</a></h3><p>More of what there is to see.</p></li>'
    assert len(read(f"<body><ul>{''.join(map(card, range(8)))}{pager}</ul></body>").cards) == 8


@pytest.mark.parametrize(
    "page",
    [
        f"<body><ul>{''.join(map(card, range(4)))}</ul></body>",  # too few
        f"<body><ul>{''.join(map(card, range(8)))}</ul></body>".replace("/e/", "https://other.example/e/"),
        f"<body><ul>{card(1) * 9}</ul></body>",  # all lead to one page
        html("An article", prose("boats"), links=[f"/page-with-a-long-name-{number}" for number in range(9)]),
        f"<body><nav><ul>{''.join(map(card, range(9)))}</ul></nav></body>",
        "<body>"
        + "".join(f'<p>A paragraph with <a href="/{n}">a link</a> in its middle.</p>' for n in range(9))
        + "</body>",
    ],
)
def test_what_only_looks_like_cards_is_none(page: str) -> None:
    assert read(page).cards == ()


@pytest.mark.parametrize(
    "page",
    [
        "<title>x.com</title><body>This domain is for sale!</body>",
        "<title>Welcome to nginx!</title><body>If you see this page, it works.</body>",
        "<title>x</title><body>Deze domeinnaam is te koop.</body>",
        '<body>x<script src="https://img.sedoparking.com/js/x.js"></script></body>',
    ],
)
def test_a_parked_domain_is_recognised(page: str) -> None:
    assert read(page).parked is not None


def test_an_article_about_parked_domains_is_not_parked() -> None:
    assert read(html("On domains", [*prose("domains"), "Many a page says: this domain is for sale."])).parked is None


@pytest.mark.parametrize(
    ("asked", "answered", "start"),
    [
        ("https://a.example/", "https://a.example/nl/", "https://a.example/"),
        ("https://a.example/", "https://www.a.example/", "https://www.a.example/"),
        ("http://a.example/x", "https://a.example/x", "https://a.example/x"),
    ],
)
def test_a_source_starts_where_its_site_is(asked: str, answered: str, start: str) -> None:
    assert led_to(asked, answered) == start


def test_samples_are_spread_over_what_there_is() -> None:
    assert spread(list("abcdefghij"), 5) == ["a", "c", "e", "g", "i"]
    assert spread(["a"], 5) == ["a"]
    assert spread(["a"], 0) == []


def test_a_language_is_found_in_enough_text() -> None:
    dutch = "De agenda van de stad met alle concerten, tentoonstellingen en voorstellingen van dit weekend. " * 3
    assert reading.language_of(dutch) == "nl"
    assert reading.language_of("agenda") is None
