"""The text that a page is about, as Markdown: its kind's way first, and another where that leaves too much out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import bare_extraction
from trafilatura.settings import Document, Extractor
from trafilatura.xml import xmltotxt

from lcl_spiders.extraction.articles import mark_article
from lcl_spiders.extraction.blocks import Outline
from lcl_spiders.extraction.coverage import Coverage, coverage
from lcl_spiders.extraction.documentation import mark_documentation
from lcl_spiders.extraction.frame import mark, mark_frame
from lcl_spiders.extraction.full import full_text
from lcl_spiders.extraction.groups import largest_group
from lcl_spiders.extraction.kinds import Recognised, recognise
from lcl_spiders.extraction.listings import join_cards, mark_listing
from lcl_spiders.extraction.markdown import write
from lcl_spiders.extraction.markup import outlinks
from lcl_spiders.extraction.outline import outline
from lcl_spiders.extraction.page import normalised
from lcl_spiders.extraction.selection import serialised
from lcl_spiders.extraction.threads import mark_thread

_OPTIONS = Extractor(output_format="markdown", fast=True, comments=False, tables=True)


@dataclass(frozen=True, slots=True)
class Links:
    """How links stand in the text of a page whose links are relative to `base`; `kept` is "cards", "all" or "none"."""

    base: str = ""
    kept: str = "none"

    def absolute(self, href: str) -> str | None:
        """Return the canonical URL that a link leads to, None where that is no page."""
        return next(iter(outlinks(self.base, [href])), None)


@dataclass(frozen=True, slots=True)
class Content:
    """What was found to index on a page, and how.

    Attributes:
        text: Markdown in NFC, stripped; "" when nothing is found.
        extractor: who found it: "blocks", "trafilatura", "resiliparse" or "full".
        recognised: the page's kind; None where an extractor was named that knows of none.
        tried: each way that was tried, in order, with what became of it.
        outline: the page's blocks, with the reasons of those that are left out; None where blocks were not tried.
        coverage: how much of what the page shows is in the blocks that were kept.
    """

    text: str
    extractor: str
    recognised: Recognised | None = None
    tried: tuple[str, ...] = ()
    outline: Outline | None = None
    coverage: Coverage | None = None


def read_content(
    tree: HtmlElement, utf8: bytes | None = None, extractor: str = "auto", links: Links | None = None
) -> Content:
    """Return what a page is about; the tree may be changed by it.

    `utf8` is what the tree was parsed from, None when the tree was changed since. `extractor` is one of
    `ExtractionOptions`. With "auto" the page is read in the way of its kind; where that leaves too much of the page
    out, or finds nothing, trafilatura and resiliparse are tried, and the one that finds more is believed.

    Raises:
        MemoryError: the process has reached its limit; trying something else would meet it again.
    """
    if extractor != "auto":
        text = normalised(_EXTRACTORS[extractor](tree, utf8))
        return Content(text, extractor, tried=(f"{extractor}: {len(text):,} characters",))
    found = _by_kind(tree, links or Links())
    if found.recognised is not None and found.recognised.kind == "shell":
        return found
    if found.text and found.coverage is not None and not found.coverage.is_poor:
        return found
    best = found
    tried = list(found.tried)
    for name in _FALLBACKS:
        text = normalised(_EXTRACTORS[name](tree, utf8))
        tried.append(f"{name}: {len(text):,} characters")
        if len(text) > len(best.text):
            best = replace(found, text=text, extractor=name)
            break
    return replace(best, tried=tuple(tried))


def _by_kind(tree: HtmlElement, links: Links) -> Content:
    page = outline(tree, links.absolute if links.kept == "all" else None)
    mark_frame(page)
    group = largest_group(page)
    recognised = recognise(tree, page, group)
    covered_group = None
    match recognised.kind:
        case "shell":
            mark(page.blocks, "shell")
        case "documentation" if "generator" in recognised.evidence:
            mark_documentation(page)
        case "listing" if group is not None:
            mark_listing(page, group)
            covered_group = group
        case "thread" if group is not None:
            mark_thread(page, group)
            covered_group = group
        case _:
            mark_article(page)
    covered = coverage(page, covered_group)
    if recognised.kind == "listing" and group is not None:
        join_cards(page, group, links.absolute if links.kept != "none" else None)
    text = normalised(write(page.blocks))
    found = f"{recognised.kind}: {len(text):,} characters, {covered.prose:.0%} of the prose"
    return Content(text, "blocks", recognised, (found,), page, covered)


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
_FALLBACKS = ("trafilatura", "resiliparse")
