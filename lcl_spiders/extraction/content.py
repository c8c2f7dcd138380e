"""The text that a page is about, as Markdown."""

from collections.abc import Callable

from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import bare_extraction
from trafilatura.settings import Document, Extractor
from trafilatura.xml import xmltotxt

from lcl_spiders.extraction.full import full_text
from lcl_spiders.extraction.page import normalised
from lcl_spiders.extraction.selection import serialised

_OPTIONS = Extractor(output_format="markdown", fast=True, comments=False, tables=True)


def main_content(tree: HtmlElement, utf8: bytes | None = None, extractor: str = "auto") -> tuple[str, str]:
    """Return (Markdown in NFC, stripped; the extractor that found it) for a tree, which may be changed by it.

    `utf8` is what the tree was parsed from, None when the tree was changed since. `extractor` is one of
    `ExtractionOptions`. The content is "" when nothing is found.

    Raises:
        MemoryError: the process has reached its limit; trying something else would meet it again.
    """
    for name in ("trafilatura", "resiliparse") if extractor == "auto" else (extractor,):
        content = normalised(_EXTRACTORS[name](tree, utf8))
        if content:
            break
    return content, name


def _trafilatura(tree: HtmlElement, _: bytes | None) -> str:
    try:
        document = bare_extraction(tree, options=_OPTIONS)
        if not isinstance(document, Document) or document.body is None:
            return ""
        # trafilatura.extract would do the same after serialising the page a second time.
        return xmltotxt(document.body, include_formatting=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever a page makes it raise (RecursionError, TypeError, ...), there is another
        return ""


def _resiliparse(tree: HtmlElement, utf8: bytes | None) -> str:
    html = serialised(tree) if utf8 is None else utf8.decode("utf-8", "replace")
    text: str = extract_plain_text(html, main_content=True, preserve_formatting=True, alt_texts=False, comments=False)
    return text


def _full(tree: HtmlElement, _: bytes | None) -> str:
    return full_text(tree)


_EXTRACTORS: dict[str, Callable[[HtmlElement, bytes | None], str]] = {
    "trafilatura": _trafilatura,
    "resiliparse": _resiliparse,
    "full": _full,
}
