import json

import pytest

from lcl_spiders.extraction import feeds
from lcl_spiders.extraction.errors import BadFeed
from lcl_spiders.extraction.feeds import Entry

URL = "https://example.org/news/feed.xml"
NS = 'xmlns="http://www.w3.org/2005/Atom"'


def rss(inner: str, attributes: str = 'xmlns:atom="http://www.w3.org/2005/Atom"') -> bytes:
    return f'<?xml version="1.0"?><rss version="2.0" {attributes}><channel>{inner}</channel></rss>'.encode()


def atom(inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="utf-8"?><!-- made by hand --><feed {NS}>{inner}</feed>'.encode()


def json_feed(**fields: object) -> bytes:
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "News", **fields}).encode()


@pytest.mark.parametrize(
    ("body", "entries"),
    [
        (
            rss("<item><link> https://example.org/a </link><pubDate>Fri, 02 Jan 2026 10:00:00 GMT</pubDate></item>"),
            [Entry("https://example.org/a", None)],
        ),
        (rss("<item><guid>https://example.org/a#x</guid></item>"), [Entry("https://example.org/a", None)]),
        (
            rss("<item><title>no link</title></item><item><link>/b?utm_source=rss</link></item>"),
            [Entry("https://example.org/b", None)],
        ),
        (
            b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" '
            b'xmlns:dc="http://purl.org/dc/elements/1.1/"><item rdf:about="https://example.org/a">'
            b"<link>https://example.org/a</link><dc:date>2026-01-02</dc:date></item></rdf:RDF>",
            [Entry("https://example.org/a", None)],
        ),
        (
            atom(
                '<entry><link rel="enclosure" href="/a.mp3"/><link href="/a"/><updated>2026-01-02T10:00:00Z</updated>'
                '<published>2025-01-01T00:00:00Z</published></entry><entry><link href="b"/>'
                "<published>2025-01-01T00:00:00Z</published></entry>"
            ),
            [Entry("https://example.org/a", "2026-01-02T10:00:00Z"), Entry("https://example.org/news/b", None)],
        ),
        (
            json_feed(
                items=[
                    {"id": 1, "url": "/a", "date_modified": "2026-01-02T10:00:00Z", "date_published": "2025-01-01"},
                    {"id": 2, "url": "https://example.org/b", "date_published": "2025-01-01"},
                    {"id": 3, "url": None},
                    "nonsense",
                    {"url": "javascript:alert(1)"},
                ]
            ),
            [Entry("https://example.org/a", "2026-01-02T10:00:00Z"), Entry("https://example.org/b", None)],
        ),
        (rss(""), []),
        (json_feed(items=[]), []),
    ],
    ids=["rss", "guid", "no-link", "rdf", "atom", "json", "empty-rss", "empty-json"],
)
def test_every_format_gives_its_entries_and_only_dates_of_modification(body, entries):
    assert list(feeds.parse_feed(body, URL).entries) == entries


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_is_no_reason_to_refuse_a_feed(encoding):
    text = '<rss version="2.0"><channel><item><link>https://example.org/a</link></item></channel></rss>'
    assert [entry.url for entry in feeds.parse_feed(text.encode(encoding), URL).entries] == ["https://example.org/a"]


@pytest.mark.parametrize(
    ("body", "next_page"),
    [
        (atom('<link rel="next" href="?page=2"/><link rel="self" href="/"/>'), f"{URL}?page=2"),
        (rss('<atom:link rel="next" href="https://example.org/2"/>'), "https://example.org/2"),
        (json_feed(items=[], next_url="https://example.org/2"), "https://example.org/2"),
        (json_feed(items=[], next_url=["no", "url"]), None),
        (atom('<link rel="previous" href="?page=0"/>'), None),
    ],
)
def test_a_paged_feed_says_where_it_goes_on(body, next_page):
    assert feeds.parse_feed(body, URL).next_page == next_page


@pytest.mark.parametrize(
    ("body", "is_sitemap"),
    [
        (b"<?xml version='1.0'?><urlset/>", True),
        (b"<!-- by hand --><sitemapindex>", True),
        (b"https://example.org/a\n", True),
        ("\ufeff<urlset/>".encode("utf-16"), True),
        (rss(""), False),
        (json_feed(), False),
        (b"<!doctype html><html>", False),
    ],
)
def test_a_sitemap_is_told_from_a_feed_by_how_it_begins(body, is_sitemap):
    assert feeds.is_sitemap(body) is is_sitemap


def test_a_feed_cut_short_gives_the_entries_that_arrived():
    body = rss("<item><link>https://example.org/a</link></item><item><link>https://example.org/b</link></item>")
    assert feeds.parse_feed(body[:-60], URL).entries[0] == Entry("https://example.org/a", None)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<!doctype html><html><body><rss/></body></html>", "<html>"),
        (b'{"items": []}', "no JSON Feed"),
        (json_feed(items="none"), "no JSON Feed"),
        (b'{"version": ', "no JSON"),
        (b'{"a":' * 100_000, "no JSON"),
        (b"", "neither"),
        (b"Not found", "neither"),
        (b"<rss", "no feed"),
        (b"<feed>" + b" " * feeds.MAX_BYTES, "bytes"),
    ],
    ids=["html", "json", "items", "cut-json", "deep-json", "empty", "text", "cut-rss", "large"],
)
def test_what_is_no_feed_says_why(body, why):
    with pytest.raises(BadFeed, match=why):
        feeds.parse_feed(body, URL)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<?xml version='1.0'?><urlset><url><loc>https://example.org/a</loc></url></urlset>", "<urlset>"),
        (b"https://example.org/a\n", "neither"),
    ],
    ids=["sitemap", "list"],
)
def test_a_sitemap_is_none_where_only_a_feed_will_do(body, why):
    with pytest.raises(BadFeed, match=why):
        feeds.parse_feed(body, URL)


def test_an_entity_bomb_expands_to_nothing():
    entities = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10 if n else 'x' * 10}'>" for n in range(10))
    inner = "<item><link>https://example.org/a</link><title>&e9;</title></item>"
    body = f'<!DOCTYPE rss [{entities}]><rss version="2.0"><channel>{inner}</channel></rss>'.encode()
    assert list(feeds.parse_feed(body, URL).entries) == [Entry("https://example.org/a", None)]


def test_an_external_entity_is_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("password")
    body = (
        f'<!DOCTYPE rss [<!ENTITY e SYSTEM "{secret.as_uri()}">]><rss version="2.0"><channel>'
        "<item><link>https://example.org/&e;</link></item></channel></rss>"
    ).encode()
    assert not any("password" in entry.url for entry in feeds.parse_feed(body, URL).entries)


def test_a_body_that_is_the_name_of_a_file_is_not_opened(tmp_path):
    feed = tmp_path / "feed.xml"
    feed.write_bytes(rss("<item><link>https://example.org/a</link></item>"))
    with pytest.raises(BadFeed):
        feeds.parse_feed(str(feed).encode(), URL)
