"""What a source says about how its pages are read."""

import pickle

import pytest

from lcl_spiders.extraction import EXTRACTION_VERSION, ExtractedPage, ExtractionOptions
from lcl_spiders.extraction.checked import checked
from lcl_spiders.extraction.extract import extract_page
from lcl_spiders.source_config import SourceConfig

URL = "http://example.org/docs/page.html"
PARAGRAPH = "The quick brown fox jumps over the lazy dog, and nobody minds at all. " * 3
PAGE = f"""<!doctype html><html lang="en"><head><title>Foxes | A site</title></head><body>
<header>The site of foxes</header><nav><a href="/">Home of it all</a></nav>
<main><h1>Foxes<a class="mark" href="#x">¶</a></h1>
<div class="card"><h2>Red <b>fox</b></h2><p>Lives in woods.</p><a href="/red">more of it</a></div>
<p class="intro">{PARAGRAPH}</p>
<div class="card"><h2>Arctic fox</h2><p>Lives in snow.</p>
<p class="share">Share this fox <a href="/share">now</a></p></div>
<pre><code>fox  --run
  fast</code></pre><ul><li>one<ul><li>two</li></ul></li></ul>
<p hidden>A hidden fox</p><p style="color: red; display: none">An unseen fox</p><script>run()</script>
</main><footer>Imprint</footer></body></html>""".encode()


def read(options: ExtractionOptions, body: bytes = PAGE) -> ExtractedPage:
    return extract_page(body, URL, "utf-8", options)


def test_all_text_is_kept_without_navigation_scripts_and_what_is_hidden() -> None:
    page = read(ExtractionOptions("full"))
    assert page.extractor == "full"
    for shown in ("The site of foxes", "# Foxes", "## Red fox", "Lives in woods.", "## Arctic fox", "- one", "Imprint"):
        assert shown in page.content
    for unseen in ("Home of it all", "hidden fox", "unseen fox", "run()", "A site"):
        assert unseen not in page.content


def test_code_keeps_its_lines_and_spaces() -> None:
    assert "```\nfox  --run\n  fast\n```" in read(ExtractionOptions("full")).content


@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse"])
def test_the_extractor_that_is_named_is_the_one_that_reads(extractor: str) -> None:
    page = read(ExtractionOptions(extractor))
    assert page.extractor == extractor
    assert PARAGRAPH.strip() in page.content


def test_the_text_is_that_of_the_elements_that_are_named_in_the_order_of_the_page() -> None:
    page = read(ExtractionOptions(content_css=("div.card", "main > h1")))
    assert page.content.split("\n\n")[:3] == ["# Foxes¶", "## Red fox", "Lives in woods."]
    assert page.content.index("Arctic") > page.content.index("Red")
    assert "quick brown" not in page.content
    assert not page.is_selector_missed


def test_what_stands_inside_an_element_that_is_named_is_not_repeated() -> None:
    page = read(ExtractionOptions(content_css=(".card h2", ".card", "main", "p")))
    assert page.content.count("Arctic fox") == 1


@pytest.mark.parametrize("selector", ["html", "body", "*"])
def test_the_whole_page_can_be_named(selector: str) -> None:
    assert "Lives in snow." in read(ExtractionOptions(content_css=(selector,))).content


@pytest.mark.parametrize("selector", [".nowhere", "main .mark + i", "script"])
def test_a_page_on_which_a_selector_finds_no_text_is_read_as_usual_and_says_so(selector: str) -> None:
    page = read(ExtractionOptions(content_css=(selector,)))
    assert page.is_selector_missed
    assert (page.content, page.extractor) == (read(ExtractionOptions()).content, "blocks")


def test_excluded_elements_are_no_text_and_their_links_count_all_the_same() -> None:
    page = read(ExtractionOptions("full", exclude_css=(".share", ".mark")))
    assert "Share this fox" not in page.content
    assert "¶" not in page.content
    assert "```\nfox" in page.content, "the text after an excluded element stays"
    assert "http://example.org/share" in page.outlinks
    assert page.outlinks == read(ExtractionOptions()).outlinks


def test_excluding_works_with_every_extractor() -> None:
    for extractor in ("auto", "trafilatura", "resiliparse", "full"):
        assert "quick brown" not in read(ExtractionOptions(extractor, exclude_css=(".intro",))).content


def test_the_title_is_that_of_the_element_that_is_named_without_what_is_excluded() -> None:
    assert read(ExtractionOptions(title_css="h1", exclude_css=(".mark",))).title == "Foxes"
    assert read(ExtractionOptions(title_css="h1", exclude_css=("h1",))).title == "Foxes¶"


def test_without_the_element_that_is_named_the_title_is_the_pages_own_and_that_is_said() -> None:
    page = read(ExtractionOptions(title_css="h6"))
    assert (page.title, page.is_selector_missed) == ("Foxes | A site", True)


def test_a_source_that_says_nothing_is_read_as_before() -> None:
    assert ExtractionOptions.of(SourceConfig()) == ExtractionOptions()
    assert ExtractionOptions().version() == EXTRACTION_VERSION
    assert read(ExtractionOptions()) == extract_page(PAGE, URL, "utf-8")


def test_whatever_changes_in_how_a_source_is_read_changes_the_name_of_its_reader() -> None:
    configs = [
        SourceConfig(),
        SourceConfig(extractor="full"),
        SourceConfig(content_css=["a", "b"]),
        SourceConfig(content_css=["a, b"]),
        SourceConfig(exclude_css=["a", "b"]),
        SourceConfig(title_css="a"),
        SourceConfig(links="all"),
        SourceConfig(links="none"),
        SourceConfig(boilerplate="kept"),
    ]
    names = [ExtractionOptions.of(config).version(code) for config in configs for code in ("", "a:1", "a:2")]
    assert len(set(names)) == len(names)
    assert ExtractionOptions.of(SourceConfig(max_pages=3, delay=1)).version() == EXTRACTION_VERSION


def test_options_survive_the_way_to_a_worker() -> None:
    options = ExtractionOptions("full", ("a",), ("b",), "h1")
    assert pickle.loads(pickle.dumps(options)) == options


def test_what_a_spiders_own_code_says_is_made_fit_for_the_index() -> None:
    links = ("#top", "d?b=2&a=1", "mailto:x")
    loose = ExtractedPage("Two\nlines", None, " a\x00b ", "../c", False, links, False, False, "own")
    page = checked(loose, URL)
    assert (page.title, page.content, page.canonical) == ("Two lines", "ab", "http://example.org/c")
    assert page.outlinks == ("http://example.org/docs/d?a=1&b=2",)


@pytest.mark.parametrize("wrong", [None, "text", {"content": "x"}])
def test_anything_else_than_a_page_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="ExtractedPage"):
        checked(wrong, URL)
