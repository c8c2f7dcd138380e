"""Whether a page's text is in the document that the server sent: what its validators speak for."""

from __future__ import annotations

from lxml import etree, html

from pipelines.similarity import containment, shingles

SAME = 0.9
_NO_TEXT = ("script", "style", "noscript", "template")


def is_scripted(document: bytes, rendered: bytes) -> bool:
    """Return whether scripts wrote more than a tenth of a rendered page's text. Both are HTML in UTF-8.

    ETag and Last-Modified of such a document are those of a shell: they stay while the text changes.
    """
    return containment(shingles(_text(rendered)), shingles(_text(document))) < SAME


def _text(document: bytes) -> str:
    try:
        tree = html.document_fromstring(document, parser=html.HTMLParser(encoding="utf-8"))
    except etree.ParserError:  # an empty document
        return ""
    etree.strip_elements(tree, *_NO_TEXT, with_tail=False)
    return " ".join(tree.itertext())
