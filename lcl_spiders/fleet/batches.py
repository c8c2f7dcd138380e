"""The provider's batches: at each time of `LCL_BATCH_CRON` one worker brings them a round further."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg

from db import queue
from db.errors import DatabaseProblem, one_line
from pipelines.providers import ProviderError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    import procrastinate

    from pipelines.runtime import Runtime

logger = logging.getLogger(__name__)


def put_on(
    app: procrastinate.App,
    runtime: Runtime,
    cron: str,
    unless_stopped: Callable[[Coroutine[Any, Any, None]], Awaitable[None]],
) -> None:
    """Let an app's workers look after the batches at the times of `cron` (UTC).

    `unless_stopped` carries a round out, and leaves it when the worker is told to stop: the next goes on from there.
    Of rounds that no worker came to, one is made good.
    """

    @app.periodic(cron=cron)
    @app.task(name="batches", queue=queue.SCHEDULE, queueing_lock="batches")
    async def batches(timestamp: int) -> None:  # the time it was due, which every periodic task is told
        await unless_stopped(go_round(runtime))


async def go_round(runtime: Runtime) -> None:
    """Submit, poll and apply once; what goes wrong is told, and tried again in the next round."""
    from pipelines.batch_api import round as rounds  # noqa: PLC0415 - 1 s of imports that most workers are spared
    from pipelines.batch_api.apis import Apis  # noqa: PLC0415 - see above

    try:
        async with Apis(runtime) as apis:
            done = await rounds.go_round(runtime, apis)
    except (DatabaseProblem, ProviderError, psycopg.Error) as error:
        logger.warning("the batches cannot be looked after: %s", one_line(error))
        return
    for problem in done.problems:
        logger.warning("batches: %s", problem)
    if told := str(done):
        logger.info("batches: %s", told)
