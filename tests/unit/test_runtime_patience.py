"""How patiently a database is waited for that does not answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg_pool import PoolTimeout
from scrapy.settings import Settings

from db.errors import DatabaseUnavailable
from pipelines import runtime as module
from pipelines.addon import DEFAULTS
from pipelines.config import Config
from pipelines.runtime import Runtime

SHORT, PATIENT = 1.0, None


class AwayPool:
    """A pool whose database is away, or back. Keeps what time-outs it was asked with."""

    def __init__(self) -> None:
        self.is_away = True
        self.timeouts: list[float | None] = []

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[None]:
        self.timeouts.append(timeout)
        if self.is_away:
            raise PoolTimeout("no connection")
        yield


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> AwayPool:
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    return AwayPool()


@pytest.fixture
def runtime(pool: AwayPool) -> Runtime:
    return Runtime(Config.from_settings(Settings(DEFAULTS)), "", pool)  # type: ignore[arg-type]  # a double that forces a fault


async def nothing(_: Any) -> None:
    return None


async def asks(runtime: Runtime) -> None:
    with pytest.raises(DatabaseUnavailable):
        await runtime.use_connection(nothing)


async def test_once_it_was_given_up_the_next_ask_shortly(runtime: Runtime, pool: AwayPool) -> None:
    await asks(runtime)
    await asks(runtime)

    assert pool.timeouts == [PATIENT, PATIENT, SHORT]


async def test_a_success_makes_all_of_them_patient_again(runtime: Runtime, pool: AwayPool) -> None:
    await asks(runtime)
    pool.is_away = False
    await runtime.use_connection(nothing)
    pool.is_away = True
    await asks(runtime)

    assert pool.timeouts == [PATIENT, PATIENT, SHORT, PATIENT, PATIENT]


async def test_a_run_that_comes_later_is_not_hurried_by_what_another_met(
    runtime: Runtime, pool: AwayPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVEN_UP_LASTS", 0)
    await asks(runtime)
    await asyncio.sleep(0)  # the moment for which it lasts
    await asyncio.sleep(0)  # a turn of the loop
    await asks(runtime)

    assert pool.timeouts == [PATIENT] * 4
