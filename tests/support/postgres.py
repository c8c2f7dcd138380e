"""Small questions to a database that several tests ask."""

import asyncio
from typing import Any, LiteralString
from urllib.parse import urlsplit

from db.connection import Connection


def named(server: str, database: str) -> str:
    """Return a server's URL with another database's name."""
    return urlsplit(server)._replace(path=f"/{database}").geturl()


async def rows(connection: Connection, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    """Return all rows of a query."""
    return await (await connection.execute(query, values)).fetchall()


async def value(connection: Connection, query: LiteralString, *values: Any) -> Any:
    """Return the first column of a query's only row."""
    ((answer,),) = await rows(connection, query, *values)
    return answer


async def plan(connection: Connection, query: str, values: Any = None) -> str:
    """Return the plan of a query as text."""
    explained = await connection.execute(f"EXPLAIN {query}".encode(), values)
    return "\n".join(row[0] for row in await explained.fetchall())


async def is_waiting(connection: Connection, kind: str = "Lock") -> None:
    """Return once another session of this database waits for a lock."""
    query: LiteralString = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = %s"
    )
    async with asyncio.timeout(10):
        while not await value(connection, query, kind):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.005)  # the server is at work


async def until_true(connection: Connection, query: LiteralString, *values: Any, seconds: float = 240) -> None:
    """Return when a query answers true. Raises `TimeoutError` when it never does."""
    async with asyncio.timeout(seconds):
        while not await value(connection, query, *values):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.05)  # see above
