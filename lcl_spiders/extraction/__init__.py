"""HTML -> title, Markdown, links, canonical URL, language. Pure functions, and the processes that run them.

Importing the package imports the extractors, and neither Scrapy nor Twisted: a forkserver preloads it once for all
workers, which then share its memory.
"""

import logging

from lcl_spiders.extraction.errors import (
    EmptyBody,
    ExtractionCrashed,
    ExtractionError,
    ExtractionFailed,
    ExtractionTimeout,
    NotHtml,
    TooDeep,
)
from lcl_spiders.extraction.page import EXTRACTION_VERSION, ExtractedPage, body_hash, extract_page

# They report what is wrong with other people's pages, line by line; what matters of it becomes an ExtractionError.
for _name in ("trafilatura", "htmldate", "justext", "courlan", "charset_normalizer"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

__all__ = [
    "EXTRACTION_VERSION",
    "EmptyBody",
    "ExtractedPage",
    "ExtractionCrashed",
    "ExtractionError",
    "ExtractionFailed",
    "ExtractionTimeout",
    "NotHtml",
    "TooDeep",
    "body_hash",
    "extract_page",
]
