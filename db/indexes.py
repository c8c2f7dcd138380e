"""The two search indexes of a model: HNSW over its vectors, GIN over its text.

While a model has few chunks an exact scan is fast and exact, and a first crawl does not pay for index maintenance.
Past `MIN_CHUNKS` both are built once, in bulk, without blocking writers; by the last of several runs, since what is
written while an index is being built goes into it chunk by chunk, at three times the cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from db import jobs

if TYPE_CHECKING:
    from db.connection import Connection
    from db.models import Model

MIN_CHUNKS = 10_000
PATIENCE = 10
"""So many times as large, a model waits no longer for other runs to end: it may be that there is always one."""

HALFVEC_ABOVE = 2_000  # HNSW takes vectors of up to 2,000 dimensions, halfvec of up to 4,000 (pgvector's README)

_INDEX_LOCK = 0x6C636C02


async def ensure(connection: Connection, model: Model, *, min_chunks: int = MIN_CHUNKS) -> list[str]:
    """Build the indexes that a model lacks once it is large enough, and return the names of those built.

    Returns at once when another process is building, or while runs are at work, which will ask again at their end.
    Takes an autocommit connection, since CONCURRENTLY cannot run inside a transaction, and a direct one: behind a
    transaction pooler, the lock and the settings of the session would stay with whoever comes next. An index left
    invalid by a build that died is dropped and built again.
    """
    if not await _is_large(connection, model, min_chunks):
        return []
    if await jobs.is_any_at_work(connection) and not await _is_large(connection, model, min_chunks * PATIENCE):
        return []
    row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (_INDEX_LOCK,))).fetchone()
    if not row or not row[0]:
        return []
    try:
        built = []
        for name, definition in _definitions(model).items():
            if await _is_valid(connection, name):
                continue
            try:
                await _build(connection, name, definition)
            except psycopg.errors.DiskFull:
                # Workers share their memory through /dev/shm, of which a container has 64 MB.
                await connection.execute("SET max_parallel_maintenance_workers = 0")
                await _build(connection, name, definition)
            built.append(name)
        if built:
            await connection.execute("ANALYZE page_embeddings")
        return built
    finally:
        if not connection.broken:
            await connection.execute("RESET maintenance_work_mem")
            await connection.execute("RESET max_parallel_maintenance_workers")
            await connection.execute("SELECT pg_advisory_unlock(%s)", (_INDEX_LOCK,))


async def _build(connection: Connection, name: str, definition: sql.Composed) -> None:
    await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name)))
    await connection.execute("SET maintenance_work_mem = '256MB'")
    await connection.execute(definition)


def _definitions(model: Model) -> dict[str, sql.Composed]:
    vectors, text = f"page_embeddings_vector_{model.id}_idx", f"page_embeddings_text_{model.id}_idx"
    kind = "halfvec" if model.dimensions > HALFVEC_ABOVE else "vector"
    return {
        vectors: sql.SQL(
            "CREATE INDEX CONCURRENTLY {name} ON page_embeddings USING hnsw ((embedding::{kind}({size})) {ops}) "
            "WHERE model_id = {model}"
        ).format(
            name=sql.Identifier(vectors),
            kind=sql.SQL(kind),
            size=sql.Literal(model.dimensions),
            ops=sql.SQL(f"{kind}_cosine_ops"),
            model=sql.Literal(model.id),
        ),
        text: sql.SQL(
            "CREATE INDEX CONCURRENTLY {name} ON page_embeddings USING gin (search) WHERE model_id = {model}"
        ).format(name=sql.Identifier(text), model=sql.Literal(model.id)),
    }


async def _is_large(connection: Connection, model: Model, min_chunks: int) -> bool:
    cursor = await connection.execute(
        "SELECT count(*) FROM (SELECT FROM page_embeddings WHERE model_id = %s LIMIT %s) AS counted",
        (model.id, min_chunks),
    )
    row = await cursor.fetchone()
    return bool(row and row[0] >= min_chunks)


async def _is_valid(connection: Connection, name: str) -> bool:
    cursor = await connection.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (name,))
    row = await cursor.fetchone()
    return bool(row and row[0])
