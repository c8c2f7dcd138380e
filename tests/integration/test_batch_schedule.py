"""The job that looks after the provider's batches: one at a time in the queue, and of no harm when it fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import procrastinate
import pytest
from procrastinate.exceptions import AlreadyEnqueued

from db import queue
from lcl_spiders.fleet import batches
from tests.support.faulty_runtime import FaultyRuntime
from tests.support.postgres import value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from db.connection import Connection

NEVER = "0 0 29 2 *"  # no time of its own comes while the test runs


class Unreachable(FaultyRuntime):
    """A runtime whose direct connections reach no server."""

    direct_url = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
async def app(connection: Connection, database_url: str) -> AsyncIterator[procrastinate.App]:
    async def carry_out(work: Coroutine[Any, Any, None]) -> None:
        await work

    made = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=database_url, min_size=1, max_size=2))
    batches.put_on(made, Unreachable(connection), NEVER, carry_out)  # type: ignore[arg-type]  # a double that forces a fault
    async with made.open_async():
        await made.tasks["batches"].defer_async(timestamp=0)
        yield made


async def test_rounds_that_no_worker_came_to_do_not_pile_up(app: procrastinate.App) -> None:
    with pytest.raises(AlreadyEnqueued):
        await app.tasks["batches"].defer_async(timestamp=600)


async def test_a_round_that_fails_is_told_and_left_to_the_next(
    app: procrastinate.App, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "lcl_spiders.fleet.batches"):
        await app.run_worker_async(
            queues=[queue.SCHEDULE],
            wait=False,
            install_signal_handlers=False,
            listen_notify=False,
            delete_jobs="always",
        )
    assert caplog.messages[0].startswith("the batches cannot be looked after: ")
    assert await value(connection, "SELECT count(*) FROM procrastinate_jobs") == 0
