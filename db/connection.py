"""Connections: where the database is, one connection, a pool of them.

Every connection knows pgvector's types, has JIT off (it costs more than it gives on these short statements), plans each
statement for its values (a plan cached while a table was small scans it when it has grown: measured, 200 times slower)
and gives up a statement's locks in bounded time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from db import embedded
from db import vectors as vector_types
from db.errors import DatabaseUnavailable, SchemaOutdated, one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Connection]

CONNECT_TIMEOUT = 5
POOL_TIMEOUT = 10
RECONNECT_TIMEOUT = 10  # seconds; the pauses between attempts double, and whoever asks after the last begins anew
POOL_SIZE = 4
SESSION = {
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "30s",
}


@dataclass(frozen=True)
class Address:
    """Where the database is: a URL of a server, or the folder of the embedded one."""

    url: str | None
    folder: Path | None

    @property
    def is_embedded(self) -> bool:
        """Whether the server is ours to start and to migrate."""
        return self.url is None

    def resolve(self) -> str:
        """Return a connection URI, starting the embedded server if that is the one. Blocks.

        Raises `DatabaseUnavailable`.
        """
        if self.url is not None:
            return self.url
        if self.folder is None:
            msg = "no database: set DATABASE_URL (an egg has no folder for an embedded one)"
            raise DatabaseUnavailable(msg)
        return embedded.start(self.folder)

    def resolve_running(self) -> str | None:
        """Return a connection URI without starting anything; None when the embedded server does not run."""
        if self.url is not None:
            return self.url
        return embedded.running_uri(self.folder) if self.folder is not None else None


def conninfo(url: str, **settings: str) -> str:
    """Return `url` as a connection string with this project's session settings and time-outs.

    Raises `DatabaseUnavailable` when the URL cannot be read.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # libpq's own message quotes the URL, and with it the password.
        msg = "DATABASE_URL cannot be read: it should look like postgresql://user:password@host:5432/database"
        raise DatabaseUnavailable(msg) from None
    options = " ".join(f"-c {name}={value}" for name, value in {**SESSION, **settings}.items())
    given["options"] = f"{given.get('options') or ''} {options}".strip()
    given.setdefault("connect_timeout", CONNECT_TIMEOUT)
    given.setdefault("application_name", "lcl-spiders")
    return make_conninfo("", **given)


def describe(url: str) -> str:
    """Return `url` without its passwords, for messages."""
    shown = {key: value for key, value in conninfo_to_dict(url).items() if key not in {"password", "sslpassword"}}
    return make_conninfo("", **shown)


@asynccontextmanager
async def connect(url: str, *, vectors: bool = True, **settings: str) -> AsyncIterator[Connection]:
    """Open one autocommit connection of its own, and close it at the end.

    Raises `DatabaseUnavailable`, or `SchemaOutdated` when the database has no pgvector. `vectors=False` leaves
    its types out, for a database not yet migrated.
    """
    connection = await open_connection(url, vectors=vectors, **settings)
    try:
        yield connection
    finally:
        await connection.close()


async def open_connection(url: str, *, vectors: bool = False, **settings: str) -> Connection:
    """Open one autocommit connection that the caller closes. Raises as `connect`."""
    try:
        connection = await psycopg.AsyncConnection.connect(conninfo(url, **settings), autocommit=True)
        try:
            if vectors:
                await vector_types.register(connection)
        except BaseException:  # a cancellation, too, must leave no connection open
            await connection.close()
            raise
    except psycopg.OperationalError as error:
        msg = f"cannot reach the database ({describe(url)}): {one_line(error)}"
        raise DatabaseUnavailable(msg) from error
    except psycopg.ProgrammingError as error:
        msg = f"the database ({describe(url)}) has no pgvector types. Run `scrapy migrate`."
        raise SchemaOutdated(msg) from error
    return connection


async def open_pool(url: str, *, size: int = POOL_SIZE) -> Pool:
    """Open a pool of autocommit connections and wait for the first. Raises `DatabaseUnavailable`.

    Whatever goes wrong, also a cancellation, leaves no pool and no connection behind.
    """
    pool: Pool = AsyncConnectionPool(
        conninfo(url),
        kwargs={"autocommit": True},
        configure=vector_types.register,
        min_size=1,
        max_size=size,
        open=False,
        name="lcl",
        timeout=POOL_TIMEOUT,
        reconnect_timeout=RECONNECT_TIMEOUT,
    )
    try:
        try:
            await pool.open(wait=True, timeout=CONNECT_TIMEOUT * 2)
        except BaseException:  # a cancellation, too, must leave no pool open
            await pool.close()
            raise
    except psycopg.OperationalError as error:
        msg = f"cannot reach the database ({describe(url)}): {one_line(error)}"
        raise DatabaseUnavailable(msg) from error
    return pool
