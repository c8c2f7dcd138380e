import pickle
import subprocess
import sys
import unicodedata

import pytest
import trafilatura
from hypothesis import given
from hypothesis import strategies as st

from lcl_spiders.extraction import (
    EXTRACTION_VERSION,
    EmptyBody,
    ExtractedPage,
    ExtractionError,
    ExtractionOptions,
    NeedsRendering,
    NoText,
    NotHtml,
    TooDeep,
    body_hash,
)
from lcl_spiders.extraction.extract import extract_page

URL = "http://example.org/docs/page.html"
PARAGRAPH = "The quick brown fox jumps over the lazy dog, and nobody minds at all. " * 6


def page(body: str = f"<p>{PARAGRAPH}</p>", head: str = "", root: str = "") -> bytes:
    return f"<!DOCTYPE html><html {root}><head>{head}</head><body>{body}</body></html>".encode()


def extracted(body: bytes, encoding: str | None = None) -> ExtractedPage:
    return extract_page(body, URL, encoding)


def test_an_article_becomes_markdown_without_its_navigation() -> None:
    table = "<table><tr><td>a</td><td>b</td></tr></table>"
    article = f"<h1>Foxes</h1><p>{PARAGRAPH}</p><h2>Dogs</h2><ul><li>lazy</li></ul>{table}"
    result = extracted(
        page(f"<nav><a href=/>Home of it all</a></nav><article>{article}</article><footer>Imprint</footer>")
    )
    assert "# Foxes" in result.content
    assert "## Dogs" in result.content
    assert "- lazy" in result.content
    assert "| a | b |" in result.content
    assert "Home of it all" not in result.content
    assert "Imprint" not in result.content
    assert (result.extractor, result.kind) == ("blocks", "article")


def test_the_content_is_what_trafilatura_extracts_where_a_source_names_it() -> None:
    body = page(f"<article><h1>Foxes</h1><p>{PARAGRAPH}<b>bold</b> <code>x</code></p><pre>a\n  b</pre></article>")
    expected = trafilatura.extract(body, output_format="markdown", fast=True, include_comments=False)
    content = extract_page(body, URL, None, ExtractionOptions("trafilatura")).content
    assert content == unicodedata.normalize("NFC", expected or "").strip()


def test_what_is_not_stated_is_none() -> None:
    result = extracted(b"<p>" + PARAGRAPH.encode())
    assert (result.title, result.language, result.canonical) == (None, None, None)
    assert result.outlinks == ()
    assert not result.noindex
    assert not result.nofollow


@pytest.mark.parametrize(
    ("root", "language"),
    [
        ('lang="en"', "en"),
        ('lang="DE-ch"', "de"),
        ('lang=" fr_FR "', "fr"),
        ('xml:lang="nl"', "nl"),
        ('lang="" xml:lang="nl"', "nl"),
        ('lang=""', None),
        ('lang="und"', None),
        ('lang="x-klingon"', None),
        ('lang="english"', None),
        ('lang="${lang}"', None),
    ],
)
def test_the_language_is_the_primary_subtag_of_the_root(root: str, language: str | None) -> None:
    assert extracted(page(root=root)).language == language


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("<title>  A\n title &amp; more </title>", "A title & more"),
        ("<title>Cafe\u0301</title>", "Café"),
        ("<title></title><meta property=og:title content='Shared'>", "Shared"),
        ("<title>Own</title><meta property=og:title content='Shared'>", "Own"),
        ("<svg><title>Icon</title></svg>", None),
    ],
)
def test_the_title_is_one_line(head: str, title: str | None) -> None:
    assert extracted(page(head=head)).title == title


@pytest.mark.parametrize(
    ("head", "canonical"),
    [
        ("<link rel=canonical href=/a?b=2&a=1#x>", "http://example.org/a?a=1&b=2"),
        ("<link rel='Canonical alternate' href=other.html>", "http://example.org/docs/other.html"),
        ("<base href=http://cdn.example/><link rel=canonical href=a>", "http://cdn.example/a"),
        ("<link rel=canonical href='http://[bad'>", None),
        ("<link rel=canonical href='mailto:a@example.org'>", None),
        ("<link rel=canonical>", None),
        ("<link rel=stylesheet href=a>", None),
    ],
)
def test_a_canonical_link_is_absolute_or_none(head: str, canonical: str | None) -> None:
    assert extracted(page(head=head)).canonical == canonical


@pytest.mark.parametrize(
    ("content", "noindex", "nofollow"),
    [
        ("noindex", True, False),
        ("NOFOLLOW", False, True),
        ("noindex,nofollow", True, True),
        ("none", True, True),
        ("index, follow, max-snippet:-1", False, False),
        ("", False, False),
    ],
)
def test_robots_directives_are_read(content: str, noindex: bool, nofollow: bool) -> None:
    result = extracted(page(head=f"<meta name='Robots' content='{content}'>"))
    assert (result.noindex, result.nofollow) == (noindex, nofollow)


def test_links_are_canonical_unique_and_in_order() -> None:
    links = """<a href="b.html#one">1</a><a href=" /a?y=1&amp;x=2 ">2</a><a href=b.html#two>3</a><a href='?q=1'>4</a>
        <map><area href="//other.example/c"></map><a href="#top">5</a><a href="">6</a><a name=x>7</a>"""
    assert extracted(page(links)).outlinks == (
        "http://example.org/docs/b.html",
        "http://example.org/a?x=2&y=1",
        "http://example.org/docs/page.html?q=1",
        "http://other.example/c",
    )


def test_links_that_are_malformed_or_lead_elsewhere_are_left_out_one_by_one() -> None:
    hrefs = ["http://[bad", "mailto:a@b.c", "JavaScript:void(0)", "tel:1", "http://", "http://a..b/", "/" + "x" * 3000]
    links = "".join(f"<a href='{href}'>x</a>" for href in [*hrefs, "good.html"])
    assert extracted(page(links)).outlinks == ("http://example.org/docs/good.html",)


def test_nofollow_links_are_left_out() -> None:
    links = "<a rel='noopener NoFollow' href=a>x</a><a rel=noopener href=b>x</a>"
    assert extracted(page(links)).outlinks == ("http://example.org/docs/b",)


def test_links_are_relative_to_the_base_of_the_page() -> None:
    assert extracted(page("<a href=a>x</a>", head="<base href=/other/>")).outlinks == ("http://example.org/other/a",)
    assert extracted(page("<a href=a>x</a>", head="<base href='http://[bad'>")).outlinks == (
        "http://example.org/docs/a",
    )


def test_a_page_has_at_most_2000_outlinks() -> None:
    outlinks = extracted(page("".join(f"<a href={i}>x</a>" for i in range(2_100)))).outlinks
    assert len(outlinks) == 2_000
    assert outlinks[-1] == "http://example.org/docs/1999"


TEXT = "Die Straße führt über die Brücke zum Bäcker; drüben stehen schöne Häuser. " * 5


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (page(f"<p>{TEXT}</p>"), None),
        (page(f"<p>{TEXT}</p>"), "iso-8859-1"),
        (page(f"<p>{TEXT}</p>"), "no-such-charset"),
        (page(f"<p>{TEXT}</p>", "<meta charset=iso-8859-1>"), "utf-8"),
        (page(f"<p>{TEXT}</p>").decode().encode("cp1252"), "iso-8859-1"),
        (page(f"<p>{TEXT}</p>").decode().encode("cp1252"), None),
        (page(f"<p>{TEXT}</p>").decode().encode("cp1252"), "hex"),
        (page(f"<p>{TEXT}</p>", "<meta charset=cp1252>").decode().encode("cp1252"), "idna"),
        (page(f"<p>{TEXT}</p>").decode().encode("utf-8-sig"), "iso-8859-1"),
        (page(f"<p>{TEXT}</p>").decode().encode("utf-16"), "utf-8"),
        (page(f"<p>{TEXT}</p>").decode().encode("utf-16-le"), "utf-16le"),
        (
            b'<?xml version="1.0" encoding="utf-8"?>\n'
            + page(f"<p>{TEXT}</p>", root="xmlns='http://www.w3.org/1999/xhtml'"),
            None,
        ),
        (f'<?xml version="1.0" encoding="iso-8859-1"?><html><body><p>{TEXT}</p></body></html>'.encode("latin-1"), None),
    ],
)
def test_text_is_read_in_the_encoding_that_its_bytes_have(body: bytes, encoding: str | None) -> None:
    assert extracted(body, encoding).content == TEXT.strip()


def test_encodings_whose_bytes_are_also_ascii_are_believed() -> None:
    text = "これは日本語の文章です。今日はとても天気がいいので、散歩に行きましょう。" * 10
    body = page(f"<p>{text}</p>", "<meta charset=iso-2022-jp>").decode().encode("iso-2022-jp")
    assert extracted(body).content == text


@pytest.mark.parametrize("body", [b"", b" \n\t", b"\xef\xbb\xbf", b"<!-- nothing -->"])
def test_an_empty_body_is_no_page(body: bytes) -> None:
    with pytest.raises(EmptyBody) as raised:
        extracted(body)
    assert raised.value.kind == "empty_body"


@pytest.mark.parametrize(
    "body",
    [b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 9, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", b"PK\x03\x04\x14\x00", b"\x00"],
)
def test_binary_data_is_no_page(body: bytes) -> None:
    with pytest.raises(NotHtml) as raised:
        extracted(body)
    assert raised.value.kind == "not_html"


def test_control_characters_in_a_page_do_no_harm() -> None:
    result = extracted(page(f"<p>\x00\x0b\x1f{PARAGRAPH}&#0;&#1;</p>", "<title>a\x00b&#0;</title>"))
    assert PARAGRAPH.strip() in result.content
    assert "\x00" not in result.content + (result.title or "")


def test_a_page_without_text_and_links_is_refused_with_what_was_tried() -> None:
    with pytest.raises(NoText, match=r"article: 0 .*; trafilatura: 0 .*; resiliparse: 0 ") as raised:
        extracted(page("<div></div>"))
    assert raised.value.kind == "no_text"


def test_a_page_without_text_leads_on_by_its_links() -> None:
    result = extracted(page("<nav><a href=/a></a></nav>"))
    assert (result.content, result.outlinks) == ("", ("http://example.org/a",))


@pytest.mark.parametrize(
    "body",
    [
        '<div id="root"></div><script src=/app.js></script>',
        '<div id="app"><div class="spinner">Loading…</div></div><script src=/app.js></script>',
        "<app-root></app-root><script src=/main.js></script>",
        "<noscript>You need to enable JavaScript to run this app.</noscript><div></div><script>run()</script>",
    ],
)
def test_an_empty_shell_is_refused_and_said_to_need_rendering(body: str) -> None:
    with pytest.raises(NeedsRendering, match=r"seems to need rendering .*render=always") as raised:
        extracted(page(body))
    assert raised.value.kind == "needs_rendering"


def test_a_shell_around_which_there_is_navigation_has_no_content_and_leads_on() -> None:
    result = extracted(page("<nav><a href=/a>About the site</a></nav><div id=root></div><script src=/app.js></script>"))
    assert (result.content, result.kind, result.outlinks) == ("", "shell", ("http://example.org/a",))


def test_deep_pages_are_read_and_deeper_ones_refused_rather_than_cut() -> None:
    assert PARAGRAPH.strip() in extracted(page("<div>" * 1_500 + PARAGRAPH + "</div>" * 1_500)).content
    with pytest.raises(TooDeep) as raised:
        extracted(page("<div>" * 10_000 + PARAGRAPH + "</div>" * 10_000))
    assert raised.value.kind == "too_deep"


def test_a_page_of_which_blocks_find_nothing_is_left_to_trafilatura_and_then_to_resiliparse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr("lcl_spiders.extraction.content.bare_extraction", fail)
    result = extracted(page(f"<canvas><p>{PARAGRAPH}</p></canvas>"))
    assert result.content == PARAGRAPH.strip()
    assert result.extractor == "resiliparse"
    assert [way.partition(":")[0] for way in result.tried] == ["article", "trafilatura", "resiliparse"]


def test_a_page_of_five_megabytes_is_read() -> None:
    result = extracted(page(f"<p>{PARAGRAPH * 12_000}</p>"))
    assert len(result.content) > 5_000_000


def test_a_self_closed_root_does_not_lose_the_page() -> None:
    assert extracted(b"<html lang='en' /><body><p>" + PARAGRAPH.encode()).content == PARAGRAPH.strip()


@given(
    st.binary(max_size=300) | st.text(max_size=200).map(str.encode),
    st.none() | st.sampled_from(["utf-8", "hex", "utf-7", "x"]),
)
def test_any_bytes_are_a_page_or_an_extraction_error(body: bytes, encoding: str | None) -> None:
    for candidate in (body, b"<html><body><p>" + body):
        try:
            result = extracted(candidate, encoding)
        except ExtractionError as error:
            assert error.kind  # noqa: PT017 - either outcome is right
        else:
            assert result.content == unicodedata.normalize("NFC", result.content).strip()
            assert "\x00" not in result.content
            result.content.encode()


def test_pages_and_errors_survive_the_way_between_processes() -> None:
    result = extracted(page())
    assert pickle.loads(pickle.dumps(result)) == result
    error = pickle.loads(pickle.dumps(TooDeep("deep")))
    assert isinstance(error, TooDeep)
    assert str(error) == "deep"


def test_the_hash_of_a_body_covers_what_reads_it() -> None:
    before = body_hash(b"x", EXTRACTION_VERSION)
    assert len(before) == 32
    assert before != body_hash(b"y", EXTRACTION_VERSION)
    assert before != body_hash(b"x", "other")
    assert ".".join(trafilatura.__version__.split(".")[:2]) in EXTRACTION_VERSION


def test_a_crawl_does_not_load_the_extractors_of_its_workers() -> None:
    code = "import sys, lcl_spiders.extraction.pool; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"trafilatura", "resiliparse", "lxml.html"} & set(modules)


def test_what_the_workers_preload_brings_the_extractors_and_no_scrapy() -> None:
    code = "import sys, lcl_spiders.extraction.extract; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"trafilatura", "resiliparse.extract", "lxml.html"} <= set(modules)
    assert not {"scrapy", "twisted", "psycopg"} & set(modules)
