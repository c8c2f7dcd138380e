"""The two search indexes of a model: HNSW over its vectors, GIN over its text.

While a model has few chunks an exact scan is fast and exact, and a first crawl does not pay for index maintenance.
Past that each is built once, in bulk, without blocking writers; by the last of several runs, since what is written
while an index is being built goes into it chunk by chunk, at three times the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from db import jobs

if TYPE_CHECKING:
    from db.connection import Connection
    from db.models import Model

MIN_CHUNKS = 20_000
"""Chunks of `USUAL_DIMENSIONS` that are compared one by one faster than fits the time of a search, see docs/search.md.

Of longer vectors fewer. Text is slower to read through than vectors, and cheaper to index: a tenth of it is large.
"""

USUAL_DIMENSIONS = 256
PATIENCE = 5
"""So many times `MIN_CHUNKS`, a model waits no longer for other runs to end: it may be that there is always one."""

HNSW = {"m": 24, "ef_construction": 128}
"""Chosen together with the ef_search of `search_pages` from the figures in docs/search.md."""

_INDEX_LOCK = 0x6C636C02


@dataclass(frozen=True)
class _Definition:
    """What an index is made of. `expression` may name the model's dimensions."""

    kind: str
    method: str
    expression: sql.SQL
    operators: str
    options: tuple[str, ...] = ()

    def least(self, model: Model, min_chunks: int) -> int:
        """Return the chunks from which on a model needs this index."""
        if self.kind == "text":
            return max(1, min_chunks // 10)
        return max(1, min_chunks * USUAL_DIMENSIONS // max(USUAL_DIMENSIONS, model.dimensions))


# Half the precision is half the index, for a few thousandths of recall, and takes 4,000 dimensions instead of 2,000.
_DEFINITIONS = (
    _Definition(
        "vector",
        "hnsw",
        sql.SQL("(embedding::halfvec({dimensions}))"),
        "halfvec_cosine_ops",
        tuple(f"{name}={value}" for name, value in HNSW.items()),
    ),
    _Definition("text", "gin", sql.SQL("search"), "tsvector_ops"),
)


@dataclass(frozen=True)
class _Found:
    """What the catalogue says of an index."""

    is_valid: bool
    operators: str
    options: list[str]

    def is_as(self, wanted: _Definition) -> bool:
        return self.is_valid and self.operators == wanted.operators and set(self.options) == set(wanted.options)


async def ensure(
    connection: Connection, model: Model, *, min_chunks: int = MIN_CHUNKS, is_patient: bool = True
) -> list[str]:
    """Build the indexes that a model lacks and is large enough for, and return the names of those built.

    Returns at once when another process is building, or, if `is_patient`, while runs are at work, which will ask again
    at their end.
    Takes an autocommit connection, since CONCURRENTLY cannot run inside a transaction, and a direct one: behind a
    transaction pooler, the lock and the settings of the session would stay with whoever comes next.

    An index left invalid by a build that died is dropped, and built again where the model is large enough for it. One
    that an earlier version defined otherwise serves until its successor is there: `search_pages` looks which of the two
    it finds under the name.
    """
    due = await _due(connection, model, min_chunks)
    if not due and not await _invalid(connection, model):
        return []
    is_early = is_patient and await jobs.is_any_at_work(connection)
    if is_early and await _count(connection, model, min_chunks * PATIENCE) < min_chunks * PATIENCE:
        return []
    row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (_INDEX_LOCK,))).fetchone()
    if not row or not row[0]:
        return []
    try:
        names = [name for wanted in due if (name := await _ensure_one(connection, model, wanted))]
        for name in await _invalid(connection, model):
            await _drop(connection, name)
        if names:
            await connection.execute("ANALYZE page_embeddings")
        return names
    finally:
        if not connection.broken:
            await connection.execute("RESET maintenance_work_mem")
            await connection.execute("RESET max_parallel_maintenance_workers")
            await connection.execute("SELECT pg_advisory_unlock(%s)", (_INDEX_LOCK,))


async def lacking(connection: Connection, model: Model, *, min_chunks: int = MIN_CHUNKS) -> list[str]:
    """Return the methods of the indexes that a model is large enough for and has not: of "hnsw" and "gin"."""
    there = await built(connection, model)
    return [each.method for each in await _due(connection, model, min_chunks) if each.method not in there]


async def built(connection: Connection, model: Model) -> set[str]:
    """Return the methods, "hnsw" and "gin", of a model's indexes that are usable."""
    cursor = await connection.execute(
        """
        SELECT a.amname
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS a ON a.oid = c.relam
        WHERE i.indrelid = 'page_embeddings'::regclass
          AND i.indisvalid
          AND a.amname IN ('hnsw', 'gin')
          AND pg_get_expr(i.indpred, i.indrelid) = format('(model_id = %%s)', %s::integer)
        """,
        (model.id,),
    )
    return {row[0] for row in await cursor.fetchall()}


async def drop(connection: Connection, model: Model) -> int:
    """Drop a model's search indexes without blocking anybody, and return their bytes. Connect as for `ensure`."""
    names = [name for each in _DEFINITIONS for name in _names(each, model.id)]
    row = await (
        await connection.execute(
            "SELECT coalesce(sum(pg_relation_size(to_regclass(name))), 0)::bigint FROM unnest(%s::text[]) AS name",
            (names,),
        )
    ).fetchone()
    for name in names:
        await _drop(connection, name)
    return int(row[0]) if row else 0


async def _ensure_one(connection: Connection, model: Model, wanted: _Definition) -> str | None:
    name, successor = _names(wanted, model.id)
    found = await _find(connection, name)
    if found is not None and found.is_as(wanted):
        return None
    if found is None or not found.is_valid:
        await _build(connection, model, wanted, name)
        return name
    if (ready := await _find(connection, successor)) is None or not ready.is_as(wanted):
        await _build(connection, model, wanted, successor)
    async with connection.transaction():
        await connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        await connection.execute(
            sql.SQL("ALTER INDEX {} RENAME TO {}").format(sql.Identifier(successor), sql.Identifier(name))
        )
    return name


async def _build(connection: Connection, model: Model, wanted: _Definition, name: str) -> None:
    statement = _statement(wanted, model, name)
    await connection.execute("SET maintenance_work_mem = '256MB'")
    try:
        await _drop(connection, name)
        await connection.execute(statement)
    except psycopg.errors.DiskFull:
        # Workers share their memory through /dev/shm, of which a container has 64 MB.
        await connection.execute("SET max_parallel_maintenance_workers = 0")
        await _drop(connection, name)
        await connection.execute(statement)


async def _drop(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name)))


def _names(definition: _Definition, model_id: int) -> tuple[str, str]:
    """Return the name of an index, and that of its successor while it is being built."""
    name = f"page_embeddings_{definition.kind}_{model_id}_idx"
    return name, f"{name}_new"


def _statement(definition: _Definition, model: Model, name: str) -> sql.Composed:
    options = sql.SQL(f" WITH ({', '.join(definition.options)})") if definition.options else sql.SQL("")
    return sql.SQL(
        "CREATE INDEX CONCURRENTLY {name} ON page_embeddings USING {method} ({expression} {operators}){options} "
        "WHERE model_id = {model}"
    ).format(
        name=sql.Identifier(name),
        method=sql.SQL(definition.method),
        expression=definition.expression.format(dimensions=sql.Literal(model.dimensions)),
        operators=sql.SQL(definition.operators),
        options=options,
        model=sql.Literal(model.id),
    )


async def _due(connection: Connection, model: Model, min_chunks: int) -> list[_Definition]:
    """Return what indexes a model is large enough for."""
    chunks = await _count(connection, model, min_chunks)
    return [each for each in _DEFINITIONS if chunks >= each.least(model, min_chunks)]


async def _invalid(connection: Connection, model: Model) -> list[str]:
    """Return the names of a model's indexes that are being built, or, while this process builds, never were."""
    names = [name for each in _DEFINITIONS for name in _names(each, model.id)]
    cursor = await connection.execute(
        """
        SELECT name
        FROM unnest(%s::text[]) AS name
        JOIN pg_index AS i ON i.indexrelid = to_regclass(name)
        WHERE NOT i.indisvalid
        """,
        (names,),
    )
    return [row[0] for row in await cursor.fetchall()]


async def _count(connection: Connection, model: Model, limit: int) -> int:
    """Return how many chunks a model has, or the limit where it has more."""
    cursor = await connection.execute(
        "SELECT count(*) FROM (SELECT FROM page_embeddings WHERE model_id = %s LIMIT %s) AS counted", (model.id, limit)
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _find(connection: Connection, name: str) -> _Found | None:
    async with connection.cursor(row_factory=class_row(_Found)) as cursor:
        await cursor.execute(
            """
            SELECT i.indisvalid AS is_valid, o.opcname AS operators, coalesce(c.reloptions, '{}') AS options
            FROM pg_index AS i
            JOIN pg_class AS c ON c.oid = i.indexrelid
            JOIN pg_opclass AS o ON o.oid = i.indclass[0]
            WHERE i.indexrelid = to_regclass(%s)
            """,
            (name,),
        )
        return await cursor.fetchone()
