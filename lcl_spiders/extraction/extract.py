"""One page: the bytes a server sent -> everything the rest of the system wants to know of them.

Importing this imports the extractors, and neither Scrapy nor Twisted: a fork server preloads it once for all workers,
which then share its memory.
"""

import logging
from dataclasses import replace

from lxml.html import HtmlElement

from lcl_spiders.extraction.content import main_content
from lcl_spiders.extraction.document import parse, refuse_binary, utf8_body
from lcl_spiders.extraction.markup import read_markup
from lcl_spiders.extraction.options import DEFAULT, ExtractionOptions
from lcl_spiders.extraction.page import ExtractedPage, one_line
from lcl_spiders.extraction.selection import exclude, only, select

# They report what is wrong with other people's pages, line by line; what matters of it becomes an ExtractionError.
for _name in ("trafilatura", "htmldate", "justext", "courlan", "charset_normalizer"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def extract_page(body: bytes, url: str, encoding: str | None, options: ExtractionOptions = DEFAULT) -> ExtractedPage:
    """Extract the page that was served at `url` (absolute); `encoding` is the HTTP header's charset.

    Takes 5 to 10 ms for 15 kB, and without any bound for pages made to hurt: run it in an `ExtractionPool`.

    Raises:
        EmptyBody, NotHtml, TooDeep: the page cannot be read.
        MemoryError: the process has reached its limit.
    """
    utf8 = utf8_body(body, encoding)
    refuse_binary(body)
    tree = parse(utf8)
    markup = read_markup(tree, url)
    is_plain = not (options.content_css or options.exclude_css or options.title_css)
    content, extractor = main_content(tree, utf8, options.extractor) if is_plain else ("", "")
    page = ExtractedPage(
        title=markup.title,
        language=markup.language,
        content=content,
        canonical=markup.canonical,
        is_canonical_malformed=markup.is_canonical_malformed,
        outlinks=markup.outlinks,
        noindex=markup.noindex,
        nofollow=markup.nofollow,
        extractor=extractor,
    )
    return page if is_plain else _selected(page, tree, options)


def _selected(page: ExtractedPage, tree: HtmlElement, options: ExtractionOptions) -> ExtractedPage:
    """Return a page with the title and text that the source's selectors find, else with the usual ones."""
    named = select(tree, [options.title_css]) if options.title_css is not None else []
    exclude(tree, options.exclude_css)
    # Also where the element itself was excluded: out of the text, it may still hold the title.
    title = one_line(named[0].text_content()) if named else None
    is_missed = options.title_css is not None and title is None
    content = extractor = ""
    if (chosen := only(tree, options.content_css)) is not None:
        content, extractor = main_content(chosen, None, "full" if options.extractor == "auto" else options.extractor)
    if not content:
        is_missed = is_missed or bool(options.content_css)
        content, extractor = main_content(tree, None, options.extractor)
    return replace(page, title=title or page.title, content=content, extractor=extractor, is_selector_missed=is_missed)
