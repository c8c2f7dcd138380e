"""The settings of embedding: which provider and model are configured, and how they are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.arguments import parse_flag
from pipelines.numbers import number, optional_number, whole_number
from pipelines.providers.base import ProviderSpec

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

BY_BATCH = "LCL_EMBEDDING_BATCH"
PROVIDERS = ("local", "openai")
TAKE_BATCHES = ("openai",)
MAX_DIMENSIONS = 4000  # what an index of halfvec can hold


@dataclass(frozen=True)
class EmbeddingConfig:
    """How texts are embedded, checked.

    `timeout` and `linger` are in seconds: the longest that one request may take, and that a text waits for others to be
    sent with it. `concurrency` is the most requests at a time, in one process and for one model. Without a rate it is
    the provider's answers that tell how fast it may be asked. `by_batch`: what crawls find is left to the provider's
    batches.
    """

    provider: str
    model: str | None
    dimensions: int | None
    batch_size: int = 256
    timeout: float = 30.0
    tokens_per_request: int = 300_000
    concurrency: int = 4
    linger: float = 0.03
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    by_batch: bool = False

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
            tokens_per_request=whole_number(settings, "LCL_EMBEDDING_TOKENS_PER_REQUEST", 100, 10**7),
            concurrency=whole_number(settings, "LCL_EMBEDDING_CONCURRENCY", 1, 256),
            linger=number(settings, "LCL_EMBEDDING_LINGER", 0, 10),
            requests_per_minute=optional_number(settings, "LCL_EMBEDDING_REQUESTS_PER_MINUTE", 1, 10**7),
            tokens_per_minute=optional_number(settings, "LCL_EMBEDDING_TOKENS_PER_MINUTE", 1, 10**10),
            by_batch=parse_flag(BY_BATCH, settings.get(BY_BATCH) or False),
        )
