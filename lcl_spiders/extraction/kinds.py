"""Which kind of page it is, by evidence that costs little: pure functions over a parsed page and its outline."""

from dataclasses import dataclass
from typing import Literal

from lxml.html import HtmlElement

from lcl_spiders.extraction.blocks import Outline
from lcl_spiders.extraction.groups import Group
from lcl_spiders.extraction.parts import shown_texts
from lcl_spiders.extraction.phrases import NEEDS_SCRIPTS

Kind = Literal["article", "listing", "documentation", "table", "thread", "shell"]

_GENERATORS = """
    sphinx docbook mkdocs docusaurus antora asciidoctor doxygen javadoc vitepress vuepress gitbook mdbook rustdoc jsdoc
    pdoc starlight texinfo pkgdown hevea
"""
_KNOWN_GENERATORS = tuple(_GENERATORS.split())
_MARKS = """
    documentwrapper rst-content sphinxsidebar bodywrapper refentry refsect1 sect1 navheader navfooter md-typeset
    md-content theme-doc-markdown markdown-section mdbook-content docblock javadoc doxygen memitem literalblock
    listingblock toctree-wrapper
"""
_KNOWN_MARKS = frozenset(_MARKS.split())
_MOUNTS = frozenset(
    {"root", "app", "__next", "__nuxt", "___gatsby", "svelte", "q-app", "app-root", "ember-app", "react-root"}
)
_LITTLE = 600
"""Characters of the frame that may stand round an empty element in which scripts mount an application.

Half of them where there is a heading, as the name of the site may be one.
"""

_NOTHING = 60  # characters of "Loading …" in such an element

_EMPTY = 60  # characters; a page with more says something, whatever its `noscript` asks for
_HALF, _MOST, _QUIET = 0.5, 0.6, 0.35
_INTRODUCTION = 400  # characters that are no link
_LONG_CARD = 600  # characters of a card's text that is no link, on average; more are posts or articles


@dataclass(frozen=True, slots=True)
class Recognised:
    """The kind of a page, and the evidence for it: counts and shares (0 to 1), and names as they stand on the page."""

    kind: Kind
    evidence: dict[str, float | str]


def recognise(tree: HtmlElement, outline: Outline, group: Group | None) -> Recognised:
    """Return the kind of a page whose frame is marked; `group` is its largest structure that repeats."""
    chars = unlinked = tables = code = terms = headings = 0
    for block in outline.blocks:
        if block.reason is not None:
            continue
        chars += block.chars
        unlinked += 0 if block.is_link else block.chars
        tables += block.chars if block.kind == "table" else 0
        code += block.kind == "code"
        terms += block.kind == "term"
        headings += block.kind == "heading"
    evidence: dict[str, float | str] = {"chars": chars, "unlinked": unlinked, "headings": headings}
    if unlinked < (_LITTLE if not headings else _LITTLE // 2) and (shell := _mount(tree)):
        return Recognised("shell", {**evidence, "shell": shell})
    if unlinked < _EMPTY and (shell := _request(tree)):
        return Recognised("shell", {**evidence, "shell": shell})
    if documents := _documents(tree, outline):
        return Recognised("documentation", {**evidence, "generator": documents})
    share = _share(outline, group, chars, unlinked)
    if group is not None:
        evidence |= {"repeated": len(group.regions), "share_repeated": round(share, 2)}
        # A few short cards below an introduction are all that a listing has on a quiet day.
        least = _QUIET if group.with_number >= _MOST and unlinked < _INTRODUCTION else _HALF
        if share >= least and group.are_cards and group.prose < _LONG_CARD:
            return Recognised("listing", {**evidence, "with_title": group.with_title, "with_number": group.with_number})
        if share >= _MOST and group.are_posts and group.with_number >= _HALF:
            return Recognised("thread", {**evidence, "with_number": group.with_number, "prose": round(group.prose)})
    if chars and tables >= chars * _HALF:
        return Recognised("table", {**evidence, "share_of_tables": round(tables / chars, 2)})
    if code + terms >= 3 and headings >= 3:
        return Recognised("documentation", {**evidence, "code": code, "terms": terms})
    return Recognised("article", evidence)


def _share(outline: Outline, group: Group | None, chars: int, unlinked: int) -> float:
    """Return the share of a group in a page's text; beside members with dates or prices, other links do not count."""
    if group is None or not chars:
        return 0.0
    if group.with_number < _MOST:
        return group.chars / chars
    inside = sum(
        0 if block.is_link else block.chars
        for number in group.regions
        for block in outline.blocks[slice(*outline.span(number))]
        if block.reason is None
    )
    return group.chars / max(group.chars + unlinked - inside, 1)


def _mount(tree: HtmlElement) -> str | None:
    """Return the element in which scripts would mount the page, None where there is none or it holds something."""
    if next(tree.iter("script"), None) is None:
        return None
    for element in tree.iter("div", "main", "section", "app-root"):
        name = element.tag if "-" in element.tag else element.get("id", "").lower()
        if name in _MOUNTS and len(" ".join(" ".join(shown_texts(element)).split())) < _NOTHING:
            return f"<{element.tag}> {name} is empty" if name != element.tag else f"<{name}> is empty"
    return None


def _request(tree: HtmlElement) -> str | None:
    """Return that a page without text asks for JavaScript, None where it does not."""
    if next(tree.iter("script"), None) is None:
        return None
    if any(NEEDS_SCRIPTS.search(element.text_content()) for element in tree.iter("noscript")):
        return "it asks for JavaScript"
    return None


def _documents(tree: HtmlElement, outline: Outline) -> str | None:
    """Return the generator of documentation that a page names, or a class that only such generators write."""
    for element in tree.iter("meta"):
        if element.get("name", "").lower() == "generator":
            content = str(element.get("content", "")).lower()
            if found := next((name for name in _KNOWN_GENERATORS if name in content), None):
                return found
    elements = [*(region.element for region in outline.regions[:200]), *(element for element, _ in outline.skipped)]
    for element in elements:
        for name in str(element.get("class", "")).split():
            if name in _KNOWN_MARKS:
                return name
    return None
