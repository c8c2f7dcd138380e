"""What the crawls of one process share: the connection pool and the embedding provider.

Leased by reference count for each event loop and configuration: a crawl holds a lease for its run, a worker for its
life. The last one to give back closes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from db import schema
from db.connection import connect, open_pool
from pipelines import providers

if TYPE_CHECKING:
    from db.connection import Pool
    from pipelines.config import Config
    from pipelines.providers import EmbeddingProvider


@dataclass
class Runtime:
    """A leased set of shared parts. `url` is the resolved connection URI."""

    config: Config
    url: str
    pool: Pool
    provider: EmbeddingProvider
    leases: int = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Config, Runtime]] = WeakKeyDictionary()
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def lease(config: Config) -> Runtime:
    """Return the shared parts for this configuration, made on the first lease.

    An embedded database is started and migrated. Raises `DatabaseUnavailable`, `SchemaOutdated` (a foreign database
    is never migrated unasked) or `ProviderMisconfigured`.
    """
    loop = asyncio.get_running_loop()
    async with _locks.setdefault(loop, asyncio.Lock()):
        runtimes = _shared.setdefault(loop, {})
        if config not in runtimes:
            runtimes[config] = await _open(config)
        runtimes[config].leases += 1
        return runtimes[config]


async def give_back(runtime: Runtime) -> None:
    """End one lease; the last closes the pool and the provider."""
    loop = asyncio.get_running_loop()
    async with _locks.setdefault(loop, asyncio.Lock()):
        runtime.leases -= 1
        if runtime.leases == 0:
            _shared.get(loop, {}).pop(runtime.config, None)
            await runtime.provider.close()
            await runtime.pool.close()


async def _open(config: Config) -> Runtime:
    url = await prepare_database(config)
    provider = await asyncio.to_thread(providers.create, config)
    return Runtime(config, url, await open_pool(url), provider)


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
