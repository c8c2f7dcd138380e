"""A refresh from one command: queue what is due, start workers, watch until everything asked for has ended (B7)."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from db import queue, recovery
from db.errors import DatabaseProblem, one_line
from lcl_spiders.fleet.children import Children

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.queue import Running
    from lcl_spiders.fleet.config import FleetConfig
    from pipelines.runtime import Runtime

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.5  # seconds
RECOVER_EVERY = 10  # looks
LET_GO_EVERY = 5.0  # seconds between two looks at workers that finish what they have in hand
MAX_DEATHS = 3  # of each worker, on average, without a single source that ended
DATABASE_PATIENCE = 120.0  # seconds that the database may be away, as long as a worker bears it
PATIENCE = 60.0  # seconds that workers have to end their crawls when a refresh is interrupted


@dataclass(frozen=True)
class Progress:
    """How far a refresh has come."""

    asked: int
    queued: int
    running: Sequence[Running]

    @property
    def done(self) -> int:
        """How many sources have ended."""
        return max(0, self.asked - self.queued - len(self.running))


class WorkersFailed(Exception):
    """Workers end as soon as they are started; the message holds their last words. Raised by `Coordinator.watch`."""


class Coordinator:
    """Watches over the runs of some sources, and over the workers of this machine that carry them out.

    `say` gets what the workers write on standard error, line by line.
    """

    def __init__(
        self,
        runtime: Runtime,
        config: FleetConfig,
        source_ids: Sequence[UUID],
        *,
        worker_options: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._config = config
        self._source_ids = source_ids
        self._workers = Children(worker_options, say)
        self._deaths = 0
        self._left = len(source_ids)
        self._is_stopping = False
        self._away_since: float | None = None

    async def watch(self, show: Callable[[Progress], None]) -> None:
        """Start workers and return when every source has ended. Raises `WorkersFailed`.

        A worker that dies is replaced while jobs wait; its own jobs come back by its missing heartbeat. Raises
        `DatabaseProblem` or `psycopg.Error` when the database stays away.
        """
        jobs = await self._runtime.use_connection(queue.count_waiting)
        wanted = await self._runtime.use_connection(lambda each: self._affordable(each, self._config.workers_for(jobs)))
        if jobs:
            logger.info("Spawning %d parallel workers for %d jobs", wanted, jobs)
        looks = 0
        try:
            while not self._is_stopping:
                looks += 1
                try:
                    is_over = await self._step(show, wanted, is_recovering=looks % RECOVER_EVERY == 0)
                except (DatabaseProblem, psycopg.Error) as error:
                    self._wait_for_database(error)
                else:
                    self._away_since = None
                    if is_over:
                        await self._let_go()
                        return
                await asyncio.sleep(LOOK_EVERY)  # the rhythm of the looks
        finally:
            await self._workers.end(PATIENCE)

    def stop(self) -> None:
        """End the workers; what is queued stays queued. Once more ends them at once."""
        if self._is_stopping:
            self._workers.signal(signal.SIGTERM)
        else:
            told = "ending %d workers and their crawls in order; once more ends them at once"
            logger.warning(told, len(self._workers.alive))
        self._is_stopping = True

    async def _step(self, show: Callable[[Progress], None], wanted: int, *, is_recovering: bool) -> bool:
        """Look once, do what is to be done, and return whether every source has ended."""
        waiting, running, is_over = await self._runtime.use_connection(self._look)
        progress = Progress(len(self._source_ids), waiting, running)
        if (left := progress.asked - progress.done) < self._left:
            self._left, self._deaths = left, 0
        show(progress)
        if not is_over:
            await self._keep_up(wanted)
            if is_recovering:
                self._workers.kill_stuck()
                await self._runtime.use_connection(lambda each: recovery.recover(each, self._config.silence))
        return is_over

    def _wait_for_database(self, error: Exception) -> None:
        """Say once that the database is away. Raises the error again when it has been for too long."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            logger.warning("%s. Waiting for it; the workers do as well", one_line(error))
        if now - self._away_since > DATABASE_PATIENCE:
            raise error

    async def _look(self, connection: Connection) -> tuple[int, list[Running], bool]:
        """Return how many of the sources wait, the runs of those that are at work, and whether all of them have ended.

        The queue is asked first: what ends between the questions may be queued again.
        """
        is_in_queue = await queue.is_in_queue(connection, self._source_ids)
        waiting = await queue.count_queued(connection, self._source_ids)
        running = await queue.running(connection, self._source_ids)
        return waiting, running, not (is_in_queue or waiting or running)

    async def _affordable(self, connection: Connection, wanted: int) -> int:
        """Return how many workers the database has connections for, and say so when they are fewer than wanted."""
        room = await queue.free_connections(connection)
        affordable = max(1, min(wanted, room // self._config.connections_per_worker))
        if affordable < wanted:
            logger.warning(
                "the database has room for %d connections, and a worker takes up to %d: so %d of %d start. "
                "Raise max_connections, or lower LCL_SOURCES_AT_A_TIME",
                room,
                self._config.connections_per_worker,
                affordable,
                wanted,
            )
        return affordable

    async def _keep_up(self, wanted: int) -> None:
        """Start workers until there are as many as are wanted and have something to do."""
        for worker in await self._workers.reap():
            if worker.process.returncode:
                logger.warning("worker %d died (exit %s)", worker.process.pid, worker.process.returncode)
                self._deaths += 1
                if self._deaths > MAX_DEATHS * wanted:
                    raise WorkersFailed(
                        f"workers ended {self._deaths} times, and no source did; the jobs stay queued. "
                        f"The last one said: {' / '.join(worker.last_lines) or 'nothing'}"
                    )
        if len(self._workers) >= wanted:
            return
        ready = await self._runtime.use_connection(lambda each: queue.count_waiting(each, now=True))
        for _ in range(min(wanted - len(self._workers), self._config.workers_for(ready) if ready else 0)):
            await self._workers.start()

    async def _let_go(self) -> None:
        """Let the workers finish what they have in hand, and build the search indexes; whatever else waits, waits."""
        self._workers.signal(signal.SIGUSR1)
        while not self._is_stopping and not await self._workers.wait(LET_GO_EVERY):
            self._workers.kill_stuck()
