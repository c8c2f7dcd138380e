"""Requests to one provider: at its pace, again after what may pass, and not at all while it is ill (A10)."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import HALF_OPENED, OPENED, HalfOpenedState, OpenedState
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from pipelines.providers import (
    KeepsFailing,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
)
from pipelines.providers.base import PROBE, RateLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

    from pipelines.limits import Limits
    from pipelines.providers import Embedded, EmbeddingProvider

logger = logging.getLogger(__name__)

ATTEMPTS = 8  # about 25 seconds of an outage
PROBES = 3
GIVE_UP_AFTER = 120.0  # seconds in which nothing that was asked for has succeeded
FIRST_TOKENS = 2_000  # of a request, before it is known how fast the provider is
SHARE_OF_TIMEOUT = 1 / 3  # that a request may take before the next ones are made smaller
PROBE_TOKENS = 10
TOLD_FROM = 5.0  # seconds of waiting that an operator should hear of
MARGIN = 0.05  # seconds
PAUSE_OF_OTHERS = 5.0  # seconds in which nobody asked for anything, so that what failed before is another's trouble
OPEN_FOR = 15  # seconds before a provider that was given up is asked again
LONGEST_WAIT = 30.0  # seconds that whoever begins waits for such a provider's time to come
LONGEST_PAUSE = 3600.0  # seconds that a provider is left alone because it asks for that

_backoff = wait_random_exponential(multiplier=0.5, max=20)


class Patience:
    """Asks a provider. What it raises is final.

    The circuit breaker (purgatory's) opens when a request was given up and a probe fails, too. Then everybody is told
    at once, until after `OPEN_FOR` seconds, or the longer time that the provider asked for, a `check` has succeeded
    (half-open).
    """

    def __init__(
        self,
        provider: EmbeddingProvider,
        limits: Limits,
        timeout: float,
        most_tokens: int,
        open_for: int = OPEN_FOR,
    ) -> None:
        self._batch_tokens = min(FIRST_TOKENS, most_tokens)
        self._most_tokens = most_tokens
        self._provider = provider
        self._limits = limits
        self._timeout = timeout
        self._open_for = open_for
        self._asking = 0
        self._asked_at = -PAUSE_OF_OTHERS
        self._closed_until = -LONGEST_PAUSE
        self._trouble: ProviderBusy | None = None
        self._trouble_since = 0.0
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=1,
            default_ttl=open_for,
            exclude=[ProviderRefused, ProviderMisconfigured, asyncio.CancelledError],
        )

    @property
    def batch_tokens(self) -> int:
        """The most tokens that the next request should have.

        It begins small and follows the provider's speed, up to what is configured and to the provider's own limit: a
        server that embeds two texts a second never gets a batch that it cannot answer in time, and goes on computing
        what was given up.
        """
        return min(self._batch_tokens, self._limits.most_tokens or self._batch_tokens)

    async def opens_in(self) -> float | None:
        """Return the seconds until a provider that was given up may be asked again, by a check; None when it was not.

        That is 0 also while such a check is on its way.
        """
        context = (await self._breaker()).context
        if context.state == HALF_OPENED:
            return 0.0
        if context.state != OPENED or context.opened_at is None:
            return None
        left = context.opened_at + context.ttl - time.time()
        if left > context.ttl:  # the machine's clock was set back, and the library's breaker goes by it
            context.set_state(HalfOpenedState())
            left = 0.0
        return max(0.0, left, self._closed_until - time.monotonic())

    async def check(self) -> Embedded:
        """Embed the probe, after the breaker's time where it is open; the provider has its time-out to answer.

        Raises `ProviderMisconfigured` or `ProviderUnavailable`.
        """
        if seconds := await self.opens_in():
            if seconds > LONGEST_WAIT:
                raise self._is_open(seconds)
            # Whoever begins can wait; asked before its time, the breaker would only say no. Its clock is another one.
            await asyncio.sleep(seconds + MARGIN)
        # Outside of the time-out: that others are before it says nothing against the provider.
        await self._limits.acquire(lambda: PROBE_TOKENS)
        try:
            async with await self._breaker(), asyncio.timeout(self._timeout):
                try:
                    return await self._tried(self._provider.probe, PROBE_TOKENS, attempts=PROBES, is_permitted=True)
                except ProviderBusy as error:
                    raise self._given_up(error) from error
        except TimeoutError as error:
            raise self._late() from error
        except OpenedState as error:
            self.give_back(PROBE_TOKENS)
            raise self._is_open() from error

    async def embed(
        self, texts: Sequence[str], tokens: int, *, is_permitted: bool = False, attempts: int = ATTEMPTS
    ) -> Embedded:
        """Embed a batch of about so many tokens; `is_permitted` when the limits were asked for its first request.

        Raises `ProviderMisconfigured`, `ProviderRefused` (`KeepsFailing` for a batch that is not answered while the
        provider is well), or `ProviderUnavailable`.
        """
        call = partial(self._provider.embed, texts)
        try:
            async with await self._breaker():
                try:
                    return await self._tried(
                        call, tokens, is_permitted=is_permitted, attempts=attempts, is_divisible=len(texts) > 1
                    )
                except ProviderBusy as error:
                    if len(texts) == 1 or not self._is_too_much(error, tokens) or self._is_hopeless(error):
                        await self._diagnose(error)
                    msg = f"the embedding provider is well, but keeps failing at a text: {error}"
                    raise KeepsFailing(msg) from error
        except OpenedState as error:
            if is_permitted:
                self.give_back(tokens)
            raise self._is_open() from error

    def give_back(self, tokens: int) -> None:
        """Return to the limits what was permitted for a request that is not made after all."""
        self._limits.answered(tokens, 0, RateLimits())

    async def _breaker(self) -> AsyncCircuitBreaker:
        return await self._breakers.get_breaker(self._provider.name)

    def _is_open(self, seconds: float | None = None) -> ProviderUnavailable:
        when = f"{self._open_for} s later" if seconds is None else f"in {seconds:.0f} s"
        return ProviderUnavailable(
            f"the embedding provider {self._provider.name} was given up, and is asked again {when}"
        )

    def _given_up(self, error: ProviderBusy) -> ProviderUnavailable:
        """Return the last word about a provider, and leave it alone for as long as it asks for."""
        if error.retry_after is None or error.retry_after <= GIVE_UP_AFTER:
            return ProviderUnavailable(f"{error}. It was given up after all retries")
        pause = min(error.retry_after, LONGEST_PAUSE)
        self._closed_until = time.monotonic() + pause
        asked = f"It asks to be left alone for {error.retry_after:.0f} s"
        return ProviderUnavailable(f"{error}. {asked}, and is for {pause:.0f} s")

    def _late(self) -> ProviderUnavailable:
        """Return the last word about a provider that did not answer a health check in its time."""
        told = f"the embedding provider {self._provider.name} did not answer a health check in {self._timeout:.0f} s"
        if self._trouble is not None and self._trouble.is_limit:
            return ProviderUnavailable(f"{told}: {self._trouble}. Wait, or let fewer processes share its limits")
        why = f" ({self._trouble})" if self._trouble is not None else ""
        return ProviderUnavailable(f"{told}{why}. Check OPENAI_BASE_URL, or raise LCL_EMBEDDING_TIMEOUT")

    async def _diagnose(self, error: ProviderBusy) -> None:
        """Return when the provider is well in spite of an error that lasts. Raises `ProviderUnavailable`."""
        if not error.is_limit and not self._is_hopeless(error):
            try:
                await self._tried(partial(self._provider.embed, [PROBE]), PROBE_TOKENS, attempts=1)
            except ProviderBusy:
                pass
            else:
                return
        raise self._given_up(error) from error

    async def _tried(
        self,
        call: Callable[[], Awaitable[Embedded]],
        tokens: int,
        *,
        attempts: int,
        is_permitted: bool = False,
        is_divisible: bool = False,
    ) -> Embedded:
        """Call until it succeeds, as often and as long as makes sense. Raises the last `ProviderBusy`.

        What is too much, and can be divided, is not asked for again as it is.
        """
        faults = 0
        if not self._asking and time.monotonic() - self._asked_at > PAUSE_OF_OTHERS:
            self._trouble = None

        def is_enough(state: RetryCallState) -> bool:
            nonlocal faults
            error = _busy(state)
            faults += not error.is_limit
            is_too_much = is_divisible and self._is_too_much(error, tokens)
            return faults >= attempts or is_too_much or self._is_hopeless(error)

        self._asking += 1
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(ProviderBusy), stop=is_enough, wait=self._wait, reraise=True
            ):
                with attempt:
                    if not is_permitted:
                        await self._limits.acquire(lambda: tokens)
                    is_permitted = False
                    return await self._once(call, tokens)
        finally:
            self._asking -= 1
            self._asked_at = time.monotonic()
        raise AssertionError  # the loop returns or raises

    def _is_too_much(self, error: ProviderBusy, tokens: int) -> bool:
        """Whether a request may succeed in parts: it was late, or is beyond what the provider takes in a minute."""
        most = self._limits.most_tokens
        return error.is_late or (error.is_limit and most is not None and tokens > most)

    def _is_hopeless(self, error: ProviderBusy) -> bool:
        """Whether nothing has succeeded for so long, or will for so long. That others get through is a sign of life."""
        trouble = 0.0 if self._trouble is None else time.monotonic() - self._trouble_since
        return trouble + (error.retry_after or 0.0) > GIVE_UP_AFTER

    def _wait(self, state: RetryCallState) -> float:
        """Return how long this request waits by itself. What the provider asks for holds for all requests."""
        error = _busy(state)
        seconds = _backoff(state) if error.retry_after is None else error.retry_after
        log = logger.warning if seconds >= TOLD_FROM else logger.info
        log("%s; asked again in %.1f s", error, seconds)
        if error.retry_after is None and not error.is_limit:
            return seconds
        self._limits.pause(seconds)
        return 0.0

    async def _once(self, call: Callable[[], Awaitable[Embedded]], tokens: int) -> Embedded:
        spent, told = tokens, RateLimits()
        began = time.monotonic()
        try:
            answer = await self._in_time(call)
            spent, told = answer.total_tokens or tokens, answer.limits
        except ProviderBusy as error:
            told = error.limits or told
            if self._trouble is None:
                self._trouble_since = time.monotonic()
            self._trouble = error
            if error.is_late:
                self._note_speed(tokens, 2 * self._timeout)  # how long it would have taken is not known
            raise
        finally:
            self._limits.answered(tokens, spent, told)
        self._trouble = None
        self._note_speed(tokens, time.monotonic() - began)
        return answer

    async def _in_time(self, call: Callable[[], Awaitable[Embedded]]) -> Embedded:
        try:
            async with asyncio.timeout(self._timeout):
                return await call()
        except TimeoutError as error:
            msg = f"the embedding provider {self._provider.name} did not answer in {self._timeout:.0f} s"
            raise ProviderBusy(msg, is_late=True) from error

    def _note_speed(self, tokens: int, seconds: float) -> None:
        """Bound the next requests by what could have been answered in time; a small one is no reason to shrink."""
        wanted = self._timeout * SHARE_OF_TIMEOUT
        bound = int(tokens * wanted / max(seconds, 0.001))
        self._batch_tokens = max(bound, self._batch_tokens) if seconds <= wanted else min(bound, self._batch_tokens)
        self._batch_tokens = min(max(self._batch_tokens, 1), self._most_tokens)


def _busy(state: RetryCallState) -> ProviderBusy:
    assert state.outcome is not None  # noqa: S101 - asked only about an attempt that failed
    error = state.outcome.exception()
    assert isinstance(error, ProviderBusy)  # noqa: S101 - nothing else is tried again
    return error
