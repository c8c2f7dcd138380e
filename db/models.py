"""Embedding models: which one the index is made of. Exactly one is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import ModelMismatch

if TYPE_CHECKING:
    from db.connection import Connection


@dataclass(frozen=True)
class Model:
    """A row of `embedding_models`."""

    id: int
    provider: str
    name: str
    dimensions: int
    chunker_version: str

    def __str__(self) -> str:
        """Return the model as an operator would name it."""
        return f"{self.provider}/{self.name} ({self.dimensions} dimensions, chunker {self.chunker_version})"


_COLUMNS = "id, provider, name, dimensions, chunker_version"


async def active(connection: Connection) -> Model | None:
    """Return the active model, None in an empty index."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM embedding_models WHERE state = 'active'")  # noqa: S608 - literals
    row = await cursor.fetchone()
    return Model(*row) if row else None


async def ensure_active(
    connection: Connection, *, provider: str, name: str, dimensions: int, chunker_version: str
) -> Model:
    """Return the active model, making the given one active when the index has none yet.

    Raises `ModelMismatch` when another one is active: vectors of two models never mix.
    """
    await connection.execute(
        """
        INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state)
        SELECT %s, %s, %s, %s, 'active'
        WHERE NOT EXISTS (SELECT FROM embedding_models WHERE state = 'active')
        ON CONFLICT DO NOTHING
        """,
        (provider, name, dimensions, chunker_version),
    )
    model = await active(connection)
    if model is None:
        msg = "no embedding model is active, and the configured one is retired or being built"
        raise ModelMismatch(msg)
    configured = Model(model.id, provider, name, dimensions, chunker_version)
    if model != configured:
        msg = (
            f"the index is made with {model}, but {configured} is configured. Set LCL_EMBEDDING_PROVIDER, "
            "LCL_EMBEDDING_MODEL, LCL_EMBEDDING_DIMENSIONS and LCL_CHUNK_SIZE back, or use another database."
        )
        raise ModelMismatch(msg)
    return model


async def get(connection: Connection, model_id: int) -> Model:
    """Return a stored model. Raises `LookupError`."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM embedding_models WHERE id = %s", (model_id,))  # noqa: S608 - literals
    row = await cursor.fetchone()
    if row is None:
        msg = f"there is no model {model_id}"
        raise LookupError(msg)
    return Model(*row)
