"""Known-item search (TREC) on the documentation sites: queries that one page answers, the one they are taken from.

Three kinds of query, each a title that stands once on its site, without its number and the site's name:

- `title`: the title of a page, which is indexed with it, as a visitor looks for a page that he remembers;
- `held title`: the same, where no page is indexed with its title: it is taken from the page's title and headings, and
  the lines that say nothing else are cut out of its text;
- `section`: the title of one section of a page, whose heading and lines that say nothing else are cut out of the text.

Other pages keep what they say of the page, tables of contents and links among it: those are what makes the task hard.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import lxml.html

from benchmarks import documents
from lcl_spiders.extraction.extract import extract_page
from lcl_spiders.extraction.page import EXTRACTION_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KINDS = ("title", "held title", "section")

_NUMBER = re.compile(r"^(?:(?:Chapter|Appendix|Part)\s+)?(?:\d+|[A-Z]|[IVX]+)(?:\.\d+)*\.\s+")
_SITE_NAME = re.compile(r" — [^—]*documentation$")
_MARKS = re.compile(r"^[\s#>*-]+|[`*\\¶]|\s+$")
_SECTIONS = "//h2 | //h3 | //h4"


@dataclass(frozen=True, slots=True)
class Page:
    """An extracted page. `sections` are the titles under its own, as they would be asked for."""

    url: str
    title: str | None
    language: str | None
    content: str
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A question with its one right answer. What was tuned on half of them (`for_tuning`) is judged by the others."""

    site: str
    kind: str
    text: str
    url: str

    @property
    def for_tuning(self) -> bool:
        """Whether the query is of the half on which ranking is tuned; the same half for all time."""
        return hashlib.sha256(f"{self.kind} {self.text}".encode()).digest()[0] % 2 == 0


def base_of(site: documents.Site) -> str:
    """Return the URL under which a site's pages are indexed."""
    return f"https://{site.package.partition('-')[0].replace('.', '')}.test/"


def pages_of(site: documents.Site) -> list[Page]:
    """Return all pages of a site in the order of their paths; extracted once, and kept beside the site."""
    kept = documents.CACHE / f"{site.package}-{EXTRACTION_VERSION}-pages.json"
    if not kept.exists():
        kept.write_text(json.dumps([asdict(page) for page in _extracted(site)]), encoding="utf-8")
    found = json.loads(kept.read_text(encoding="utf-8"))
    return [Page(**{**fields, "sections": tuple(fields["sections"])}) for fields in found]


def _extracted(site: documents.Site) -> list[Page]:
    folder = documents.folder_of(site)
    files = sorted(folder.rglob("*.html"))
    urls = [base_of(site) + file.relative_to(folder).as_posix() for file in files]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(_page, files, urls, chunksize=20)
        return [page for page in found if page.content]


def with_titles(site: documents.Site, pages: Sequence[Page]) -> tuple[list[Page], list[Query]]:
    """Return pages as they are but for one section's title each, and the `title` and `section` queries."""
    titles, sections = _titles(pages), Counter(section for page in pages for section in set(page.sections))
    kept, queries = [], []
    for page, title in zip(pages, titles, strict=True):
        if titles.count(title) == 1:
            queries.append(Query(site.name, "title", title, page.url))
        telling = [each for each in page.sections if sections[each] == 1 and " " in each and each not in titles]
        if not telling:
            kept.append(page)
            continue
        section = min(telling, key=lambda each: hashlib.sha256(each.encode()).digest())
        kept.append(replace(page, content=_without(page.content, section)))
        queries.append(Query(site.name, "section", section, page.url))
    return kept, queries


def without_titles(site: documents.Site, pages: Sequence[Page]) -> tuple[list[Page], list[Query]]:
    """Return pages of which none has its title, and the `held title` queries."""
    titles = _titles(pages)
    cut = [
        replace(page, title=None, content=_without(page.content, title))
        for page, title in zip(pages, titles, strict=True)
    ]
    queries = [
        Query(site.name, "held title", title, page.url)
        for page, title in zip(cut, titles, strict=True)
        if titles.count(title) == 1 and page.content
    ]
    return [page for page in cut if page.content], queries


def bare(title: str) -> str:
    """Return a title as it would be asked for: without number, site's name and Markdown."""
    line = " ".join(_MARKS.sub("", title).split())
    return _SITE_NAME.sub("", _NUMBER.sub("", line)).strip()


def _titles(pages: Sequence[Page]) -> list[str]:
    return [bare(page.title or page.url) for page in pages]


def _without(content: str, title: str) -> str:
    return "\n".join(line for line in content.splitlines() if bare(line).casefold() != title.casefold()).strip()


def _page(file: Path, url: str) -> Page:
    body = file.read_bytes()
    page = extract_page(body, url, "utf-8")
    headings = [bare(found.text_content()) for found in lxml.html.fromstring(body).xpath(_SECTIONS)]
    own = bare(page.title or "")
    sections = tuple(dict.fromkeys(each for each in headings if each and each != own))
    return Page(url, page.title, page.language, page.content, sections)
