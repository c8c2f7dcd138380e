"""What the crawls of one process share: the connection pool and the embedders.

Leased by reference count for each event loop and configuration: a crawl holds a lease for its run, a worker for its
life. The last one to give back closes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from functools import cache
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg_pool import PoolTimeout
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from db import indexes, schema
from db.connection import connect, open_pool
from db.errors import DatabaseUnavailable, one_line
from pipelines.budget import DailyBudget
from pipelines.embedder import embedder_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from db.connection import Connection, Pool
    from db.models import Model
    from pipelines.config import Config
    from pipelines.embedder import Embedder
    from pipelines.providers import ProviderSpec

logger = logging.getLogger(__name__)

R = TypeVar("R")

TRANSIENT = (psycopg.OperationalError, PoolTimeout)
PERMANENT = (psycopg.errors.ProgramLimitExceeded,)
HOPELESS = (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)
ATTEMPTS = 6
GIVE_UP_AFTER = 20  # seconds
GIVEN_UP_LASTS = 10.0  # seconds


class Runtime:
    """A leased set of shared parts.

    `url` is the resolved connection URI. `direct_url` is that of a connection that has its session for itself, which
    locks, notifications and settings of a session need and a transaction pooler does not give.
    """

    def __init__(self, config: Config, url: str, pool: Pool) -> None:
        self.config = config
        self.url = url
        self.direct_url = config.lock_database_url or url
        self.pool = pool
        self.budget = DailyBudget(self, config.limits.per_day)
        self.leases = 0
        self._given_up = False
        self._loading = asyncio.Lock()
        self._embedders: dict[ProviderSpec, Embedder] = {}

    async def embedder(self, spec: ProviderSpec) -> Embedder:
        """Return the embedder of a model, made on the first call for it. Raises `ProviderMisconfigured`."""
        async with self._loading:
            if spec not in self._embedders:
                self._embedders[spec] = await embedder_of(spec, self.config.embedding, self.budget)
                if self.leases <= 1:  # else crawls are at work in a worker, which would stay with all that they hold
                    _stay(spec.provider)
            return self._embedders[spec]

    async def use_connection(self, action: Callable[[Connection], Awaitable[R]]) -> R:
        """Run an action over a pooled connection, again after a transient fault (A10): it must bear repetition.

        Raises `DatabaseUnavailable` when the database does not come back, and what the action raises otherwise.
        For `GIVEN_UP_LASTS` seconds after it has been given up, callers that come wait for one short attempt only: what
        is still in flight when a run ends must not wait one after the other. After that, or after a success, they are
        as patient as ever: no run may suffer for what another met.
        """
        attempts, timeout = (1, 1.0) if self._given_up else (ATTEMPTS, None)
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(TRANSIENT) & retry_if_not_exception_type(PERMANENT),
                wait=wait_random_exponential(multiplier=0.2, max=5),
                stop=stop_after_attempt(attempts) | stop_after_delay(GIVE_UP_AFTER),
                reraise=True,
            ):
                with attempt:
                    async with self.pool.connection(timeout=timeout) as connection:
                        result = await action(connection)
                    self._given_up = False
                    return result
        except PERMANENT:
            raise
        except HOPELESS as error:
            msg = f"the database does not let this user write: {one_line(error)}"
            raise DatabaseUnavailable(msg) from error
        except TRANSIENT as error:
            self._give_up()
            msg = f"the database does not answer: {one_line(error)}"
            raise DatabaseUnavailable(msg) from error
        raise AssertionError  # the loop returns or raises

    def _give_up(self) -> None:
        if not self._given_up:
            self._given_up = True
            asyncio.get_running_loop().call_later(GIVEN_UP_LASTS, self._take_heart)

    def _take_heart(self) -> None:
        self._given_up = False

    async def build_indexes(self, model: Model) -> None:
        """Build the search indexes that a model lacks once it is large enough, see `db.indexes`.

        Raises `DatabaseUnavailable` or `psycopg.Error`.
        """
        async with connect(self.direct_url) as connection:
            built = await indexes.ensure(connection, model, min_chunks=self.config.index_min_chunks)
        if built:
            logger.info("built %s", ", ".join(built))

    async def close(self) -> None:
        """Close the embedders and the pool."""
        for embedder in self._embedders.values():
            await embedder.close()
        await self.pool.close()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Config, Runtime]] = WeakKeyDictionary()
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def lease(config: Config) -> Runtime:
    """Return the shared parts for this configuration, made on the first lease.

    An embedded database is started and migrated. Raises `DatabaseUnavailable` or `SchemaOutdated` (a foreign database
    is never migrated unasked). No embedder is made yet.
    """
    loop = asyncio.get_running_loop()
    async with _locks.setdefault(loop, asyncio.Lock()):
        runtimes = _shared.setdefault(loop, {})
        if config not in runtimes:
            runtimes[config] = await _open(config)
        runtimes[config].leases += 1
        return runtimes[config]


async def give_back(runtime: Runtime) -> None:
    """End one lease; the last closes the pool and the embedders."""
    loop = asyncio.get_running_loop()
    async with _locks.setdefault(loop, asyncio.Lock()):
        runtime.leases -= 1
        if runtime.leases == 0:
            _shared.get(loop, {}).pop(runtime.config, None)
            await runtime.close()


async def _open(config: Config) -> Runtime:
    url = await prepare_database(config)
    return Runtime(config, url, await open_pool(url))


@cache  # once in a process
def _stay(provider: str) -> None:
    """Leave what was imported for a provider, and before, out of every garbage collection to come: it is there to stay.

    Else a whole collection looks at half a million objects, again and again.
    """
    gc.freeze()


async def prepare_database(config: Config) -> str:
    """Return the URI of a database that is reachable and at this code's schema.

    Raises `DatabaseUnavailable` or `SchemaOutdated`.
    """
    url = await asyncio.to_thread(config.database.resolve)
    if config.database.is_embedded:
        await asyncio.to_thread(schema.upgrade_if_needed, url)
    async with connect(url, vectors=False) as connection:
        await schema.check(connection)
    return url
