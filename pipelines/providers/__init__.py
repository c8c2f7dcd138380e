"""Embedding providers behind one small protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.providers.base import (
    Embedded,
    EmbeddingProvider,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    UnusableVector,
    checked,
)

if TYPE_CHECKING:
    from pipelines.config import Config

__all__ = [
    "Embedded",
    "EmbeddingProvider",
    "ProviderError",
    "ProviderMisconfigured",
    "ProviderRefused",
    "ProviderUnavailable",
    "UnusableVector",
    "checked",
    "create",
]


def create(config: Config) -> EmbeddingProvider:
    """Build the configured provider. Blocks while a local model loads (0.3 s). Raises `ProviderMisconfigured`."""
    if config.embedding_provider == "openai":
        from pipelines.providers.openai import OpenAIProvider  # noqa: PLC0415 - 1 s of imports the local one spares

        return OpenAIProvider.from_config(config)
    from pipelines.providers.local import LocalProvider  # noqa: PLC0415

    return LocalProvider.from_config(config)
