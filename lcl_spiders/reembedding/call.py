"""One call of `scrapy reembed`: which model is meant, and what is done with it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db import activation, indexes, manifests, models
from db.connection import open_connection
from db.coverage import by_model
from db.models import Model
from lcl_spiders.console import CommandFailed
from pipelines import index_model
from pipelines.chunker import Chunker
from pipelines.providers import ProviderError, ProviderSpec
from pipelines.reembedding.activate import activate
from pipelines.reembedding.build import Build
from pipelines.reembedding.estimate import estimate, seconds_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from db.activation import Freed
    from db.connection import Connection
    from db.coverage import ModelCoverage
    from lcl_spiders.reembedding.display import Display
    from pipelines.embedder import Embedder
    from pipelines.reembedding.build import Progress
    from pipelines.reembedding.estimate import Estimate
    from pipelines.runtime import Runtime


class Busy(CommandFailed):
    """Another process works on the model."""


@dataclass(frozen=True)
class Asked:
    """The model that an operator asks for; None for what is left open."""

    provider: str | None = None
    model: str | None = None
    dimensions: int | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    chunk_size: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing is said of the model."""
        return self == Asked()

    def fits(self, model: Model) -> bool:
        """Return whether a stored model is one that was asked for."""
        chunker = None if self.chunk_size is None else Chunker(self.chunk_size).version
        return (
            self.provider in (None, model.provider)
            and self.model in (None, model.name)
            and self.dimensions in (None, model.dimensions)
            and chunker in (None, model.chunker_version)
        )


def chosen(asked: Asked, stored: Sequence[Model]) -> Model:
    """Return the model that is meant: a stored one that fits, or a new one; 0 stands for what is not known yet.

    Where nothing is said it is the one that is being built. What is left open of a new one is as the active model has
    it. Raises `CommandFailed`.
    """
    active = next((model for model in stored if model.state == "active"), None)
    if active is None:
        msg = "the index has no model yet: the first crawl makes the one active that the settings name"
        raise CommandFailed(msg)
    if asked.is_open:
        building = [model for model in stored if model.state == "building"]
        if len(building) != 1:
            msg = "say which model: --provider, --model, --dimensions or --chunk-size. See: scrapy reembed --status"
            raise CommandFailed(msg)
        return building[0]
    if found := _best([model for model in stored if asked.fits(model)], active):
        return replace(
            found, base_url=asked.base_url or found.base_url, api_key_env=asked.api_key_env or found.api_key_env
        )
    provider = asked.provider or active.provider
    is_same = provider == active.provider and asked.model in (None, active.name)
    known = active if is_same else Model(0, provider, asked.model or "", 0, active.chunker_version)
    return Model(
        id=0,
        provider=provider,
        name=known.name,
        dimensions=asked.dimensions or (known.dimensions if known.asks_dimensions else 0),
        chunker_version=active.chunker_version if asked.chunk_size is None else Chunker(asked.chunk_size).version,
        state="new",
        base_url=asked.base_url or known.base_url,
        api_key_env=asked.api_key_env or known.api_key_env,
        asks_dimensions=asked.dimensions is not None or known.asks_dimensions,
    )


def _best(found: Sequence[Model], active: Model) -> Model | None:
    """Return, of stored models that fit, one beside the active one if there is, preferably with its chunks."""
    beside = sorted(
        (model for model in found if model.state != "active"),
        key=lambda model: (model.chunker_version == active.chunker_version, model.id),
    )
    return beside[-1] if beside else next(iter(found), None)


@dataclass(frozen=True)
class Done:
    """How a build ended: `pending` pages changed under its hands, `refused` ones are told by URL and message."""

    model: Model
    is_active: bool
    built: Progress
    pending: int
    refused: list[tuple[str, str]]


@dataclass(frozen=True)
class Released:
    """A model whose rows were deleted, and what that freed."""

    model: Model
    freed: Freed


class Reembedding:
    """One call of `scrapy reembed` over a leased runtime."""

    def __init__(self, runtime: Runtime, display: Display) -> None:
        self._runtime = runtime
        self._display = display

    async def status(self) -> list[ModelCoverage]:
        """Return every model with its coverage."""
        return await self._runtime.use_connection(by_model)

    async def find(self, asked: Asked) -> tuple[Model, Embedder]:
        """Return the model that is meant, as it would be stored, with its embedder, which answers.

        Raises `CommandFailed`, `ProviderError` or `DatabaseProblem`.
        """
        model = chosen(asked, await self._runtime.use_connection(models.every))
        if model.id:
            spec = index_model.spec_of(model, self._runtime.config.spec)
        else:
            dimensions = model.dimensions or None
            spec = ProviderSpec(model.provider, model.name or None, dimensions, model.base_url, model.api_key_env)
        embedder = await self._runtime.embedder(spec)
        length = await embedder.check()
        if model.id:
            index_model.held_to(model, length)
            return model, embedder
        wanted = replace(model, name=embedder.model, dimensions=length)
        stored = await self._runtime.use_connection(lambda connection: models.find(connection, wanted))
        return (wanted if stored is None else replace(wanted, id=stored.id, state=stored.state)), embedder

    async def estimate(self, model: Model, embedder: Embedder, price: float | None) -> Estimate:
        """Return what building a model will take."""

        async def ask(connection: Connection) -> Estimate:
            active = await models.active(connection)
            return await estimate(connection, model, active or model, price=price)

        wanted = await self._runtime.use_connection(ask)
        return replace(wanted, seconds=await seconds_for(embedder, wanted))

    async def store_address(self, model: Model) -> None:
        """Store how a model is reached from now on."""
        await self._runtime.use_connection(lambda connection: models.build(connection, model))

    async def build(self, model: Model, embedder: Embedder, *, pages: int, retry: bool, pause: float | None) -> Done:
        """Cover every page (`pages`, by the estimate) and build the search indexes; then switch, with a `pause`.

        `retry`: what the provider refused is tried again. Raises `Busy`, `NotActivated`, or `CommandFailed` when the
        provider fails: what was done is kept.
        """
        min_chunks = self._runtime.config.index_min_chunks
        async with self._reserved(model) as connection:
            stored = await models.build(connection, model)
            if not model.id and not await models.reserve(connection, stored):
                raise _busy(stored)
            if retry:
                await manifests.forget_refusals(connection, stored.id)
            self._display.total = pages
            build = Build(self._runtime, stored, embedder, self._display.progress)
            try:
                pending = await build.run()
                if pause is not None:
                    await activate(connection, stored, build, min_chunks=min_chunks, pause=pause)
                elif not pending:
                    await indexes.ensure(connection, stored, min_chunks=min_chunks, is_patient=False)
            except ProviderError as error:
                msg = (
                    f"{error}. The {build.progress.pages:,} pages that were covered are kept; the same command goes "
                    "on with the others"
                )
                raise CommandFailed(msg) from error
            finally:
                self._display.stop()
            is_active = pause is not None
            refused = await manifests.refused(connection, stored.id)
        state = "active" if is_active else stored.state
        return Done(replace(stored, state=state), is_active, build.progress, 0 if is_active else pending, refused)

    async def retirable(self, asked: Asked | None) -> list[Model]:
        """Return the models whose rows may be deleted: the retired ones, or the one asked for, never the active one."""
        stored = await self._runtime.use_connection(models.every)
        if asked is None:
            return [model for model in stored if model.state == "retired"]
        found = [model for model in stored if asked.fits(model) and model.state != "active"]
        if not found:
            msg = "no model beside the active one fits that; see: scrapy reembed --status"
            raise CommandFailed(msg)
        if len(found) > 1:
            msg = f"that fits several models: {'; '.join(map(str, found))}. Say more"
            raise CommandFailed(msg)
        return found

    async def free(self, model: Model) -> Released:
        """Retire a model and delete its rows. Raises `Busy`, or `ModelMismatch` when it is active by now."""
        async with self._reserved(model) as connection:
            retired = await models.retire(connection, model)
            try:
                return Released(retired, await activation.free(connection, retired, self._display.freed))
            finally:
                self._display.stop()

    @asynccontextmanager
    async def _reserved(self, model: Model) -> AsyncIterator[Connection]:
        """Keep a model for this process, on a direct connection of its own. Raises `Busy`."""
        connection = await open_connection(
            self._runtime.direct_url, vectors=True, tcp_keepalives_idle="20", tcp_keepalives_interval="5"
        )
        try:
            if model.id and not await models.reserve(connection, model):
                raise _busy(model)
            yield connection
        finally:
            await connection.close()


def _busy(model: Model) -> Busy:
    return Busy(f"another process works on {model}; nothing was done. See how far it is: scrapy reembed --status")
