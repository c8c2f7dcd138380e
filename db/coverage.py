"""How far each model covers the index, and what it takes on the disk (A22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from db.sql import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.connection import Connection
    from db.pages import Embedding

_SQL = load("coverage")

SMALL = 64 * 1024 * 1024
"""Bytes of tables that are read in no time."""


@dataclass(frozen=True)
class ModelCoverage:
    """A model as `scrapy reembed --status` shows it.

    `pages` are those that it should cover: all but duplicates. Of those not `covered`, `changed` were covered before
    their text changed, and `refused` have a text of which its provider makes no vector. `row_bytes` is its share, by
    chunks, of the table that all models are in.
    """

    id: int
    provider: str
    name: str
    dimensions: int
    chunker_version: str
    state: str
    base_url: str | None
    pages: int
    covered: int
    changed: int
    refused: int
    chunks: int
    row_bytes: int
    index_bytes: int

    @property
    def is_complete(self) -> bool:
        """Whether it covers every page."""
        return self.covered >= self.pages


@dataclass(frozen=True)
class ModelSummary:
    """A model as `scrapy status` shows it, see `ModelCoverage`. `is_estimate`: by what the planner knows of tables."""

    id: int
    provider: str
    name: str
    dimensions: int
    chunker_version: str
    state: str
    pages: int
    covered: int
    chunks: int
    is_estimate: bool


@dataclass(frozen=True)
class Workload:
    """What is to be embedded of the pages that a model does not cover, by the chunks of the active model.

    `texts` are distinct, and stored nowhere with the model; `stored` are, or wait for a batch already. `characters` are
    those of `texts`, `tokens` those that the active model's provider counted, `uncounted` the characters of the texts
    for which it counted none.
    """

    pages: int
    texts: int
    stored: int
    characters: int
    tokens: int
    uncounted: int


async def by_model(connection: Connection) -> list[ModelCoverage]:
    """Return every model with its coverage, in the order in which they were made."""
    async with connection.cursor(row_factory=class_row(ModelCoverage)) as cursor:
        await cursor.execute(_SQL["by_model"])
        return await cursor.fetchall()


async def summary(connection: Connection, *, small: int = SMALL) -> list[ModelSummary]:
    """Return every model with about how far it has come: counted while the tables have no more than `small` bytes.

    After that by the planner's statistics, since counting a million chunks takes a second.
    """
    row = await (await connection.execute(_SQL["size"])).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always answers
    size, has_statistics = row
    if size <= small or not has_statistics:
        names = [name for name in ModelSummary.__dataclass_fields__ if name != "is_estimate"]
        return [
            ModelSummary(**{name: getattr(model, name) for name in names}, is_estimate=False)
            for model in await by_model(connection)
        ]
    async with connection.cursor(row_factory=class_row(ModelSummary)) as cursor:
        await cursor.execute(_SQL["by_statistics"])
        return await cursor.fetchall()


async def workload(connection: Connection, model_id: int, *, by_batch: bool = False) -> Workload:
    """Return what is to be embedded for a model, by its id; of one that is not stored yet (0), everything.

    `by_batch`: what waits for a batch need not be left to one again.
    """
    row = await (await connection.execute(_SQL["workload"], {"model_id": model_id, "by_batch": by_batch})).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always answers
    return Workload(*map(int, row))


async def any_vector(connection: Connection, model_id: int) -> tuple[str, Embedding] | None:
    """Return some text with its vector under a model, None when it has none."""
    row = await (await connection.execute(_SQL["any_vector"], {"model_id": model_id})).fetchone()
    return None if row is None else (row[0], row[1].to_numpy())


async def sample(connection: Connection, model_id: int, limit: int) -> Sequence[tuple[str, str | None]]:
    """Return content and title of some of the pages that a model does not cover, picked evenly."""
    return await (await connection.execute(_SQL["sample"], {"model_id": model_id, "limit": limit})).fetchall()
