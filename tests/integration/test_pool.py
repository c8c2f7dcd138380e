"""A pool that cannot be opened leaves nothing behind."""

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from db.connection import open_pool
from db.errors import DatabaseUnavailable


class Waiting:
    """What a pool does while it waits for its first connection: fail, or nothing at all."""

    def __init__(self, error: Exception | None = None) -> None:
        self.pools: list[AsyncConnectionPool[Any]] = []
        self.error = error

    async def __call__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.pools.append(pool)
        if self.error:
            raise self.error
        await asyncio.Event().wait()


def wait_as(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AsyncConnectionPool, "wait", lambda pool, timeout: waiting(pool))


async def test_a_cancelled_opening_closes_the_pool(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting()
    wait_as(waiting, monkeypatch)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await open_pool(database_url)

    assert [pool.closed for pool in waiting.pools] == [True]


@pytest.mark.parametrize(
    ("raised", "told"), [(OSError("no threads"), OSError), (psycopg.OperationalError("gone"), DatabaseUnavailable)]
)
async def test_an_opening_that_fails_closes_the_pool(
    database_url: str, monkeypatch: pytest.MonkeyPatch, raised: Exception, told: type[Exception]
) -> None:
    waiting = Waiting(raised)
    wait_as(waiting, monkeypatch)

    with pytest.raises(told):
        await open_pool(database_url)

    assert [pool.closed for pool in waiting.pools] == [True]
