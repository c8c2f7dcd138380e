"""Embedding providers behind one small protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.providers.base import (
    Embedded,
    EmbeddingProvider,
    KeepsFailing,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderSpec,
    ProviderUnavailable,
    UnusableVector,
    checked,
    sound,
)

if TYPE_CHECKING:
    from pipelines.embedding_config import EmbeddingConfig

__all__ = [
    "Embedded",
    "EmbeddingProvider",
    "KeepsFailing",
    "ProviderBusy",
    "ProviderError",
    "ProviderMisconfigured",
    "ProviderRefused",
    "ProviderSpec",
    "ProviderUnavailable",
    "UnusableVector",
    "checked",
    "create",
    "sound",
]


def create(spec: ProviderSpec, config: EmbeddingConfig) -> EmbeddingProvider:
    """Build a provider. Blocks while a local model loads (0.3 s). Raises `ProviderMisconfigured`."""
    if spec.provider == "openai":
        from pipelines.providers.openai import OpenAIProvider  # noqa: PLC0415 - 1 s of imports the local one spares

        return OpenAIProvider.from_spec(spec, config)
    if spec.provider != "local":
        msg = f"this version knows no provider {spec.provider!r}: move the index to another model with scrapy reembed"
        raise ProviderMisconfigured(msg)
    from pipelines.providers.local import LocalProvider  # noqa: PLC0415 - it brings the model, which others do without

    return LocalProvider.from_spec(spec)
