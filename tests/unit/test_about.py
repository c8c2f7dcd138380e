"""What structured data say of a page, and the language it is in: believed where the page agrees (A24)."""

import json
from typing import Any

import pytest

from lcl_spiders.extraction.about import About, iso, read_about
from lcl_spiders.extraction.document import parse
from lcl_spiders.extraction.extract import extract_page
from lcl_spiders.extraction.language import decided

ENGLISH = (
    "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and "
    "should act towards one another in a spirit of brotherhood. Everyone is entitled to all the rights and freedoms."
)
DUTCH = (
    "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en geweten, "
    "en behoren zich jegens elkander in een geest van broederschap te gedragen. Een ieder heeft aanspraak op rechten."
)
URL = "https://example.org/"


def about(data: Any = None, head: str = "", title: str = "Foxes of the harbour | A site") -> About:
    script = f'<script type="application/ld+json">{json.dumps(data)}</script>' if data is not None else ""
    tree = parse(f"<html><head>{head}{script}</head><body><p>x</p></body></html>".encode())
    return read_about(tree, title, "Foxes of the harbour")


def test_what_structured_data_state_is_taken_where_it_agrees_with_the_page() -> None:
    data = {
        "@graph": [
            {"@type": "WebSite", "name": "A quite different thing", "description": "no"},
            {
                "@type": "NewsArticle",
                "headline": "Foxes of the harbour",
                "description": " How they\n live ",
                "author": [{"name": "Ann"}, "Bob"],
                "datePublished": "2026-05-01T10:00:00+02:00",
                "dateModified": "2026-05-02",
            },
        ]
    }
    expected = About("Foxes of the harbour", "How they live", "Ann, Bob", "2026-05-01T10:00:00+02:00", "2026-05-02")
    assert about(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        {"headline": "Another page", "author": "Ann", "datePublished": "2026-05-01"},
        {"headline": "Foxes of the harbour", "author": "https://example.org/ann", "datePublished": "yesterday"},
        {"headline": "Foxes of the harbour", "author": {"name": 3}, "datePublished": "2026-13-45"},
        [[[[[[{"headline": "Foxes of the harbour", "author": "Ann"}]]]]]],
        "text",
        None,
    ],
)
def test_what_does_not_agree_or_cannot_be_read_stays_missing(data: Any) -> None:
    found = about(data)
    assert (found.author, found.published, found.modified, found.description) == (None, None, None, None)


@pytest.mark.parametrize("kind", ["Organization", ["WebSite", "Thing"], ["Museum", "LocalBusiness"]])
def test_what_is_said_of_the_site_is_not_said_of_the_page(kind: Any) -> None:
    site = {"@type": kind, "name": "A harbour site", "description": "Of the site", "datePublished": "2001-01-01"}
    assert about(site, title="Foxes of the harbour | A harbour site") == About()


def test_malformed_data_do_no_harm() -> None:
    for script in ("{", "[" * 5_000, '{"headline": "Foxes'):
        tree = parse(f'<html><head><script type="application/ld+json">{script}</script><body>x'.encode())
        assert read_about(tree, "Foxes", None) == About()


def test_meta_elements_speak_for_the_page_unless_they_share_another() -> None:
    metas = "<meta name=author content=Ann><meta property=article:published_time content=2026-05-01>"
    assert about(head=metas).author == "Ann"
    assert about(head=metas).published == "2026-05-01"
    assert about(head=metas + "<meta property=og:title content='The whole site'>").author is None


def test_a_page_is_not_modified_before_it_is_published() -> None:
    data = {"headline": "Foxes of the harbour", "datePublished": "2026-05-02", "dateModified": "2026-05-01"}
    assert (about(data).published, about(data).modified) == ("2026-05-02", None)


def test_the_name_of_the_site_leaves_the_title_where_heading_and_data_agree() -> None:
    body = "<html><head><title>Foxes | A site</title>{}</head><body><main><h1>Foxes</h1><p>" + ENGLISH + "</main>"
    shared = "<meta property=og:title content=Foxes>"
    assert extract_page(body.format(shared).encode(), URL, None).title == "Foxes"
    assert extract_page(body.format("").encode(), URL, None).title == "Foxes | A site"


@pytest.mark.parametrize(
    "value", ["2026-05-01", "2026-05-01T10:00", "2026-05-01T10:00:00Z", "2026-05-01 10:00:00+02:00"]
)
def test_times_are_kept_as_they_were_stated(value: str) -> None:
    assert iso(f" {value} ") == value


@pytest.mark.parametrize("value", [None, 20260501, "", "May 1, 2026", "2026-02-30", "2026-05-01T25:00", "20260501"])
def test_what_is_no_date_is_none(value: object) -> None:
    assert iso(value) is None


@pytest.mark.parametrize(
    ("stated", "text", "language"),
    [
        ("en", ENGLISH, "en"),
        ("nl", DUTCH, "nl"),
        (None, ENGLISH, "en"),
        (None, DUTCH, "nl"),
        ("en", DUTCH, "nl"),
        ("fr", "Hello", "fr"),
        (None, "Hello", None),
        (None, "", None),
        (None, "x = f(y); z += 1; " * 30, None),
        ("de", "x = f(y); z += 1; " * 30, "de"),
        (None, "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。" * 6, "ja"),
    ],
)
def test_a_language_is_stated_and_not_contradicted_or_plain_or_missing(
    stated: str | None, text: str, language: str | None
) -> None:
    assert decided(stated, text) == language
