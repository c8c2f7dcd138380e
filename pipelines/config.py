"""A typed, validated view of the settings that the pipelines use, built once for each run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.utils.conf import closest_scrapy_cfg

from db.connection import Address

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

PROVIDERS = ("local", "openai")


@dataclass(frozen=True)
class Config:
    """What a run needs to know, checked. Hashable, so that runs with equal settings share one runtime."""

    database: Address
    lock_database_url: str | None
    embedding_provider: str
    embedding_model: str | None
    embedding_dimensions: int | None
    embedding_batch_size: int
    embedding_timeout: float
    chunk_size: int
    recrawl_after: float
    max_failure_share: float
    index_min_chunks: int
    trust_after: int
    trust_audit_every: int
    max_staleness: float

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Config:
        """Read the `LCL_` settings. Raises `ValueError` naming the setting that is wrong and what it may be."""
        provider = str(settings.get("LCL_EMBEDDING_PROVIDER") or "local")
        if provider not in PROVIDERS:
            msg = f"LCL_EMBEDDING_PROVIDER is {provider!r}: choose one of {', '.join(PROVIDERS)}"
            raise ValueError(msg)
        return cls(
            database=database_address(settings),
            lock_database_url=settings.get("LCL_LOCK_DATABASE_URL") or None,
            embedding_provider=provider,
            embedding_model=settings.get("LCL_EMBEDDING_MODEL") or None,
            embedding_dimensions=_number(settings, "LCL_EMBEDDING_DIMENSIONS", None, 1, 4000),
            embedding_batch_size=whole_number(settings, "LCL_EMBEDDING_BATCH_SIZE", 1, 2048),
            embedding_timeout=float(whole_number(settings, "LCL_EMBEDDING_TIMEOUT", 1, 600)),
            chunk_size=whole_number(settings, "LCL_CHUNK_SIZE", 100, 20_000),
            recrawl_after=float(whole_number(settings, "LCL_RECRAWL_AFTER", 0, 10**9)),
            max_failure_share=_share(settings, "LCL_MAX_FAILURE_SHARE"),
            index_min_chunks=whole_number(settings, "LCL_INDEX_MIN_CHUNKS", 1, 10**9),
            trust_after=whole_number(settings, "LCL_TRUST_AFTER", 1, 10**6),
            trust_audit_every=whole_number(settings, "LCL_TRUST_AUDIT_EVERY", 1, 10**6),
            max_staleness=float(whole_number(settings, "LCL_MAX_STALENESS", 0, 10**9)),
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


def whole_number(settings: BaseSettings, name: str, low: int, high: int, default: int | None = None) -> int:
    """Return a setting that must be a whole number in a range. Raises `ValueError` that says so."""
    value = _number(settings, name, default, low, high)
    if value is None:
        msg = f"{name} is not set: give a whole number from {low} to {high}"
        raise ValueError(msg)
    return value


def _number(settings: BaseSettings, name: str, default: int | None, low: int, high: int) -> int | None:
    given = settings.get(name)
    if given is None or given == "":
        return default
    try:
        value = int(given)
    except (TypeError, ValueError):
        value = low - 1
    if not low <= value <= high:
        msg = f"{name} is {given!r}: give a whole number from {low} to {high}"
        raise ValueError(msg)
    return value


def _share(settings: BaseSettings, name: str) -> float:
    given = settings.get(name)
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = -1.0
    if not 0.0 <= value <= 1.0:
        msg = f"{name} is {given!r}: give a share from 0 to 1"
        raise ValueError(msg)
    return value
