"""`ADDONS = {"pipelines.IndexAddon": 500}` puts the pipelines and the run extension into a Scrapy project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from scrapy.utils.misc import load_object
from scrapy.utils.spider import DefaultSpider

from db.indexes import MIN_CHUNKS

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

PIPELINES = {
    "pipelines.dedup.DedupPipeline": 100,
    "pipelines.unchanged.UnchangedPipeline": 200,
    "pipelines.chunking.ChunkingPipeline": 300,
    "pipelines.embedding.EmbeddingPipeline": 400,
    "pipelines.upsert.UpsertPipeline": 500,
}
SECRETS = ("_KEY", "_PASSWORD", "_SECRET", "_TOKEN")
"""How names of variables end that stay in the environment: settings are copied, handed on and shown."""

RUN_EXTENSION = "lcl_spiders.extensions.run.RunExtension"

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
}


class IndexAddon:
    """Wires the five pipelines and the extension that owns a run, with defaults that the project can override.

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
        for name, value in {**DEFAULTS, **given}.items():
            settings.set(name, value, priority="addon")

    def update_settings(self, settings: BaseSettings) -> None:
        """Add the components, except under `scrapy check`, whose contracts run no pipelines, `fetch` and `shell`."""
        is_no_source = self._crawler is not None and self._crawler.spidercls is DefaultSpider
        if os.environ.get("SCRAPY_CHECK") or is_no_source:
            return
        for path, order in PIPELINES.items():
            settings.setdefault_in_component_priority_dict("ITEM_PIPELINES", load_object(path), order)
        settings.setdefault_in_component_priority_dict("EXTENSIONS", load_object(RUN_EXTENSION), 0)
