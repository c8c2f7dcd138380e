"""Extraction in other processes: a page may hang, crash or eat memory, and only that page is lost."""

import asyncio
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from pebble import ProcessExpired, ProcessPool

from lcl_spiders.extraction.errors import ExtractionCrashed, ExtractionError, ExtractionFailed, ExtractionTimeout
from lcl_spiders.extraction.feeds import Feed
from lcl_spiders.extraction.options import DEFAULT, ExtractionOptions
from lcl_spiders.extraction.page import ExtractedPage
from lcl_spiders.extraction.worker import (
    Document,
    FeedDocument,
    Outcome,
    Page,
    extract_batch,
    prepare_worker,
    worker_context,
)

SMALLEST_MEMORY_LIMIT = 256 * 2**20
"""The extractors alone take 100 MiB of address space; workers that cannot start would be started for ever."""

_MAX_BATCH = 8
_MAX_TASKS = 2_000
_MAX_LOSSES = 3
_GRACE = 5.0
"""Seconds after which Pebble ends a worker that its own alarm did not end, because it is stopped, or swapped out."""


@dataclass(eq=False, slots=True)
class _Waiting:
    document: Document
    result: asyncio.Future[Any]
    alone: bool = False
    losses: int = 0


class ExtractionPool:
    """Worker processes for one event loop.

    Processes start with the first page. When many pages wait they travel in batches, which halves what a page costs
    outside `extract_page`; the time limit is each page's own, and when a worker dies the pages of its batch are tried
    again one by one, so that the verdict falls on the right one.

    Args:
        workers: number of processes.
        time_limit: seconds a page may take; waiting for a worker does not count.
        memory_limit: bytes of address space of each worker.
    """

    def __init__(self, workers: int, time_limit: float, memory_limit: int) -> None:
        if workers < 1 or time_limit <= 0 or memory_limit < SMALLEST_MEMORY_LIMIT:
            raise ValueError(
                f"an extraction pool needs a worker, a time limit and {SMALLEST_MEMORY_LIMIT} bytes of memory, "
                f"not {workers=}, {time_limit=}, {memory_limit=}"
            )
        self._workers = workers
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._pool: ProcessPool | None = None
        self._starting: asyncio.Task[None] | None = None
        self._waiting: deque[_Waiting] = deque()
        self._running: dict[tuple[_Waiting, ...], ProcessPool] = {}
        self._stopping: set[asyncio.Future[None]] = set()
        self._closed = False

    async def extract(
        self, body: bytes, url: str, encoding: str | None, options: ExtractionOptions = DEFAULT
    ) -> ExtractedPage:
        """Extract one page in a worker, without blocking the event loop; see `extract_page`.

        Raises:
            ExtractionError: the page cannot be read (`EmptyBody`, `NotHtml`, `TooDeep`, `ExtractionFailed`), was given
                up (`ExtractionTimeout`), or took its worker with it (`ExtractionCrashed`).
            asyncio.CancelledError: the pool was closed, which says nothing about the page.
        """
        # Pickling the options takes 20 times as long as the rest of a page: most sources have none.
        page: Page = (body, url, encoding) if options == DEFAULT else (body, url, encoding, options)
        extracted: ExtractedPage = await self._read(page)
        return extracted

    async def read_feed(self, body: bytes, url: str, encoding: str | None) -> Feed:
        """Read a feed in a worker, as `extract` does a page; see `parse_feed`. Raises as it does, and `BadFeed`."""
        feed: Feed = await self._read(FeedDocument(body, url, encoding))
        return feed

    async def _read(self, document: Document) -> Any:
        if self._closed:
            raise asyncio.CancelledError("the extraction pool is closed")
        waiting = _Waiting(document, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._dispatch()
        return await waiting.result

    async def close(self) -> None:
        """End the workers, also those that are stuck, and cancel the pages they have; closing twice is harmless."""
        self._closed = True
        for waiting in (*self._waiting, *(one for batch in self._running for one in batch)):
            waiting.result.cancel()
        self._waiting.clear()
        if self._starting is not None:
            await asyncio.wait([self._starting])
        if self._pool is not None:
            self._stop(self._pool)
        if self._stopping:
            await asyncio.wait(self._stopping)

    def _dispatch(self) -> None:
        # One task a worker is busy with, and one that lies ready for it.
        while self._waiting and len(self._running) < self._workers * 2:
            if self._pool is None:
                if self._starting is None:
                    self._starting = asyncio.create_task(self._start(), name="extraction pool start")
                return
            batch = self._next_batch()
            if batch:
                self._submit(self._pool, batch)

    def _next_batch(self) -> tuple[_Waiting, ...]:
        size = max(1, min(_MAX_BATCH, len(self._waiting) // (self._workers * 2)))
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < size and not (batch and self._waiting[0].alone):
            waiting = self._waiting.popleft()
            if waiting.result.done():  # its caller was cancelled meanwhile
                continue
            batch.append(waiting)
            if waiting.alone:
                break
        return tuple(batch)

    def _submit(self, pool: ProcessPool, batch: tuple[_Waiting, ...]) -> None:
        self._running[batch] = pool
        arguments = (self._time_limit, [waiting.document for waiting in batch])
        ended = partial(self._ended, pool, batch)
        loop = asyncio.get_running_loop()
        future: Future[list[Outcome]]
        try:
            future = pool.schedule(extract_batch, arguments, timeout=len(batch) * self._time_limit + _GRACE)
        except RuntimeError:  # Pebble gave the pool up, as when the system killed a worker that had nothing to do
            future = Future()
            future.set_exception(BrokenProcessPool())
        future.add_done_callback(partial(_call_in, loop, ended))

    def _ended(self, pool: ProcessPool, batch: tuple[_Waiting, ...], future: Future[list[Outcome]]) -> None:
        if self._closed or self._running.pop(batch, None) is None:
            return
        error = future.exception()
        if error is None:
            for waiting, outcome in zip(batch, future.result(), strict=True):
                _settle(waiting, outcome)
        elif isinstance(error, BrokenProcessPool):
            self._again(batch)
            if pool is self._pool:
                self._stop(pool)
                # What lay in its queue it will neither run nor report.
                for lost in [one for one, where in self._running.items() if where is pool]:
                    del self._running[lost]
                    self._again(lost)
        elif len(batch) > 1:
            self._again(batch)
        else:
            _settle(batch[0], self._verdict(error))
        self._dispatch()

    def _again(self, batch: tuple[_Waiting, ...]) -> None:
        for waiting in reversed(batch):
            waiting.alone = True
            waiting.losses += 1
            if waiting.losses > _MAX_LOSSES:
                _settle(waiting, ExtractionCrashed("workers die before they can extract anything"))
            else:
                self._waiting.appendleft(waiting)

    def _verdict(self, error: BaseException) -> ExtractionError:
        # Pebble's Result crosses processes as exception and exit code only.
        if isinstance(error, TimeoutError) or getattr(error, "exitcode", None) == -signal.SIGALRM:
            return ExtractionTimeout(f"given up after {self._time_limit} s")
        if isinstance(error, ProcessExpired):
            return ExtractionCrashed(f"the worker ended with exit code {error.exitcode}")
        return ExtractionFailed(f"{type(error).__name__}: {error}")

    async def _start(self) -> None:
        pool = ProcessPool(
            self._workers,
            max_tasks=_MAX_TASKS,
            initializer=prepare_worker,
            initargs=(self._memory_limit,),
            context=worker_context(),
        )
        try:
            # Asking for its state starts a pool; forking from the server takes time, and the server's first start more.
            await asyncio.to_thread(lambda: pool.active)
        except Exception as error:  # noqa: BLE001 - no process can be started, which is no page's failure
            for waiting in self._waiting:
                if not waiting.result.done():
                    waiting.result.set_exception(error)
            self._waiting.clear()
            self._stop(pool)
        else:
            self._pool = pool
        finally:
            self._starting = None
        if not self._closed:
            self._dispatch()

    def _stop(self, pool: ProcessPool) -> None:
        if self._pool is pool:
            self._pool = None
        stopping = asyncio.get_running_loop().run_in_executor(None, _stop, pool)
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)


@asynccontextmanager
async def leased_pool(workers: int, time_limit: float, memory_limit: int) -> AsyncIterator[ExtractionPool]:
    """Hold the pool that all crawls of this event loop share for these values; the last to leave closes it."""
    pools = _leases.setdefault(asyncio.get_running_loop(), {})
    key = (workers, time_limit, memory_limit)
    lease = pools.get(key)
    if lease is None:
        lease = pools[key] = _Lease(ExtractionPool(workers, time_limit, memory_limit))
    lease.holders += 1
    try:
        yield lease.pool
    finally:
        lease.holders -= 1
        if lease.holders == 0:
            del pools[key]
            await lease.pool.close()


@dataclass(slots=True)
class _Lease:
    pool: ExtractionPool
    holders: int = 0


_leases: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[int, float, int], _Lease]] = WeakKeyDictionary()


def _settle(waiting: _Waiting, outcome: Outcome) -> None:
    if waiting.result.done():  # its caller was cancelled meanwhile
        return
    if isinstance(outcome, ExtractionError):
        waiting.result.set_exception(outcome)
    else:
        waiting.result.set_result(outcome)


def _call_in(
    loop: asyncio.AbstractEventLoop, ended: Callable[[Future[list[Outcome]]], None], future: Future[list[Outcome]]
) -> None:
    with suppress(RuntimeError):  # the loop was closed without closing the pool: nobody waits any more
        loop.call_soon_threadsafe(ended, future)


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]  # pebble has no annotation there
    pool.join()
