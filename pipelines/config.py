"""A typed, validated view of the settings that the pipelines use, built once for each run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.utils.conf import closest_scrapy_cfg

from db.connection import Address
from pipelines.budget import TokenLimits
from pipelines.embedding_config import EmbeddingConfig
from pipelines.numbers import share, whole_number
from pipelines.prefixes import NO_PREFIXES, Prefixes

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

    from pipelines.providers import ProviderSpec


@dataclass(frozen=True)
class Config:
    """What a run needs to know, checked. Hashable, so that runs with equal settings share one runtime."""

    database: Address
    lock_database_url: str | None
    embedding: EmbeddingConfig
    limits: TokenLimits
    chunk_size: int
    recrawl_after: float
    max_failure_share: float
    index_min_chunks: int
    trust_after: int
    trust_audit_every: int
    max_staleness: float
    prefixes: Prefixes = NO_PREFIXES

    @property
    def spec(self) -> ProviderSpec:
        """The provider and model that the settings name."""
        return self.embedding.spec

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Config:
        """Read the `LCL_` settings. Raises `ValueError` naming the setting that is wrong and what it may be."""
        return cls(
            database=database_address(settings),
            lock_database_url=settings.get("LCL_LOCK_DATABASE_URL") or None,
            embedding=EmbeddingConfig.from_settings(settings),
            limits=TokenLimits.from_settings(settings),
            chunk_size=whole_number(settings, "LCL_CHUNK_SIZE", 100, 20_000),
            recrawl_after=float(whole_number(settings, "LCL_RECRAWL_AFTER", 0, 10**9)),
            max_failure_share=share(settings, "LCL_MAX_FAILURE_SHARE"),
            index_min_chunks=whole_number(settings, "LCL_INDEX_MIN_CHUNKS", 1, 10**9),
            trust_after=whole_number(settings, "LCL_TRUST_AFTER", 1, 10**6),
            trust_audit_every=whole_number(settings, "LCL_TRUST_AUDIT_EVERY", 1, 10**6),
            max_staleness=float(whole_number(settings, "LCL_MAX_STALENESS", 0, 10**9)),
            prefixes=Prefixes.from_settings(settings),
        )


def database_address(settings: BaseSettings) -> Address:
    """Return where the database is: `LCL_DATABASE_URL`, else `DATABASE_URL`, else the embedded one's folder.

    The folder is `LCL_HOME/postgres`, by default `.lcl/postgres` beside `scrapy.cfg`; None from an egg.
    """
    url = _given(settings, "LCL_DATABASE_URL") or os.environ.get("DATABASE_URL") or None
    if url is not None:
        return Address(url=str(url), folder=None)
    if home := _given(settings, "LCL_HOME"):
        return Address(url=None, folder=Path(str(home)).expanduser().absolute() / "postgres")
    project = closest_scrapy_cfg()
    return Address(url=None, folder=Path(project).parent / ".lcl" / "postgres" if project else None)


def _given(settings: BaseSettings, name: str) -> str | None:
    # `scrapy list` loads no add-on, which would have put the environment into the settings.
    return settings.get(name) or os.environ.get(name) or None
