"""`ADDONS = {"pipelines.IndexAddon": 500}` puts the pipelines and the run extension into a Scrapy project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from scrapy.utils.misc import load_object
from scrapy.utils.spider import DefaultSpider

from db.indexes import MIN_CHUNKS
from pipelines.arguments import parse_flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

PIPELINES = {
    "pipelines.dedup.DedupPipeline": 100,
    "pipelines.unchanged.UnchangedPipeline": 200,
    "pipelines.chunking.ChunkingPipeline": 300,
    "pipelines.embedding.EmbeddingPipeline": 400,
    "pipelines.covering.CoveringPipeline": 450,
    "pipelines.upsert.UpsertPipeline": 500,
}
SECRETS = ("_KEY", "_PASSWORD", "_SECRET", "_TOKEN")
"""How names of variables end that stay in the environment: settings are copied, handed on and shown."""

RUN_EXTENSION = "lcl_spiders.extensions.run.RunExtension"
OWN_SPIDER = "lcl_spiders.base_spiders.SourceSpider"

GUEST_PIPELINE = "lcl_spiders.guests.pipeline.GuestPipeline"
GUEST_RUN_EXTENSION = "lcl_spiders.guests.run.GuestRunExtension"
GUEST_ORDER = 900  # after the pipelines of a project that complete an item or drop it: what it drops is not indexed

DEFAULTS = {
    "LCL_EMBEDDING_PROVIDER": "local",
    "LCL_EMBEDDING_BATCH_SIZE": 256,
    "LCL_EMBEDDING_TIMEOUT": 30,
    "LCL_EMBEDDING_TOKENS_PER_REQUEST": 300_000,
    "LCL_EMBEDDING_CONCURRENCY": 4,
    "LCL_EMBEDDING_LINGER": 0.03,
    "LCL_CHUNK_SIZE": 1000,
    "LCL_RECRAWL_AFTER": 86_400,
    "LCL_MAX_FAILURE_SHARE": 0.5,
    "LCL_INDEX_MIN_CHUNKS": MIN_CHUNKS,
    "LCL_TRUST_AFTER": 3,
    "LCL_TRUST_AUDIT_EVERY": 10,
    "LCL_MAX_STALENESS": 14 * 86_400,
    "LCL_EXTRACTION_WORKERS": 2,
    "LCL_EXTRACTION_TIMEOUT": 20,
    "LCL_EXTRACTION_MEMORY": 1024**3,
    "LCL_INDEX_ENABLED": True,
}


class IndexAddon:
    """Wires the pipelines and the extension that owns a run, with defaults that the project can override.

    The spiders of this project yield pages, which go through the pipelines. Those of any other project are
    guests: one pipeline reads their items, and hands them on as they are. `LCL_INDEX_ENABLED` (on) is the switch.

    A setting that the project does not give is taken from the environment under the same name, unless it is a secret.
    """

    def __init__(self, crawler: Crawler | None = None) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(crawler)

    @classmethod
    def update_pre_crawler_settings(cls, settings: BaseSettings) -> None:
        """Fill in the `LCL_` settings, for commands as well as for crawls."""
        environment = os.environ.items()
        given = {name: value for name, value in environment if name.startswith("LCL_") and not name.endswith(SECRETS)}
        for name, value in DEFAULTS.items():
            settings.set(name, value, priority="default")  # the lowest, by which `Named` knows them
        for name, value in given.items():
            settings.set(name, value, priority="addon")

    def update_settings(self, settings: BaseSettings) -> None:
        """Add the components, except where no index is wanted: the switch is off, or nothing is crawled.

        Raises `ValueError` for a switch that is neither on nor off.
        """
        self.update_pre_crawler_settings(settings)  # it may be the spider alone that names the add-on
        is_off = not parse_flag("LCL_INDEX_ENABLED", settings["LCL_INDEX_ENABLED"])
        if is_off or os.environ.get("SCRAPY_CHECK"):  # contracts run no pipelines
            return
        crawler = self._crawler
        if crawler is None or issubclass(crawler.spidercls, load_object(OWN_SPIDER)):
            _add(settings, PIPELINES, RUN_EXTENSION)
        elif not only_looks(crawler):
            _add(settings, {GUEST_PIPELINE: GUEST_ORDER}, GUEST_RUN_EXTENSION)


def only_looks(crawler: Crawler) -> bool:
    """Return whether a spider is borrowed by a command that looks at pages, and wants no items of it.

    `scrapy shell` applies the settings before it makes a spider; `fetch` and `parse` put a `start` of their own in the
    place of the spider's.
    """
    is_borrowed = crawler.spidercls.start.__module__.startswith("scrapy.commands.")
    return is_borrowed or crawler.spider is None or crawler.spidercls is DefaultSpider


def _add(settings: BaseSettings, pipelines: Mapping[str, int], extension: str) -> None:
    for path, order in pipelines.items():
        settings.setdefault_in_component_priority_dict("ITEM_PIPELINES", load_object(path), order)
    settings.setdefault_in_component_priority_dict("EXTENSIONS", load_object(extension), 0)
