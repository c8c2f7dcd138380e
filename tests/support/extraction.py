"""A page as extraction sees it."""

from lcl_spiders.extraction.boilerplate import hashes_of
from lcl_spiders.extraction.content import Content, Links, read_content
from lcl_spiders.extraction.document import parse
from lcl_spiders.extraction.page import ExtractedPage

BASE = "https://example.org/folder/page"
PROSE = "The quick brown fox jumps over the lazy dog, and nobody who was there minded it at all. " * 3


def read(body: str, head: str = "", links: str = "cards") -> Content:
    """Return what is found on a page with this body."""
    html = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'.encode()
    return read_content(parse(html), html, "auto", Links(BASE, links))


def kept(body: str, head: str = "", links: str = "cards") -> str:
    """Return the text of such a page."""
    return read(body, head, links).text


def reasons(content: Content) -> set[str]:
    """Return why blocks of a page, or elements that were not walked, are left out."""
    assert content.outline is not None
    blocks = {block.reason for block in content.outline.blocks if block.reason is not None}
    return blocks | {reason for _, reason in content.outline.skipped}


def page(content: str, kind: str | None = "article", *cards: str) -> ExtractedPage:
    """Return a page with this text, of which `cards` are a listing's."""
    return ExtractedPage(
        title=None,
        language=None,
        content=content,
        canonical=None,
        is_canonical_malformed=False,
        outlinks=(),
        noindex=False,
        nofollow=False,
        extractor="blocks",
        kind=kind,
        cards=hashes_of(cards),
    )
