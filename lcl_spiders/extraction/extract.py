"""One page: the bytes a server sent -> everything the rest of the system wants to know of them.

Importing this imports the extractors, and neither Scrapy nor Twisted: a fork server preloads it once for all workers,
which then share its memory.
"""

import logging
from dataclasses import dataclass

from lxml.html import HtmlElement

from lcl_spiders.extraction.about import About, read_about
from lcl_spiders.extraction.boilerplate import hashes_of
from lcl_spiders.extraction.content import Content, Links, read_content
from lcl_spiders.extraction.document import parse, refuse_binary, utf8_body
from lcl_spiders.extraction.errors import NeedsRendering, NoText
from lcl_spiders.extraction.language import decided, language_of
from lcl_spiders.extraction.markup import Markup, read_markup
from lcl_spiders.extraction.options import DEFAULT, ExtractionOptions
from lcl_spiders.extraction.page import ExtractedPage, one_line
from lcl_spiders.extraction.selection import exclude, only, select

# They report what is wrong with other people's pages, line by line; what matters of it becomes an ExtractionError.
for _name in ("trafilatura", "htmldate", "justext", "courlan", "charset_normalizer"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Reading:
    """A page with all that was found on the way to it: what `scrapy inspect` shows."""

    page: ExtractedPage
    content: Content


def extract_page(body: bytes, url: str, encoding: str | None, options: ExtractionOptions = DEFAULT) -> ExtractedPage:
    """Extract the page that was served at `url` (absolute); `encoding` is the HTTP header's charset.

    Takes 1 to 3 ms for 15 kB, and without any bound for pages made to hurt: run it in an `ExtractionPool`.

    Raises:
        EmptyBody, NotHtml, TooDeep: the page cannot be read.
        NoText, NeedsRendering: nothing on it can be indexed, and no link leads on.
        MemoryError: the process has reached its limit.
    """
    reading = read_page(body, url, encoding, options)
    refuse_empty(reading)
    return reading.page


def read_page(body: bytes, url: str, encoding: str | None, options: ExtractionOptions = DEFAULT) -> Reading:
    """Read a page like `extract_page`, also one on which there is nothing to index."""
    utf8 = utf8_body(body, encoding)
    refuse_binary(body)
    tree = parse(utf8)
    markup = read_markup(tree, url)
    title, is_missed = markup.title, False
    if options.content_css or options.exclude_css or options.title_css:
        about = read_about(tree, markup.title, None)
        title, content, is_missed = _selected(tree, markup, options)
    else:
        # Before the text is read, which may change the tree.
        about = read_about(tree, markup.title, _heading(tree))
        title = about.title or title
        content = read_content(tree, utf8, options.extractor, Links(markup.base, options.links))
    return Reading(_page(markup, title, content, about, is_missed=is_missed), content)


def refuse_empty(reading: Reading) -> None:
    """Raise `NeedsRendering` or `NoText` for a page with nothing to index that says nothing else either.

    One from which links lead on, or that asks to stay out of the index, is a page without text.
    """
    page = reading.page
    if page.content or page.outlinks or page.noindex:
        return
    tried = "; ".join(page.tried)
    if page.kind == "shell":
        why = page.evidence.get("shell")
        msg = f"an empty shell that seems to need rendering ({why}): set render=always. Tried {tried}"
        raise NeedsRendering(msg)
    msg = f"no way of extraction finds text on it. Tried {tried}"
    raise NoText(msg)


def _page(markup: Markup, title: str | None, content: Content, about: About, *, is_missed: bool) -> ExtractedPage:
    outline, recognised = content.outline, content.recognised
    cards = [block.text for block in outline.blocks if block.kind == "card"] if outline is not None else []
    language = (
        language_of(markup.language, outline.blocks)
        if outline is not None and content.extractor == "blocks"
        else decided(markup.language, content.text)
    )
    return ExtractedPage(
        title=title,
        language=language,
        content=content.text,
        canonical=markup.canonical,
        is_canonical_malformed=markup.is_canonical_malformed,
        outlinks=markup.outlinks,
        noindex=markup.noindex,
        nofollow=markup.nofollow,
        extractor=content.extractor,
        is_selector_missed=is_missed,
        kind=recognised.kind if recognised is not None else None,
        evidence=recognised.evidence if recognised is not None else {},
        tried=content.tried,
        description=about.description,
        author=about.author,
        published=about.published,
        modified=about.modified,
        cards=hashes_of(cards),
    )


def _selected(tree: HtmlElement, markup: Markup, options: ExtractionOptions) -> tuple[str | None, Content, bool]:
    """Return the title and text that the source's selectors find, else the usual ones, and whether one missed."""
    links = Links(markup.base, options.links)
    named = select(tree, [options.title_css]) if options.title_css is not None else []
    exclude(tree, options.exclude_css)
    # Also where the element itself was excluded: out of the text, it may still hold the title.
    title = one_line(named[0].text_content()) if named else None
    is_missed = options.title_css is not None and title is None
    content = Content("", "")
    if (chosen := only(tree, options.content_css)) is not None:
        content = read_content(chosen, None, "full" if options.extractor == "auto" else options.extractor, links)
    if not content.text:
        is_missed = is_missed or bool(options.content_css)
        content = read_content(tree, None, options.extractor, links)
    return title or markup.title, content, is_missed


def _heading(tree: HtmlElement) -> str | None:
    headings = [text for each in tree.iter("h1") if (text := one_line(each.text_content())) is not None]
    return headings[0] if len(headings) == 1 else None
