"""HTML -> title, Markdown, links, canonical URL, language. Pure functions, and the processes that run them.

This package is light to import; `lcl_spiders.extraction.extract` brings the extractors.
"""

from lcl_spiders.extraction.errors import (
    BadFeed,
    EmptyBody,
    ExtractionCrashed,
    ExtractionError,
    ExtractionFailed,
    ExtractionTimeout,
    NeedsRendering,
    NoText,
    NotHtml,
    SpiderFailed,
    TooDeep,
)
from lcl_spiders.extraction.options import ExtractionOptions
from lcl_spiders.extraction.page import EXTRACTION_VERSION, ExtractedPage, body_hash

__all__ = [
    "EXTRACTION_VERSION",
    "BadFeed",
    "EmptyBody",
    "ExtractedPage",
    "ExtractionCrashed",
    "ExtractionError",
    "ExtractionFailed",
    "ExtractionOptions",
    "ExtractionTimeout",
    "NeedsRendering",
    "NoText",
    "NotHtml",
    "SpiderFailed",
    "TooDeep",
    "body_hash",
]
