"""Micro-batches: many callers each wait for one result, one flush answers a batch of them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Collects submissions and flushes them together.

    A batch leaves when it holds `max_items`, or `max_weight` of weight, or when its first member has waited `linger`
    seconds: a caller never waits for a full batch that does not come. At most `concurrency` flushes run at a time;
    while all are busy the next batch goes on filling. `flush` gets the batch in order of submission and returns one
    result for each member; what it raises, every member of the batch gets.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_items: int,
        max_weight: int,
        linger: float,
        concurrency: int = 1,
    ) -> None:
        self._flush = flush
        self._max_items = max_items
        self._max_weight = max_weight
        self._linger = linger
        self._free = concurrency
        self._waiting: deque[tuple[T, int, asyncio.Future[R]]] = deque()
        self._weight = 0
        self._overdue = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, member: T, weight: int = 1) -> R:
        """Add one member and wait for its result. Raises what the flush of its batch raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((member, weight, future))
        self._weight += weight
        if self._timer is None and not self._overdue:
            self._timer = loop.call_later(self._linger, self._time_out)
        self._dispatch()
        return await future

    async def close(self) -> None:
        """Flush what waits and return when every flush has ended."""
        self._overdue = True
        self._dispatch()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _time_out(self) -> None:
        self._timer = None
        self._overdue = True
        self._dispatch()

    def _dispatch(self) -> None:
        while self._free and self._waiting and (self._overdue or self._is_full()):
            batch = self._take()
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not self._waiting:
            self._overdue = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._max_items or self._weight >= self._max_weight

    def _take(self) -> list[tuple[T, int, asyncio.Future[R]]]:
        batch: list[tuple[T, int, asyncio.Future[R]]] = []
        taken = 0
        while self._waiting and len(batch) < self._max_items:
            weight = self._waiting[0][1]
            if batch and taken + weight > self._max_weight:
                break
            taken += weight
            batch.append(self._waiting.popleft())
        self._weight -= taken
        return batch

    async def _run(self, batch: list[tuple[T, int, asyncio.Future[R]]]) -> None:
        try:
            results = await self._flush([member for member, _, _ in batch])
            if len(results) != len(batch):
                msg = f"a flush of {len(batch)} answered {len(results)}"
                raise ValueError(msg)
        except BaseException as error:  # noqa: BLE001 - handed to every waiting caller, which raises it
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, _, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        finally:
            self._free += 1
            self._dispatch()
