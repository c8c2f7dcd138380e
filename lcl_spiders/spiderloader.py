"""Every row of `scraper_sources` is a spider, beside the kinds and the spiders in code.

Lazy: a name is looked up when it is asked for, in one query. Nothing here starts or migrates a server.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.rows import dict_row
from scrapy.spiderloader import SpiderLoader

from db.connection import conninfo
from db.errors import DatabaseUnavailable, one_line
from lcl_spiders.base_spiders import KINDS
from lcl_spiders.source_config import SourceConfig
from pipelines.config import database_address

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping

    from scrapy import Request, Spider
    from scrapy.settings import BaseSettings

CONNECT_TIMEOUT = "2"
ANY_SOURCE = "source"
"""The name under which `-a slug=…` crawls any source. Scrapyd takes only names that it listed at deployment."""


class SourceSpiderLoader:
    """Loads spiders by the slug of their source, else by their name in code."""

    def __init__(self, settings: BaseSettings) -> None:
        self._settings = settings
        self._code = SpiderLoader.from_settings(settings)

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Build for a project."""
        return cls(settings)

    def load(self, spider_name: str) -> type[Spider]:
        """Return the spider class of a source. Raises `KeyError` when there is no such name."""
        if spider_name in KINDS:
            return KINDS[spider_name]
        if os.environ.get("SCRAPY_CHECK") and spider_name in self._code.list():
            return self._code.load(spider_name)  # contracts are checked without a database
        row = self._row(spider_name)
        return self._code.load(spider_name) if row is None else self.spider_of(row)

    def spider_of(self, row: Mapping[str, Any]) -> type[Spider]:
        """Return the spider class of a row of `scraper_sources`: slug, start_url, domain, spider, config.

        Raises `KeyError` when its kind of spider is not there, and `InvalidSource` for settings that make no sense.
        """
        base = KINDS.get(row["spider"]) or self._code.load(row["spider"])
        config = effective_config(base, row["config"])
        return type(
            base.__name__,
            (base,),
            {
                "__module__": base.__module__,
                "__doc__": base.__doc__,
                "name": row["slug"],
                "slug": row["slug"],
                "start_url": row["start_url"],
                "domain": row["domain"],
                "config": config,
                "custom_settings": {**(base.custom_settings or {}), **config.scrapy_settings()},
            },
        )

    def list(self) -> list[str]:
        """Return every spider's name; only those in code under `scrapy check`, or without a database."""
        names = {*self._code.list(), *KINDS}
        if not os.environ.get("SCRAPY_CHECK"):
            names.update([ANY_SOURCE, *self._slugs()])
        return sorted(names)

    def find_by_request(self, request: Request) -> builtins.list[str]:
        """Return the spiders in code that would take a request (used by `scrapy fetch` and `parse`)."""
        return self._code.find_by_request(request)

    def _slugs(self) -> builtins.list[str]:
        address = database_address(self._settings)
        if address.folder is not None and address.folder.exists() and address.resolve_running() is None:
            _tell("the sources are not listed: the embedded database does not run. `scrapy sources list` starts it")
            return []
        try:
            return [row["slug"] for row in self._select("SELECT slug FROM scraper_sources")]
        except (psycopg.Error, DatabaseUnavailable) as error:
            reason = one_line(error)
            _tell(f"the sources are not listed, the database does not answer: {reason}")
            return []

    def _row(self, slug: str) -> dict[str, Any] | None:
        try:
            rows = self._select(
                "SELECT slug, start_url, domain, spider, config FROM scraper_sources WHERE slug = %s", slug
            )
        except psycopg.Error:
            if slug in self._code.list():
                return None
            raise
        return rows[0] if rows else None

    def _select(self, query: str, *values: str) -> builtins.list[dict[str, Any]]:
        url = database_address(self._settings).resolve_running()
        if url is None:
            return []
        with psycopg.connect(
            conninfo(url), connect_timeout=CONNECT_TIMEOUT, autocommit=True, row_factory=dict_row
        ) as connection:
            return connection.execute(query, values).fetchall()


def effective_config(base: type[Spider], given: dict[str, Any]) -> SourceConfig:
    """Return the settings of a source: those of its row over those that its spider has in code.

    Raises `InvalidSource` that names each setting which is wrong.
    """
    own = getattr(base, "config", SourceConfig())
    return SourceConfig.parse({**own.model_dump(exclude_unset=True), **given})


def _tell(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - `scrapy list` is read by programs on standard output
