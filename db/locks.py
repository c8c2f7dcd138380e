"""The domain lock: one run per domain, across processes and machines (A4), and the fence that outlives it (A5).

The lock is a session advisory lock on a connection of its own. Session locks are re-entrant, so that connection is
never shared or pooled; and a transaction pooler would lose it silently, so it must be a direct one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self

import psycopg

from db.connection import open_connection
from db.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from db.connection import Connection

logger = logging.getLogger(__name__)

HEARTBEAT = 10.0
ANSWER_TIMEOUT = 5.0
SESSION_TIMEOUT = "60s"

_KEY = "hashtextextended('lcl-domain:' || %s, 0)"


class DomainLock:
    """The lock of one domain, held by one run.

    `acquire` may be called once; `release` always, also when `acquire` failed or never ran. Between them `watch`
    returns only when the lock is lost.
    """

    def __init__(self, url: str, domain: str) -> None:
        self.domain = domain
        self._url = url
        self._connection: Connection | None = None

    async def acquire(self) -> bool:
        """Try to take the lock and return whether it is ours now. Raises `DatabaseUnavailable`.

        A stopped process (SIGSTOP, a paused machine) sends no heartbeat: the server ends its session after
        `SESSION_TIMEOUT`, and with it the lock.
        """
        self._connection = await open_connection(
            self._url, idle_session_timeout=SESSION_TIMEOUT, tcp_keepalives_idle="20", tcp_keepalives_interval="5"
        )
        cursor = await self._connection.execute(f"SELECT pg_try_advisory_lock({_KEY})", (self.domain,))
        row = await cursor.fetchone()
        if row is not None and row[0]:
            return True
        await self.release()
        return False

    async def raise_fence(self, job_id: UUID) -> int:
        """Take the next fencing number of the domain: every holder before this one can no longer write."""
        connection = self._held()
        cursor = await connection.execute(
            """
            INSERT INTO domain_fences AS f (domain, fence, job_id)
            VALUES (%s, 1, %s)
            ON CONFLICT (domain) DO UPDATE
            SET fence = f.fence + 1, job_id = EXCLUDED.job_id, acquired_at = now()
            RETURNING fence
            """,
            (self.domain, job_id),
        )
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - INSERT ... RETURNING always answers
        return int(row[0])

    async def watch(self) -> str:
        """Keep the session alive, and return why when it is lost."""
        connection = self._held()
        while True:
            try:
                async for _ in connection.notifies(timeout=HEARTBEAT):
                    pass
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await connection.execute("SELECT 1")
            except (psycopg.Error, TimeoutError, OSError) as error:
                return " ".join(str(error).split()) or type(error).__name__

    async def release(self) -> None:
        """Give the lock up, free for the next run on return. Does nothing when it is not held.

        Cancel a `watch` first: it keeps the session busy.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            # Said aloud, because the server notices a closed session only a moment after `close` returns.
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await connection.execute("SELECT pg_advisory_unlock_all()")
        except (psycopg.Error, TimeoutError, OSError) as error:
            logger.debug("the lock of %s ends with its session: %s", self.domain, error)
        finally:
            await connection.close()

    def _held(self) -> Connection:
        if self._connection is None:
            msg = f"the lock of {self.domain} is not held"
            raise DatabaseUnavailable(msg)
        return self._connection


async def held(connection: Connection, domains: Iterable[str]) -> set[str]:
    """Return which of these domains are locked at this moment.

    Looks without touching: a probe that took the lock would turn away a run that starts at the same moment.
    """
    cursor = await connection.execute(
        """
        SELECT d.domain
        FROM unnest(%s::text[]) AS d (domain)
        WHERE hashtextextended('lcl-domain:' || d.domain, 0) IN (
            SELECT l.classid::bigint << 32 | l.objid::bigint
            FROM pg_locks AS l
            WHERE l.locktype = 'advisory'
              AND l.objsubid = 1
              AND l.granted
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        )
        """,
        (list(domains),),
    )
    return {row[0] for row in await cursor.fetchall()}


class OneAtATime:
    """A session's advisory lock by name: of several processes that do the same errand, one is at it.

    Raises nothing where it cannot be had: `is_ours` says so. A direct connection, as for `DomainLock`.
    """

    def __init__(self, url: str, name: str) -> None:
        self.is_ours = False
        self._url = url
        self._name = name
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        self._connection = await open_connection(self._url, tcp_keepalives_idle="20", tcp_keepalives_interval="5")
        cursor = await self._connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('lcl-' || %s, 0))", (self._name,)
        )
        self.is_ours = await cursor.fetchone() == (True,)
        return self

    async def __aexit__(self, *_: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def confirm(self) -> None:
        """Return if the lock is still held, before a step not to be taken twice. Raises `DatabaseUnavailable`."""
        try:
            if self._connection is not None and self.is_ours:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await self._connection.execute("SELECT 1")
                return
        except (psycopg.Error, TimeoutError, OSError):
            pass
        msg = f"the lock of the {self._name} is lost: another process may be at them. Nothing more was done; try again"
        raise DatabaseUnavailable(msg)
