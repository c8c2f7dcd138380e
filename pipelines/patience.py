"""Requests to one provider: at its pace, again after what may pass, and not at all while it is ill (A10)."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OPENED, OpenedState
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

ATTEMPTS = 6
PROBES = 3
GIVE_UP_AFTER = 120.0  # seconds of faults, or of limits while nobody else gets through
PROBE_TOKENS = 10
MARGIN = 0.05  # seconds
OPEN_FOR = 15  # seconds before a provider that was given up is asked again

_backoff = wait_random_exponential(multiplier=0.5, max=20)


class Patience:
    """Asks a provider. What it raises is final.

    The circuit breaker (purgatory's) opens when a request was given up and a probe fails, too. Then everybody is told
    at once, until after `OPEN_FOR` seconds a `check` has succeeded (half-open). `name` is for messages.
    """

    def __init__(self, provider: EmbeddingProvider, limits: Limits, timeout: float, open_for: int = OPEN_FOR) -> None:
        self._provider = provider
        self._limits = limits
        self._timeout = timeout
        self._open_for = open_for
        self._succeeded_at = -GIVE_UP_AFTER
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=1,
            default_ttl=open_for,
            exclude=[ProviderRefused, ProviderMisconfigured, asyncio.CancelledError],
        )

    async def opens_in(self) -> float | None:
        """Return the seconds until a provider that was given up may be asked again; None when it was not."""
        context = (await self._breaker()).context
        if context.state != OPENED or context.opened_at is None:
            return None
        return max(0.0, context.opened_at + context.ttl - time.time())

    async def check(self) -> Embedded:
        """Embed the probe, in bounded time and after the breaker's time where it is open.

        Raises `ProviderMisconfigured` or `ProviderUnavailable`.
        """
        if seconds := await self.opens_in():
            # Whoever begins can wait; asked before its time, the breaker would only say no. Its clock is another one.
            await asyncio.sleep(seconds + MARGIN)
        try:
            async with await self._breaker(), asyncio.timeout(self._timeout):
                try:
                    return await self._tried(self._provider.probe, PROBE_TOKENS, attempts=PROBES)
                except ProviderBusy as error:
                    raise ProviderUnavailable(str(error)) from error
        except TimeoutError as error:
            msg = (
                f"the embedding provider {self._provider.name} did not answer a health check in {self._timeout:.0f} s. "
                "Check OPENAI_BASE_URL, or raise LCL_EMBEDDING_TIMEOUT"
            )
            raise ProviderUnavailable(msg) from error
        except OpenedState as error:
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
                    return await self._tried(call, tokens, is_permitted=is_permitted, attempts=attempts)
                except ProviderBusy as error:
                    await self._diagnose(error)
                    msg = f"the embedding provider is well, but keeps failing at a text: {error}"
                    raise KeepsFailing(msg) from error
        except OpenedState as error:
            if is_permitted:
                self._limits.answered(tokens, 0, RateLimits())
            raise self._is_open() from error

    async def _breaker(self) -> AsyncCircuitBreaker:
        return await self._breakers.get_breaker(self._provider.name)

    def _is_open(self) -> ProviderUnavailable:
        msg = f"the embedding provider {self._provider.name} was given up, and is asked again {self._open_for} s later"
        return ProviderUnavailable(msg)

    async def _diagnose(self, error: ProviderBusy) -> None:
        """Return when the provider is well in spite of an error that lasts. Raises `ProviderUnavailable`."""
        if not error.is_limit:
            try:
                await self._tried(partial(self._provider.embed, [PROBE]), PROBE_TOKENS, attempts=1)
            except ProviderBusy:
                pass
            else:
                return
        msg = f"{error}. It was given up after all retries"
        raise ProviderUnavailable(msg) from error

    async def _tried(
        self,
        call: Callable[[], Awaitable[Embedded]],
        tokens: int,
        *,
        attempts: int,
        is_permitted: bool = False,
    ) -> Embedded:
        """Call until it succeeds, as often and as long as makes sense. Raises the last `ProviderBusy`."""
        began = time.monotonic()
        faults = 0

        def is_enough(state: RetryCallState) -> bool:
            nonlocal faults
            error = _busy(state)
            faults += not error.is_limit
            # That others get through shows that a limit is no fault: then it is only a matter of our turn.
            since = max(began, self._succeeded_at) if error.is_limit else began
            return faults >= attempts or time.monotonic() - since + (error.retry_after or 0) > GIVE_UP_AFTER

        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ProviderBusy), stop=is_enough, wait=self._wait, reraise=True
        ):
            with attempt:
                if not is_permitted:
                    await self._limits.acquire(lambda: tokens)
                is_permitted = False
                return await self._once(call, tokens)
        raise AssertionError  # the loop returns or raises

    def _wait(self, state: RetryCallState) -> float:
        """Return how long this request waits by itself. What the provider asks for holds for all requests."""
        error = _busy(state)
        if error.retry_after is not None:
            self._limits.pause(error.retry_after)
            return 0.0
        seconds = _backoff(state)
        if error.is_limit:
            self._limits.pause(seconds)
            return 0.0
        return seconds

    async def _once(self, call: Callable[[], Awaitable[Embedded]], tokens: int) -> Embedded:
        spent, told = tokens, RateLimits()
        try:
            async with asyncio.timeout(self._timeout):
                answer = await call()
            spent, told = answer.total_tokens or tokens, answer.limits
        except TimeoutError as error:
            msg = f"the embedding provider {self._provider.name} did not answer in {self._timeout:.0f} s"
            raise ProviderBusy(msg) from error
        except ProviderBusy as error:
            told = error.limits or told
            raise
        finally:
            self._limits.answered(tokens, spent, told)
        self._succeeded_at = time.monotonic()
        return answer


def _busy(state: RetryCallState) -> ProviderBusy:
    assert state.outcome is not None  # noqa: S101 - asked only about an attempt that failed
    error = state.outcome.exception()
    assert isinstance(error, ProviderBusy)  # noqa: S101 - nothing else is tried again
    return error
