"""How fast a provider may be asked: requests and tokens a minute, configured or learned from its answers.

The library `aiolimiter` was looked at: its rate cannot change, an amount above a minute's worth is an error, and it
knows neither what a server says is left nor a pause. What is here is a token bucket that may go into debt, so that a
request of any size passes and the long-run rate is exact.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.providers.base import Quota, RateLimits

MINUTE = 60.0
BURST = 1.0  # seconds of a configured rate that may go at once: several processes may share a provider's limit
Clock = Callable[[], float]


class Bucket:
    """One limit. Without a rate everything passes.

    A configured rate is a ceiling. One that is learned is the greater of `limit` a minute, which is what providers
    document, and of what the bucket was seen to fill by, `(limit - remaining) / reset` a second: so limits over
    other times are used whole, too. What a server says is left bounds what goes at once. `limit` is the smaller of the
    configured and the learned, None for none.
    """

    def __init__(self, per_minute: int | None, clock: Clock = time.monotonic) -> None:
        self.limit = per_minute
        self._clock = clock
        self._configured = per_minute
        self._rate: float | None = per_minute / MINUTE if per_minute is not None else None
        self._most = max(1.0, (self._rate or 0.0) * BURST)
        self._level = self._most
        self._at = clock()
        self._away = 0

    def delay(self, amount: int) -> float:
        """Return the seconds until `amount` may go; more than the bucket holds goes when it is full."""
        if self._rate is None:
            return 0.0
        self._fill()
        return max(0.0, min(amount, self._most) - self._level) / self._rate

    def take(self, amount: int) -> None:
        """Note that `amount` goes out."""
        self._fill()
        self._level -= amount
        self._away += amount

    def answered(self, amount: int, spent: int, quota: Quota) -> None:
        """Note the answer to a request of `amount` that took `spent` in truth, and what it says of the limit."""
        self._fill()
        self._away -= amount
        if self._rate is not None:
            self._level += amount - spent
        if quota.limit is None:
            return
        self.limit = quota.limit if self._configured is None else min(self._configured, quota.limit)
        learned = quota.limit / MINUTE
        if quota.remaining is not None and quota.reset:
            learned = max(learned, min(quota.limit, (quota.limit - quota.remaining) / quota.reset))
        if self._configured is None:
            is_first = self._rate is None
            self._rate, self._most = learned, float(quota.limit)
            self._level = self._most if is_first else min(self._level, self._most)
        if quota.remaining is not None:
            # What is on its way may or may not be counted in what the server says is left, which is rounded down.
            self._level = min(self._level, quota.remaining + 0.999)
            if self._configured is None:
                self._level = max(self._level, quota.remaining - self._away)

    def _fill(self) -> None:
        now = self._clock()
        if self._rate is not None:
            self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now


class Limits:
    """The limits of one model's requests and tokens, and the pauses that the provider asks for.

    Requests pass in the order in which they come.
    """

    def __init__(
        self, requests_per_minute: int | None, tokens_per_minute: int | None, clock: Clock = time.monotonic
    ) -> None:
        self._requests = Bucket(requests_per_minute, clock)
        self._tokens = Bucket(tokens_per_minute, clock)
        self._clock = clock
        self._paused_until = -MINUTE
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def most_tokens(self) -> int | None:
        """The most tokens that one request may have, None for any number: providers refuse what exceeds their limit."""
        return self._tokens.limit

    def delay(self, tokens: int) -> float:
        """Return the seconds until a request of this many tokens may be sent."""
        pause = self._paused_until - self._clock()
        return max(0.0, pause, self._requests.delay(1), self._tokens.delay(tokens))

    async def acquire(self, tokens: Callable[[], int]) -> bool:
        """Return when a request may be sent, which is then taken to be on its way until `answered`.

        `tokens` is asked when its turn comes: what will be sent may still grow while it waits. When that is 0 there is
        nothing to send any more: returns False, and takes nothing.
        """
        async with self._turn:
            while (wanted := tokens()) and (delay := self.delay(wanted)) > 0:
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
            if wanted:
                self._requests.take(1)
                self._tokens.take(wanted)
            return wanted > 0

    def answered(self, tokens: int, spent: int, told: RateLimits) -> None:
        """Note what came of a request: the tokens it was taken for, those it took, and what the answer tells."""
        self._requests.answered(1, 1, told.requests)
        self._tokens.answered(tokens, spent, told.tokens)
        self._changed.set()

    def pause(self, seconds: float) -> None:
        """Let nothing be sent for this long."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)
