"""What may be spent on embedding: limits on tokens for each run and for each day, asked before a request is made.

A request's tokens are known only from its answer, so an estimate is set aside first and corrected afterwards.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from db import usage
from pipelines.numbers import optional_number
from pipelines.providers.base import ProviderError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from scrapy.settings import BaseSettings

    from db.connection import Connection
    from pipelines.embedder import Meter

R = TypeVar("R")

PER_RUN = "LCL_MAX_TOKENS_PER_RUN"
PER_DAY = "LCL_MAX_TOKENS_PER_DAY"
MOST = 10**15


class TokenLimitReached(ProviderError):
    """What is still to be embedded would exceed a limit: it was not sent, and the run stops cleanly.

    `left` are the tokens that there is still room for.
    """

    reason = "token_limit_reached"

    def __init__(self, message: str, left: int = 0) -> None:
        super().__init__(message)
        self.left = left


@dataclass(frozen=True)
class TokenLimits:
    """The most tokens that one run, and that all runs of one day, may have embedded; None for no limit."""

    per_run: int | None = None
    per_day: int | None = None

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> TokenLimits:
        """Read the settings. Raises `ValueError` naming the one that is wrong and what it may be."""
        return cls(optional_number(settings, PER_RUN, 1, MOST), optional_number(settings, PER_DAY, 1, MOST))


@dataclass
class Bill:
    """What a request turns out to have cost, filled in from its answer."""

    texts: int = 0
    tokens: int = 0


class Database(Protocol):
    """What lends a connection. A `Runtime` is one."""

    async def use_connection(self, action: Callable[[Connection], Awaitable[R]]) -> R:
        """Run an action over a connection, again after a transient fault. Raises `DatabaseProblem`."""


class Budget(Protocol):
    """What an embedder asks before each request."""

    def request(self, provider: str, model: str, dimensions: int, tokens: int) -> AbstractAsyncContextManager[Bill]:
        """Set an estimate of a request's tokens aside, and count what the bill says at its end.

        Raises `TokenLimitReached` instead of beginning, or `DatabaseProblem`.
        """


def within(sizes: Iterable[int], most: int | None) -> int:
    """Return how many of some sizes, from the first on, add up to no more than `most`; all of them when it is None."""
    fitting = total = 0
    for size in sizes:
        total += size
        if most is not None and total > most:
            break
        fitting += 1
    return fitting


class DailyBudget:
    """Counts what is spent by day and model, within a limit that all processes share; `limit` None only counts."""

    def __init__(self, database: Database, limit: int | None) -> None:
        self._database = database
        self._limit = limit
        self._models: dict[tuple[str, str, int], int] = {}

    @asynccontextmanager
    async def request(self, provider: str, model: str, dimensions: int, tokens: int) -> AsyncIterator[Bill]:
        """Set tokens aside and count those of the bill, see `Budget`.

        A failed request gives back what its bill does not name. One that is interrupted gives nothing back: the
        provider may have answered it.
        """
        bill = Bill()
        row = await self._model(provider, model, dimensions)
        if row is None:  # an index without this model: nothing that is embedded can be stored
            yield bill
            return
        reservation = await self._reserve(row, tokens)
        try:
            yield bill
        except Exception:  # whatever failed: what was set aside is given back
            await self._settle(row, bill, reservation)
            raise
        await self._settle(row, bill, reservation)

    async def _model(self, provider: str, model: str, dimensions: int) -> int | None:
        key = provider, model, dimensions
        if key not in self._models:
            found = await self._database.use_connection(lambda connection: usage.model_id(connection, *key))
            if found is None:
                return None
            self._models[key] = found
        return self._models[key]

    async def _reserve(self, row: int, tokens: int) -> usage.Reservation | None:
        limit = self._limit
        if limit is None:
            return None
        answer = await self._database.use_connection(lambda connection: usage.reserve(connection, row, tokens, limit))
        if isinstance(answer, usage.Refused):
            left = limit - answer.spent - answer.reserved
            raise TokenLimitReached(refusal(answer, tokens, limit), max(0, left))
        return answer

    async def _settle(self, row: int, bill: Bill, reservation: usage.Reservation | None) -> None:
        if not bill.texts and reservation is None:
            return
        spent = usage.Spent(requests=int(bill.texts > 0), texts=bill.texts, tokens=bill.tokens)
        await self._database.use_connection(lambda connection: usage.add(connection, row, spent, reservation))


def refusal(answer: usage.Refused, tokens: int, limit: int) -> str:
    """Return for a person why tokens of a day were refused, and when there are some again."""
    under_way = f", {answer.reserved:,} set aside for requests under way" if answer.reserved else ""
    return (
        f"about {tokens:,} tokens more would exceed the day's {limit:,} ({PER_DAY}): {answer.spent:,} are spent"
        f"{under_way}. It may go on at {answer.next_day:%Y-%m-%d %H:%M} UTC, or at once with a higher limit"
    )


@dataclass
class Purse:
    """What one run may spend, over all its models: a limit, None for none, and what is spent and under way."""

    limit: int | None = None
    spent: int = 0
    under_way: int = 0


class Allowance:
    """The meter of one run with a limit on its tokens: passes on what is counted, and says how much is left.

    Those that have one purse have one limit.
    """

    def __init__(self, meter: Meter, purse: Purse | None = None) -> None:
        self._meter = meter
        self._purse = purse or Purse()

    @property
    def stop_reason(self) -> str | None:
        """Why the run makes no more requests, None as long as it does."""
        return self._meter.stop_reason

    @property
    def left(self) -> int | None:
        """How many tokens may still be asked for, None for any number."""
        purse = self._purse
        return None if purse.limit is None else max(0, purse.limit - purse.spent - purse.under_way)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of the run."""
        if name == "tokens/embedded":
            self._purse.spent += by
        self._meter.count(name, by)

    @contextmanager
    def request(self, tokens: int) -> Iterator[None]:
        """Set an estimate of tokens aside while they are embedded."""
        self._purse.under_way += tokens
        try:
            yield
        finally:
            self._purse.under_way -= tokens

    def refusal(self, tokens: int) -> TokenLimitReached:
        """Return the error for tokens that there is no room for."""
        msg = (
            f"about {tokens:,} tokens more would exceed the run's {self._purse.limit or 0:,} ({PER_RUN}): "
            f"{self._purse.spent:,} are spent. The next run goes on where this one stopped"
        )
        return TokenLimitReached(msg, self.left or 0)
