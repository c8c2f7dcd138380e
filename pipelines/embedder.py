"""One model of a process: every text that is embedded goes through here, in micro-batches across pages and sources."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

import numpy as np

from db.errors import DatabaseProblem
from pipelines.limits import Limits
from pipelines.patience import PROBE_TOKENS, Patience
from pipelines.providers import (
    Embedded,
    ProviderError,
    ProviderUnavailable,
    checked,
    create,
    sound,
)
from pipelines.settling import Settler
from pipelines.tasks import end
from pipelines.waiting import Answer, Meter, Order, WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.budget import Budget
    from pipelines.embedding_config import EmbeddingConfig
    from pipelines.providers import EmbeddingProvider, ProviderSpec

__all__ = ["Answer", "Embedder", "Meter", "Stopped", "embedder_of"]

logger = logging.getLogger(__name__)

MAX_WAITING_BYTES = 8 * 1024 * 1024
HEALTH_LASTS = 30.0  # seconds; a worker begins many runs in that time
LOOK_EVERY = 0.25  # seconds between looks at whether those who wait still want to: nothing tells of it
GRACE = 2.0  # seconds for which what is on its way is waited for after a stop: it is paid for


class Stopped(ProviderUnavailable):
    """Whoever asked wants nothing more: no word about the provider."""


class Embedder:
    """Embeds the texts of everybody in a process with one model. `spec` is what it was made from.

    A batch leaves when it is full, or when its first text has waited for the linger; while all requests that may run
    at a time do, or the provider's limits are reached, the next batch goes on filling. A text that is asked for again
    while it waits or is on its way is sent once. Texts beyond `MAX_WAITING_BYTES` wait at the door. `budget` is asked
    before each batch; None counts nothing and sets no limit.
    """

    def __init__(
        self, spec: ProviderSpec, provider: EmbeddingProvider, config: EmbeddingConfig, budget: Budget | None = None
    ) -> None:
        self.spec = spec
        self._provider = provider
        self._config = config
        self._limits = Limits(config.requests_per_minute, config.tokens_per_minute)
        self._patience = Patience(provider, self._limits, config.timeout, config.tokens_per_request)
        self._room = WaitingRoom(
            max_texts=min(config.batch_size, provider.max_texts or config.batch_size),
            max_tokens=self._patience.batch_tokens,
            max_bytes=MAX_WAITING_BYTES,
        )
        self._most_calls = min(config.concurrency, provider.max_concurrency or config.concurrency)
        self._overdue = False
        self._linger: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._calling: set[asyncio.Task[None]] = set()  # workers that the provider has something to do for
        self._checking: asyncio.Task[int] | None = None
        self._settler = Settler(self._room, self._patience, provider, budget)
        self._checked_at = -math.inf

    @property
    def model(self) -> str:
        """The model's name, also where the spec leaves it to the provider."""
        return self._provider.model

    async def check(self) -> int:
        """Return the length of the vectors, found by embedding a few words; asked twice a minute at most.

        Not asked at all while texts are answered, nor while the provider's limits make them wait. Whoever asks while a
        check runs gets its result. Raises `ProviderMisconfigured` or `ProviderUnavailable`.
        """
        if self._checking is None or self._checking.done():
            self._checking = asyncio.get_running_loop().create_task(self._check())
            self._checking.add_done_callback(_retrieve)
        return await asyncio.shield(self._checking)

    async def embed(self, texts: Sequence[str], meter: Meter, *, is_urgent: bool = False) -> Embedded:
        """Embed any number of texts. Raises what `embed_each` raises, and why one has no vector when one has none."""
        found = await self.embed_each(texts, meter, is_urgent=is_urgent)
        for answer in found:
            if isinstance(answer, ProviderError):
                raise answer
        whole = [answer for answer in found if isinstance(answer, Answer)]
        counts = [answer.tokens for answer in whole if answer.tokens is not None]
        vectors = np.zeros((len(whole), self._settler.dimensions), dtype=np.float32)
        for row, answer in zip(vectors, whole, strict=True):
            row[:] = answer.vector
        return Embedded(vectors, counts if len(counts) == len(whole) else None, sum(counts))

    async def embed_each(
        self, texts: Sequence[str], meter: Meter, *, is_urgent: bool = False
    ) -> list[Answer | ProviderError]:
        """Return for each text its vector, or why it has none; one text without a vector costs no other its own.

        That is a `ProviderRefused`, or a `TokenLimitReached` for a text that was not even sent. What is urgent does
        not wait for others to be sent with it. What was spent is counted on the meter of whoever asked for a text
        first. Raises `Stopped` when the meter says so; `ProviderMisconfigured`, `ProviderUnavailable` or
        `DatabaseProblem`, which everybody who waits then gets. Where some of the texts have their vectors by then,
        which are paid for, such a `ProviderError` is not raised, but stands in the places of the others.
        """
        if meter.stop_reason is not None:
            raise _stopped(meter)
        if not texts:
            return []
        await self._be_ready(meter)
        order = Order(texts, meter, asyncio.get_running_loop().create_future())
        self._room.enter(order)
        self._overdue |= is_urgent
        self._dispatch()
        self._watch()
        try:
            return await order.done
        finally:
            self._room.leave(order)

    async def close(self) -> None:
        """End what runs, tell everybody who waits, and give back what the provider holds."""
        self._room.fail(Stopped("the embedder is closed"))
        for timer in (self._linger, self._look):
            if timer is not None:
                timer.cancel()
        await asyncio.gather(*(end(worker) for worker in self._workers))
        if self._checking is not None:
            await end(self._checking)
        await self._provider.close()

    async def _check(self) -> int:
        if await self._patience.opens_in() is None and self._is_known_to_be_well():
            return self._settler.dimensions
        self._checked_at = -math.inf
        probe = await self._patience.check()
        dimensions = self.spec.dimensions or int(probe.vectors.shape[-1])
        if not sound(checked(probe, [""], dimensions).vectors).all():
            msg = f"the embedding provider {self.spec.provider} answers a health check with a vector that is none"
            raise ProviderUnavailable(msg)
        self._settler.dimensions, self._checked_at = dimensions, time.monotonic()
        return dimensions

    def _is_known_to_be_well(self) -> bool:
        if not self._settler.dimensions:
            return False
        heard_at = max(self._checked_at, self._settler.answered_at)
        return time.monotonic() - heard_at < HEALTH_LASTS or self._limits.delay(PROBE_TOKENS) > 0

    async def _be_ready(self, meter: Meter) -> None:
        """Return when the provider may be asked: its vectors' length is known, and it is not given up.

        Raises `Stopped` when the meter says so meanwhile.
        """
        opens_in = await self._patience.opens_in()
        if opens_in:
            msg = f"the embedding provider {self.spec.provider} was given up, and is asked again in {opens_in:.0f} s"
            raise ProviderUnavailable(msg)
        if self._settler.dimensions and opens_in is None:
            return
        checking = asyncio.ensure_future(self.check())
        while not checking.done():
            await asyncio.wait([checking], timeout=LOOK_EVERY)
            if meter.stop_reason is not None:
                checking.cancel()
                raise _stopped(meter)
        checking.result()

    def _dispatch(self) -> None:
        room = self._room
        while self._has_slot and room.has_queue and (self._overdue or room.is_full):
            self._overdue = False
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            self._calling.add(worker)
            worker.add_done_callback(self._ended)
        if not room.has_queue:
            self._overdue = False
        elif self._linger is None and not self._overdue:
            self._linger = asyncio.get_running_loop().call_later(self._config.linger, self._be_overdue)

    @property
    def _has_slot(self) -> bool:
        """Whether the provider may be asked once more; not while as many answers again wait to be counted."""
        return len(self._calling) < self._most_calls and len(self._workers) < 2 * self._most_calls

    def _be_overdue(self) -> None:
        self._linger = None
        self._overdue = True
        self._dispatch()

    async def _work(self) -> None:
        """Send one batch, cut when its turn has come, and settle each of its texts.

        The next batch leaves as soon as the provider has answered: it need not wait until this one is counted.
        """
        try:
            if await self._limits.acquire(self._room.next_tokens):
                batch = self._room.take()
                worker = asyncio.current_task()
                assert worker is not None  # noqa: S101 - `_dispatch` made it
                await self._settler.settle(batch, is_permitted=True, answered=lambda: self._answered(worker))
        except (ProviderError, DatabaseProblem) as error:
            self._give_up(error)
        except Exception as error:  # whatever it is, those who wait would wait for ever
            logger.exception("a batch could not be embedded")
            self._give_up(ProviderUnavailable(f"a batch could not be embedded: {type(error).__name__}"))

    def _answered(self, worker: asyncio.Task[None]) -> None:
        self._calling.discard(worker)
        self._dispatch()

    def _ended(self, worker: asyncio.Task[None]) -> None:
        # Not at the end of `_work`: one that is cancelled before its first step never gets there.
        self._workers.discard(worker)
        self._answered(worker)

    def _give_up(self, error: Exception) -> None:
        """Tell everybody who waits, and end what else is on its way: nobody waits for it any more.

        What was answered is counted to the end: it is paid for.
        """
        self._settler.forget()
        self._checked_at = -math.inf
        self._room.fail(error)
        current = asyncio.current_task()
        for worker in self._calling:
            if worker is not current:
                worker.cancel()

    def _watch(self) -> None:
        if self._look is None and self._room.orders:
            self._look = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look_around)

    def _look_around(self) -> None:
        """Let go of those who want nothing more; what is on its way for them has a moment to arrive."""
        self._look = None
        now = time.monotonic()
        for order in self._room.orders:
            if order.meter.stop_reason is None:
                continue
            order.stopped_at = order.stopped_at or now
            if not self._room.is_sent(order) or now - order.stopped_at >= GRACE:
                self._room.leave(order)
                order.fail(_stopped(order.meter))
        self._watch()


async def embedder_of(spec: ProviderSpec, config: EmbeddingConfig, budget: Budget | None = None) -> Embedder:
    """Make an embedder, which its maker closes. Raises `ProviderMisconfigured`."""
    return Embedder(spec, await asyncio.to_thread(create, spec, config), config, budget)


def _retrieve(task: asyncio.Task[int]) -> None:
    """Look at how a check ended, also when whoever asked for it is gone."""
    if not task.cancelled():
        task.exception()


def _stopped(meter: Meter) -> Stopped:
    return Stopped(f"the run is stopping ({meter.stop_reason})")
