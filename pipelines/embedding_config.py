"""The settings of embedding: which provider and model are configured, and how they are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.numbers import optional_number, whole_number
from pipelines.providers.base import ProviderSpec

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

PROVIDERS = ("local", "openai")
MAX_DIMENSIONS = 4000  # what an index of halfvec can hold


@dataclass(frozen=True)
class EmbeddingConfig:
    """How texts are embedded, checked. `timeout` is in seconds and bounds one request."""

    provider: str
    model: str | None
    dimensions: int | None
    batch_size: int
    timeout: float

    @property
    def spec(self) -> ProviderSpec:
        """The configured provider and model."""
        return ProviderSpec(self.provider, self.model, self.dimensions)

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> EmbeddingConfig:
        """Read the `LCL_EMBEDDING_` settings. Raises `ValueError` naming the one that is wrong and what it may be."""
        provider = str(settings.get("LCL_EMBEDDING_PROVIDER") or "local")
        if provider not in PROVIDERS:
            msg = f"LCL_EMBEDDING_PROVIDER is {provider!r}: choose one of {', '.join(PROVIDERS)}"
            raise ValueError(msg)
        return cls(
            provider=provider,
            model=settings.get("LCL_EMBEDDING_MODEL") or None,
            dimensions=optional_number(settings, "LCL_EMBEDDING_DIMENSIONS", 1, MAX_DIMENSIONS),
            batch_size=whole_number(settings, "LCL_EMBEDDING_BATCH_SIZE", 1, 2048),
            timeout=float(whole_number(settings, "LCL_EMBEDDING_TIMEOUT", 1, 600)),
        )
