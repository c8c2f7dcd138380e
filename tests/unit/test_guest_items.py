"""What is read of other projects' items: documented fields, and nothing that they do not say (A24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies
from pydantic import BaseModel
from scrapy import Field, Item
from scrapy.settings import Settings

from lcl_spiders.guests.items import BadItem, GuestPage, ItemReader
from pipelines.outcome import Outcome

URL = "https://example.org/a"
READER = ItemReader({})


@dataclass
class DataclassPage:
    url: str
    content: str
    score: int = 3


@attrs.frozen
class AttrsPage:
    url: str
    content: str


class ScrapyPage(Item):
    url = Field()
    content = Field()


class PydanticPage(BaseModel):
    url: str
    content: str


@dataclass
class Product:
    url: str
    name: str


def page(**fields: Any) -> GuestPage:
    found = READER.read({"url": URL, **fields})
    assert found is not None
    return found


@pytest.mark.parametrize("make", [dict, DataclassPage, AttrsPage, ScrapyPage, PydanticPage])
def test_an_item_of_any_class_is_a_page(make: Any) -> None:
    assert READER.read(make(url="HTTPS://Example.org/a#top", content=" text ")) == GuestPage(URL, content="text")


@pytest.mark.parametrize(
    "item", [Product(URL, "a thing"), {"url": URL}, {"content": "text"}, {}, "text", 7, None, object()]
)
def test_what_is_about_something_else_is_no_page(item: Any) -> None:
    assert READER.read(item) is None


def test_what_an_item_does_not_say_is_missing() -> None:
    assert page(content="text") == GuestPage(URL, Outcome.PRESENT, None, None, "text", None, None, None, None, None)
    assert page(content="", title="  ", language="").content == ""
    assert page(content="", title="  ", language="").title is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [("en", "en"), ("en-GB", "en"), ("PT_br", "pt"), ("deu", "deu"), ("English", None), ("und", None), ("", None)],
)
def test_a_language_is_its_primary_subtag_or_missing(said: str, meant: str | None) -> None:
    assert page(content="text", language=said).language == meant


def test_the_text_itself_comes_before_a_document_and_html_before_body() -> None:
    assert page(content="text", html="<p>", body=b"<b>").document is None
    assert page(html="<p>é", body=b"<b>").document == "<p>é".encode()
    assert (page(html="<p>").encoding, page(html=b"<p>").encoding) == ("utf-8", None)
    assert page(content=None, html=None, body=bytearray(b"<b>")).document == b"<b>"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"content": ["a", "b"]}, "content is list, not text"),
        ({"content": b"text"}, "content is bytes, not text"),
        ({"html": 7}, "html is int, not text"),
        ({"content": "text", "title": ["a"]}, "title is list, not text"),
        ({"content": "text", "language": 1}, "language is int, not text"),
        ({"content": "\ud800"}, "surrogates not allowed"),
        ({"content": None}, "none of content, html, body is given"),
        ({"content": "text", "http_status": "200"}, "http_status is '200'"),
        ({"content": "text", "http_status": True}, "http_status is True"),
        ({"outcome": "vanished"}, "outcome is 'vanished': it may be present, gone, unknown, failed"),
        ({"outcome": "listed"}, "outcome is 'listed'"),
        ({"outcome": "unchanged"}, "outcome is 'unchanged'"),
        ({"outcome": "gone"}, "answered 404 or 410"),
        ({"outcome": "gone", "http_status": 403}, "answered 404 or 410"),
        ({"outcome": "failed", "reason": 3}, "reason is int, not text"),
    ],
)
def test_a_field_that_cannot_be_read_fails_the_page_by_its_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadItem, match=says) as caught:
        page(**fields)
    assert caught.value.url == URL


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "/relative",
        "www.example.org",
        "ftp://example.org/",
        ["https://example.org/"],
        "https://e.org/" + "a" * 3000,
    ],
)
def test_an_item_without_a_url_has_no_page_to_fail(url: Any) -> None:
    with pytest.raises(BadItem) as caught:
        READER.read({"url": url, "content": "text"})
    assert caught.value.url is None


def test_what_is_not_there_says_why() -> None:
    gone = page(outcome="gone", http_status=410)
    assert (gone.outcome, gone.reason, gone.http_status) == (Outcome.GONE, "http_410", 410)
    assert page(outcome="unknown", http_status=503).reason == "http_503"
    assert page(outcome="failed", reason="paywall", message="asks for money").reason == "paywall"
    assert page(outcome="unknown").reason == "said_unknown"


def test_a_project_gives_its_own_names_and_classes() -> None:
    given = {"LCL_ITEM_FIELDS": '{"url": "link", "content": "text"}', "LCL_ITEM_CLASSES": [DataclassPage]}
    named = ItemReader.from_settings(Settings({"LCL_ITEM_FIELDS": given["LCL_ITEM_FIELDS"]}))
    assert named.read({"link": URL, "text": "text"}) == GuestPage(URL, content="text")
    assert named.read({"url": URL, "content": "text"}) is None
    chosen = ItemReader.from_settings(Settings({"LCL_ITEM_CLASSES": given["LCL_ITEM_CLASSES"]}))
    assert chosen.read(DataclassPage(URL, "text")) == GuestPage(URL, content="text")
    assert chosen.read(AttrsPage(URL, "text")) is None


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("LCL_ITEM_FIELDS", "{no json", "LCL_ITEM_FIELDS is no mapping"),
        ("LCL_ITEM_FIELDS", {"address": "url"}, "LCL_ITEM_FIELDS names address: the fields are url, content"),
        ("LCL_ITEM_CLASSES", ["town.items.Page"], "'town.items.Page', which cannot be loaded"),
        ("LCL_ITEM_CLASSES", ["json.loads"], "'json.loads', which is no class"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ItemReader.from_settings(Settings({name: given}))


def test_what_the_database_has_no_place_for_is_left_out() -> None:
    assert page(content="a\x00b", title="c\x00d") == GuestPage(URL, title="cd", content="ab")
    assert page(outcome="unknown", reason="e\x00", message="f\x00").reason == "e"


VALUES = strategies.one_of(
    strategies.none(),
    strategies.text(),
    strategies.binary(),
    strategies.integers(),
    strategies.lists(strategies.text()),
)


@settings(max_examples=200)
@given(strategies.dictionaries(strategies.sampled_from(["url", "content", "html", "body", "title", "outcome"]), VALUES))
def test_any_item_is_a_page_or_none_or_a_bad_item(item: dict[str, Any]) -> None:
    try:
        found = READER.read({"url": URL, **item})
    except BadItem:
        return
    assert found is None or found.content is not None or found.document is not None or found.reason is not None
