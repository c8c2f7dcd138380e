"""The settings of extraction, checked before a run begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.numbers import whole_number

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

MB = 1024 * 1024


@dataclass(frozen=True)
class ExtractionConfig:
    """How pages are read: processes, seconds for a page, bytes of address space for a process."""

    workers: int
    time_limit: float
    memory_limit: int

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> ExtractionConfig:
        """Read the `LCL_EXTRACTION_` settings. Raises `ValueError` naming the setting that is wrong."""
        return cls(
            workers=whole_number(settings, "LCL_EXTRACTION_WORKERS", 1, 64),
            time_limit=float(whole_number(settings, "LCL_EXTRACTION_TIMEOUT", 1, 600)),
            memory_limit=whole_number(settings, "LCL_EXTRACTION_MEMORY", 256 * MB, 64 * 1024 * MB),
        )
