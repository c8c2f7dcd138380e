"""One page: the bytes a server sent -> everything the rest of the system wants to know of them.

Importing this imports the extractors, and neither Scrapy nor Twisted: a fork server preloads it once for all workers,
which then share its memory.
"""

import logging

from lcl_spiders.extraction.content import main_content
from lcl_spiders.extraction.document import parse, refuse_binary, utf8_body
from lcl_spiders.extraction.markup import read_markup
from lcl_spiders.extraction.page import ExtractedPage

# They report what is wrong with other people's pages, line by line; what matters of it becomes an ExtractionError.
for _name in ("trafilatura", "htmldate", "justext", "courlan", "charset_normalizer"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def extract_page(body: bytes, url: str, encoding: str | None) -> ExtractedPage:
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
    content, extractor = main_content(tree, utf8)
    return ExtractedPage(
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
