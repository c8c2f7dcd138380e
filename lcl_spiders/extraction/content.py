"""The text that a page is about, as Markdown."""

import unicodedata

from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import bare_extraction
from trafilatura.settings import Document, Extractor
from trafilatura.xml import xmltotxt

_OPTIONS = Extractor(output_format="markdown", fast=True, comments=False, tables=True)


def main_content(tree: HtmlElement, utf8: bytes) -> tuple[str, str]:
    """Return (Markdown in NFC, stripped; the extractor that found it) for a tree and the bytes it was parsed from.

    The content is "" when neither extractor finds any.

    Raises:
        MemoryError: the process has reached its limit; trying something else would meet it again.
    """
    content = _normalised(_trafilatura(tree))
    if content:
        return content, "trafilatura"
    text = extract_plain_text(
        utf8.decode("utf-8", "replace"), main_content=True, preserve_formatting=True, alt_texts=False, comments=False
    )
    return _normalised(text), "resiliparse"


def _trafilatura(tree: HtmlElement) -> str:
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


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFC", text).replace("\x00", "").strip()
