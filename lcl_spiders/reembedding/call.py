"""One call of `scrapy reembed`: what is done with the model that is meant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg

from db import activation, coverage, indexes, manifests, models, pending
from db.errors import DatabaseUnavailable, one_line
from lcl_spiders.console import CommandFailed
from lcl_spiders.reembedding.asked import chosen
from lcl_spiders.reembedding.reservation import Reservation
from pipelines import index_model
from pipelines.embedding_config import TAKE_BATCHES
from pipelines.providers import ProviderError, ProviderSpec
from pipelines.reembedding.activate import activate
from pipelines.reembedding.build import Build
from pipelines.reembedding.by_batch import record
from pipelines.reembedding.estimate import Unmetered, estimate, seconds_for

if TYPE_CHECKING:
    from db.activation import Freed
    from db.connection import Connection
    from db.coverage import ModelCoverage
    from db.models import Model
    from db.pending import Texts
    from lcl_spiders.reembedding.asked import Asked
    from lcl_spiders.reembedding.display import Display
    from pipelines.embedder import Embedder
    from pipelines.reembedding.build import Progress
    from pipelines.reembedding.estimate import Estimate
    from pipelines.runtime import Runtime


@dataclass(frozen=True)
class Done:
    """How a build ended: `pending` pages changed under its hands, `refused` ones are told by URL and message.

    So are those that were `left_out` of the index at the switch.
    """

    model: Model
    is_active: bool
    built: Progress
    pending: int
    refused: list[tuple[str, str]]
    left_out: list[tuple[str, str]]


@dataclass(frozen=True)
class Left:
    """What was left to batches: pages that the model does not cover, texts recorded by this call, and all that wait."""

    model: Model
    pages: int
    recorded: int
    waiting: Texts


@dataclass(frozen=True)
class Released:
    """A model whose rows were deleted, and what that freed."""

    model: Model
    freed: Freed


ALIKE = 0.95
"""The least cosine of two vectors that one model makes of a text; other hardware or rounding costs thousandths."""


class Reembedding:
    """One call of `scrapy reembed` over a leased runtime."""

    def __init__(self, runtime: Runtime, display: Display) -> None:
        self._runtime = runtime
        self._display = display

    async def status(self) -> list[ModelCoverage]:
        """Return every model with its coverage."""
        return await self._runtime.use_connection(coverage.by_model)

    async def find(self, asked: Asked) -> tuple[Model, Embedder]:
        """Return the model that is meant, as it would be stored, with its embedder, which answers.

        Raises `CommandFailed`, `ProviderError` or `DatabaseProblem`.
        """
        stored_models = await self._runtime.use_connection(models.every)
        model = chosen(asked, stored_models)
        if model.id:
            spec = index_model.spec_of(model, self._runtime.config.spec)
        else:
            dimensions = model.dimensions or None
            spec = ProviderSpec(model.provider, model.name or None, dimensions, model.base_url, model.api_key_env)
        embedder = await self._runtime.embedder(spec)
        length = await embedder.check()
        if model.id:
            index_model.held_to(model, length)
            if model.base_url not in {each.base_url for each in stored_models if each.id == model.id}:
                await self._must_be_the_same(model, embedder)
            return model, embedder
        wanted = replace(model, name=embedder.model, dimensions=length)
        stored = await self._runtime.use_connection(lambda connection: models.find(connection, wanted))
        return (wanted if stored is None else replace(wanted, id=stored.id, state=stored.state)), embedder

    async def _must_be_the_same(self, model: Model, embedder: Embedder) -> None:
        """Compare a stored vector with one from a new address. Raises `CommandFailed` when they are of two models."""
        found = await self._runtime.use_connection(lambda connection: coverage.any_vector(connection, model.id))
        if found is None:
            return
        text, vector = found
        likeness = float((await embedder.embed([text], Unmetered())).vectors[0] @ vector)
        if likeness < ALIKE:
            msg = (
                f"what answers at {model.base_url} as {model.name} is another model than the one whose vectors are "
                f"stored (the cosine of its vector of one text and the stored one is {likeness:.2f}). Nothing was "
                "changed: give the server's model another name, and move the index to that"
            )
            raise CommandFailed(msg)

    async def estimate(
        self, model: Model, embedder: Embedder, price: float | None, *, by_batch: bool = False
    ) -> Estimate:
        """Return what building a model will take; of batches it is not known how long.

        Raises `CommandFailed` for batches of a provider that takes none.
        """
        if by_batch and model.provider not in TAKE_BATCHES:
            msg = f"the provider {model.provider} takes no batches; leave --batch out"
            raise CommandFailed(msg)

        async def ask(connection: Connection) -> Estimate:
            active = await models.active(connection)
            return await estimate(connection, model, active or model, price=price, by_batch=by_batch)

        wanted = await self._runtime.use_connection(ask)
        return wanted if by_batch else replace(wanted, seconds=await seconds_for(embedder, wanted))

    async def waiting(self, model: Model) -> Texts:
        """Return how many texts of a model wait for a batch. Raises `CommandFailed` while one has some."""
        found = await self._runtime.use_connection(lambda connection: pending.count_texts(connection, model.id))
        _refuse_if_asked(model, found.asked)
        return found

    async def keep_active(self, model: Model) -> None:
        """Store how the active model is reached from now on, and end what a switch to it may have left undone."""
        async with Reservation(self._runtime.direct_url) as reservation:
            connection = await reservation.take(model)
            await models.build(connection, model)
            await activation.settle(connection, model, self._display.settled)
        self._display.stop()

    async def build(
        self,
        model: Model,
        embedder: Embedder,
        *,
        pages: int,
        retry: bool,
        pause: float | None,
        leave_out: bool = False,
    ) -> Done:
        """Cover every page (`pages`, by the estimate) and build the search indexes; then switch, with a `pause`.

        `retry`: what the provider refused is tried again; `leave_out`: it may leave the index. Raises `Busy`,
        `NotActivated`, or `CommandFailed` when the provider or the database fails: what was done is kept.
        """
        min_chunks = self._runtime.config.index_min_chunks
        async with Reservation(self._runtime.direct_url) as reservation:
            stored = await self._begin(reservation, model, retry=retry, by_batch=False)
            self._display.total = pages
            left_out: list[tuple[str, str]] = []
            build = Build(self._runtime, stored, embedder, self._display.progress)
            try:
                pending_pages = await build.run()
                connection = await reservation.connection()
                if pause is not None:
                    if leave_out:
                        left_out = await manifests.refused(connection, stored.id)
                    await activate(
                        connection,
                        stored,
                        build,
                        min_chunks=min_chunks,
                        pause=pause,
                        leave_out=leave_out,
                        told=self._display.settled,
                    )
                elif not pending_pages:
                    await indexes.ensure(connection, stored, min_chunks=min_chunks, is_patient=False)
                await pending.tidy(connection)
            except (ProviderError, DatabaseUnavailable, psycopg.Error) as error:
                msg = (
                    f"{one_line(error)}. The {build.progress.pages:,} pages that were covered are kept; the same "
                    "command goes on with the others"
                )
                raise CommandFailed(msg) from error
            finally:
                self._display.stop()
            is_active = pause is not None
            refused = await manifests.refused(connection, stored.id)
        state = "active" if is_active else stored.state
        left = 0 if is_active else pending_pages
        return Done(replace(stored, state=state), is_active, build.progress, left, refused, left_out)

    async def leave(self, model: Model, *, pages: int, retry: bool) -> Left:
        """Leave the texts that a model lacks to its provider's batches (`pages`, by the estimate). Raises `Busy`."""
        async with Reservation(self._runtime.direct_url) as reservation:
            stored = await self._begin(reservation, model, retry=retry, by_batch=True)
            self._display.total = pages
            try:
                recorded = await record(self._runtime, stored, self._display.recorded)
            finally:
                self._display.stop()
            waiting = await pending.count_texts(await reservation.connection(), stored.id)
        return Left(stored, recorded.pages, recorded.texts, waiting)

    async def _begin(self, reservation: Reservation, model: Model, *, retry: bool, by_batch: bool) -> Model:
        """Reserve a model, make it one that crawls write as well, and return its row."""
        connection = await reservation.take(model)
        stored = await models.build(connection, model)
        if not model.id:
            await reservation.take(stored)
        if stored.state == "active":
            msg = f"{stored} was made the index's model meanwhile, by another process; nothing was done"
            raise CommandFailed(msg)
        if not by_batch:
            # From here on no batch takes what will be embedded at once.
            _refuse_if_asked(stored, await pending.withdraw(connection, stored.id))
        if retry:
            await manifests.forget_refusals(connection, stored.id)
        return stored

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
        """Retire a model and delete its rows.

        Raises `Busy`, `ModelMismatch` when it is active by now, or `CommandFailed` when the database fails: what was
        freed stays so.
        """
        async with Reservation(self._runtime.direct_url) as reservation:
            connection = await reservation.take(model)
            retired = await models.retire(connection, model)
            try:
                return Released(retired, await activation.free(connection, retired, self._display.freed))
            except psycopg.Error as error:
                msg = (
                    f"{model} is retired, but not all its rows are deleted: {one_line(error)}. The same command goes on"
                )
                raise CommandFailed(msg) from error
            finally:
                self._display.stop()


def _refuse_if_asked(model: Model, asked: int) -> None:
    if asked:
        msg = (
            f"{asked:,} texts of {model} are in batches, and would be paid for twice. `scrapy batches run` sees them "
            "to their end, within a day; `scrapy batches cancel` gives up what is not done by then"
        )
        raise CommandFailed(msg)
