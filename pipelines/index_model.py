"""The model that the index is made with: the active row's, however this machine is configured.

The settings name the model of an index that has none yet. Afterwards they only say how it is reached, where its row
does not; what else they name is told of, and not followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from scrapy.settings import SETTINGS_PRIORITIES

from db import models
from db.errors import ModelMismatch
from db.models import Model
from pipelines.chunker import Chunker, UnknownChunker
from pipelines.embedding_config import BY_BATCH, MAX_DIMENSIONS, TAKE_BATCHES
from pipelines.prefixes import PASSAGE_PREFIX, QUERY_PREFIX
from pipelines.providers import ProviderMisconfigured, ProviderSpec

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

    from pipelines.embedder import Embedder
    from pipelines.runtime import Runtime


async def prepare(runtime: Runtime, *, by_batch: bool = False) -> tuple[Model, Embedder]:
    """Return the active model with its embedder, which answers; the configured one is made active in a new index.

    `by_batch`: its provider must take batches. Raises `ProviderError`, `DatabaseUnavailable`, or `ModelMismatch` where
    what answers is not that model.
    """
    model = await runtime.use_connection(models.active)
    if by_batch:
        takes_batches(runtime.config.spec.provider if model is None else model.provider)
    if model is None:
        model = await _make_first(runtime)
    return model, await embedder_of(runtime, model)


async def check(runtime: Runtime) -> None:
    """Find out whether crawls can embed: with the active model, or the one that the first crawl will make active.

    Raises as `prepare`.
    """
    model = await runtime.use_connection(models.active)
    if runtime.config.embedding.by_batch:
        takes_batches(runtime.config.spec.provider if model is None else model.provider)
    if model is None:
        await (await runtime.embedder(runtime.config.spec)).check()
    else:
        await embedder_of(runtime, model)


async def embedder_of(runtime: Runtime, model: Model) -> Embedder:
    """Return the embedder of a stored model, which answers vectors of its length. Raises as `prepare`."""
    chunker_of(model)
    embedder = await runtime.embedder(spec_of(model, runtime.config.spec))
    held_to(model, await embedder.check())
    return embedder


def takes_batches(provider: str) -> None:
    """Raise `ProviderMisconfigured` for a provider that has no batches."""
    if provider not in TAKE_BATCHES:
        msg = f"the provider {provider} takes no batches: unset {BY_BATCH}"
        raise ProviderMisconfigured(msg)


def held_to(model: Model, dimensions: int) -> None:
    """Raise `ModelMismatch` if what answers makes vectors of another length than a stored model's."""
    if dimensions != model.dimensions:
        msg = (
            f"the index has {model}, but that provider answers vectors of {dimensions} dimensions: the model behind "
            "the name was replaced, or the server is another one. Nothing was embedded. Check OPENAI_BASE_URL, or move "
            "the index with `scrapy reembed`"
        )
        raise ModelMismatch(msg)


def chunker_of(model: Model) -> Chunker:
    """Return the chunker that a model's chunks are cut with. Raises `ModelMismatch` for one that this code lacks."""
    try:
        return _chunker(model.chunker_version)
    except UnknownChunker as error:
        msg = f"the index has {model}, and {error}"
        raise ModelMismatch(msg) from None


@lru_cache(8)  # one for each page would each compile its splitter
def _chunker(version: str) -> Chunker:
    return Chunker.of(version)


def spec_of(model: Model, configured: ProviderSpec) -> ProviderSpec:
    """Return what a stored model's provider is made from.

    A length is asked for where that was done when the model was made. Rows from before that was stored do not say so:
    for them the settings do.
    """
    is_configured = (configured.provider, configured.model) == (model.provider, model.name)
    asks = model.asks_dimensions or (is_configured and configured.dimensions == model.dimensions)
    dimensions = model.dimensions if asks else None
    return ProviderSpec(model.provider, model.name, dimensions, model.base_url, model.api_key_env)


async def _make_first(runtime: Runtime) -> Model:
    config = runtime.config
    embedder = await runtime.embedder(config.spec)
    dimensions = await embedder.check()
    if dimensions > MAX_DIMENSIONS:
        msg = (
            f"{config.spec.provider}/{embedder.model} has {dimensions:,} dimensions, and an index takes "
            f"{MAX_DIMENSIONS:,} at most: set LCL_EMBEDDING_DIMENSIONS, if the model can be asked for fewer, or choose "
            "another with LCL_EMBEDDING_MODEL"
        )
        raise ProviderMisconfigured(msg)
    return await runtime.use_connection(
        lambda connection: models.ensure_active(
            connection,
            provider=config.spec.provider,
            name=embedder.model,
            dimensions=dimensions,
            chunker_version=Chunker(config.chunk_size, config.prefixes).version,
            asks_dimensions=config.spec.dimensions is not None,
        )
    )


@dataclass(frozen=True)
class Named:
    """What the settings name by themselves, not by their defaults; None for what they do not name."""

    provider: str | None
    model: str | None
    dimensions: int | None
    chunk_size: int | None
    query_prefix: str | None = None
    passage_prefix: str | None = None

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Read the settings, which `Config` has checked."""
        dimensions, size = _given(settings, "LCL_EMBEDDING_DIMENSIONS"), _given(settings, "LCL_CHUNK_SIZE")
        return cls(
            provider=_given(settings, "LCL_EMBEDDING_PROVIDER"),
            model=_given(settings, "LCL_EMBEDDING_MODEL"),
            dimensions=None if dimensions is None else int(dimensions),
            chunk_size=None if size is None else int(size),
            query_prefix=_given(settings, QUERY_PREFIX),
            passage_prefix=_given(settings, PASSAGE_PREFIX),
        )

    def unlike(self, model: Model) -> str | None:
        """Return what to tell an operator whose settings name something else than a model, None where they do not."""
        used = chunker_of(model)
        chunker = None if self.chunk_size is None else used.but(size=self.chunk_size).version
        pairs = {
            "LCL_EMBEDDING_PROVIDER": (self.provider, model.provider),
            "LCL_EMBEDDING_MODEL": (self.model, model.name),
            "LCL_EMBEDDING_DIMENSIONS": (self.dimensions, model.dimensions),
            "LCL_CHUNK_SIZE": (chunker, model.chunker_version),
            QUERY_PREFIX: (_quoted(self.query_prefix), _quoted(used.prefixes.query)),
            PASSAGE_PREFIX: (_quoted(self.passage_prefix), _quoted(used.prefixes.passage)),
        }
        other = [f"{name} names {named}" for name, (named, has) in pairs.items() if named not in (None, has)]
        if not other:
            return None
        return (
            f"the index is made with {model}, which is used; but {' and '.join(other)}. Unset that, or move the index "
            "to another model: scrapy reembed"
        )


def _quoted(prefix: str | None) -> str | None:
    """Return a prefix so that its blanks are seen."""
    return None if prefix is None else repr(prefix)


def _given(settings: BaseSettings, name: str) -> Any:
    priority = settings.getpriority(name)
    is_default = priority is None or priority <= SETTINGS_PRIORITIES["default"]
    return None if is_default else settings.get(name) or None
