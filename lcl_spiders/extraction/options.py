"""What a source says about how its pages are read. Light to import and to pickle: it travels with each page."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from lcl_spiders.extraction.page import EXTRACTION_VERSION

if TYPE_CHECKING:
    from lcl_spiders.source_config import SourceConfig


@dataclass(frozen=True, slots=True)
class ExtractionOptions:
    """The settings of a source that decide what is read from a page; `SourceConfig` describes and checks them.

    Attributes:
        extractor: "auto" (in the way of the page's kind, then trafilatura, then resiliparse), "trafilatura",
            "resiliparse", or "full" (all visible text).
        content_css: the main text is that of these elements, all of it unless an extractor is named; where they hold
            none, the page is read without them.
        exclude_css: elements that are no text; their links count all the same.
        links: which links stand in the text, as absolute URLs: "cards" (those of a listing's cards), "all" or "none".
        title_css: the first such element holds the title; where there is none, the title is the page's own.
        boilerplate: "learned" (what most pages of a kind have is left out) or "kept".
    """

    extractor: str = "auto"
    content_css: tuple[str, ...] = ()
    exclude_css: tuple[str, ...] = ()
    title_css: str | None = None
    links: str = "cards"
    boilerplate: str = "learned"

    @classmethod
    def of(cls, config: SourceConfig) -> ExtractionOptions:
        """Return the options that a source's settings hold."""
        return cls(
            config.extractor,
            tuple(config.content_css),
            tuple(config.exclude_css),
            config.title_css,
            config.links,
            config.boilerplate,
        )

    def version(self, code: str = "") -> str:
        """Return the name of this way of reading: it salts the hashes of bodies and is stored as a page's `reader`.

        It changes with the extraction's version, with every option, and with `code`, which names a spider's own way;
        so whatever changes, every page is read again at its next check.
        """
        chosen = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != each.default}
        if not chosen and not code:
            return EXTRACTION_VERSION
        digest = hashlib.sha256(json.dumps([chosen, code], sort_keys=True).encode()).hexdigest()
        return f"{EXTRACTION_VERSION}+{digest[:16]}"


DEFAULT = ExtractionOptions()
