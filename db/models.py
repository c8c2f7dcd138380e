"""Embedding models: which one the index is made of, and which are built beside it. Exactly one is active.

The active row decides for every machine what crawls, searches and workers use. Who commits pages holds a shared lock
over the states (`page_writes.write`), who changes them the exclusive one: no commit sees half a change.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, LiteralString

from psycopg.rows import class_row

from db.errors import ModelMismatch
from db.sql import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from db.connection import Connection

STATES_LOCK = 0x6C636C03
"""Advisory lock of transactions over the states of the models, see above."""

_SQL = load("models")
_KEY: LiteralString = "hashtextextended('lcl-model:' || %s, 0)"


@dataclass(frozen=True)
class Model:
    """A row of `embedding_models`, with all that its provider is made of and that is no secret.

    `base_url` is None for the provider's own or the environment's, `api_key_env` the name of the variable with the key.
    `asks_dimensions`: the provider is asked for vectors of this length, not for those that it makes by itself.
    """

    id: int
    provider: str
    name: str
    dimensions: int
    chunker_version: str
    state: str = "active"
    base_url: str | None = None
    api_key_env: str | None = None
    asks_dimensions: bool = False

    def __str__(self) -> str:
        """Return the model as an operator would name it."""
        return f"{self.provider}/{self.name} ({self.dimensions} dimensions, chunker {self.chunker_version})"

    def is_same(self, other: Model) -> bool:
        """Return whether both make the same vectors of the same chunks, however they are reached."""
        return self._identity == other._identity

    @property
    def _identity(self) -> tuple[str, str, int, str]:
        return self.provider, self.name, self.dimensions, self.chunker_version


@dataclass(frozen=True)
class Roles:
    """Which models have a part in the index at this moment, by id. Retired ones have none."""

    active: int | None
    building: frozenset[int]


async def every(connection: Connection) -> list[Model]:
    """Return all models in the order in which they were made."""
    async with connection.cursor(row_factory=class_row(Model)) as cursor:
        await cursor.execute(_SQL["every"])
        return await cursor.fetchall()


async def active(connection: Connection) -> Model | None:
    """Return the active model, None in an empty index."""
    return next((model for model in await every(connection) if model.state == "active"), None)


async def get(connection: Connection, model_id: int) -> Model:
    """Return a stored model. Raises `LookupError`."""
    for model in await every(connection):
        if model.id == model_id:
            return model
    msg = f"there is no model {model_id}"
    raise LookupError(msg)


async def in_use(connection: Connection) -> tuple[Model | None, list[Model]]:
    """Return the active model, and those that are being built."""
    models = await every(connection)
    chosen = next((model for model in models if model.state == "active"), None)
    return chosen, [model for model in models if model.state == "building"]


async def ensure_active(
    connection: Connection,
    *,
    provider: str,
    name: str,
    dimensions: int,
    chunker_version: str,
    asks_dimensions: bool = False,
) -> Model:
    """Return the active model, making the given one active when the index has none yet.

    It may be another one than the given. Raises `ModelMismatch` when there are models and none is active.
    """
    given = Model(0, provider, name, dimensions, chunker_version, "active", asks_dimensions=asks_dimensions)
    await connection.execute(_SQL["make_first"], vars(given))
    model = await active(connection)
    if model is None:
        msg = "no embedding model is active, though there are some: see `scrapy reembed --status`"
        raise ModelMismatch(msg)
    return model


async def find(connection: Connection, wanted: Model) -> Model | None:
    """Return the stored model that makes the same vectors of the same chunks."""
    return next((model for model in await every(connection) if model.is_same(wanted)), None)


async def build(connection: Connection, wanted: Model) -> Model:
    """Return the stored row of a model, which is now being built unless it is active; how it is reached is as given.

    From here on crawls write it, too.
    """
    async with changing(connection), connection.cursor(row_factory=class_row(Model)) as cursor:
        await cursor.execute(_SQL["build"], vars(wanted))
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - INSERT ... ON CONFLICT DO UPDATE ... RETURNING always answers
    return row


async def retire(connection: Connection, model: Model) -> Model:
    """Retire a model that is being built: crawls write it no more. Raises `ModelMismatch` for the active one."""
    async with changing(connection):
        row = await (await connection.execute(_SQL["retire"], {"id": model.id})).fetchone()
    if row is None:
        msg = f"{model} is what the index is searched with: make another model active before it is retired"
        raise ModelMismatch(msg)
    return replace(model, state="retired")


@asynccontextmanager
async def changing(connection: Connection) -> AsyncIterator[None]:
    """Open a transaction that may change states: no page is being committed meanwhile."""
    async with connection.transaction():
        await lock_states(connection)
        yield


async def lock_states(connection: Connection) -> None:
    """Keep everybody else from committing pages and from changing states until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (STATES_LOCK,))


async def share_states(connection: Connection) -> None:
    """Keep states from changing until the transaction ends, as a commit of pages does."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (STATES_LOCK,))


async def reserve(connection: Connection, model: Model) -> bool:
    """Try to become the one process that builds, activates or frees a model, for as long as the session lasts.

    Takes a direct connection: a transaction pooler would lose the lock.
    """
    row = await (await connection.execute(f"SELECT pg_try_advisory_lock({_KEY})", (str(model.id),))).fetchone()
    return bool(row and row[0])
