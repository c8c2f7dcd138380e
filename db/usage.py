"""What embedding costs: tokens counted by day and model as they are spent, and taken out of a limit before.

A day is one of UTC by the database's clock, so that all machines mean the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from db import overview
from db.sql import load

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection

    from db.connection import Connection

_SQL = load("usage")


@dataclass(frozen=True)
class Reservation:
    """Tokens that were taken out of a day's limit, to be settled with `add`."""

    day: dt.date
    tokens: int


@dataclass(frozen=True)
class Refused:
    """Why tokens could not be reserved: those of the day that are spent and reserved, and when the next day begins."""

    spent: int
    reserved: int
    next_day: dt.datetime


@dataclass(frozen=True)
class Spent:
    """What came of requests. `batched` are those of the tokens that came by a batch."""

    requests: int = 0
    texts: int = 0
    tokens: int = 0
    batched: int = 0


@dataclass(frozen=True)
class Day:
    """One day of the ledger, over all models and sources.

    `saved` are tokens spared by those of the newest runs (`overview.LEDGER_RUNS`) that ended then.
    """

    day: dt.date
    requests: int
    texts: int
    tokens: int
    batched: int
    reserved: int
    saved: int


async def model_id(connection: Connection, provider: str, name: str, dimensions: int) -> int | None:
    """Return the model under which a provider's tokens are counted, None while the index has none of this kind.

    Models that differ in how texts are cut are one to the provider; the active one stands for them.
    """
    values = {"provider": provider, "name": name, "dimensions": dimensions}
    row = await (await connection.execute(_SQL["model_id"], values)).fetchone()
    return row[0] if row else None


async def reserve(connection: Connection, model: int, tokens: int, limit: int) -> Reservation | Refused:
    """Take tokens out of today's limit, which is one over all models and processes; all of them or none.

    A process that dies leaves its reservation: what it had sent may have been counted by the provider.
    """
    values = {"model_id": model, "tokens": tokens, "limit": limit}
    row = await (await connection.execute(_SQL["reserve"], values)).fetchone()
    assert row is not None  # noqa: S101 - the function always answers
    granted, day, spent, reserved, next_day = row
    return Reservation(day, tokens) if granted else Refused(spent, reserved, next_day)


async def add(connection: Connection, model: int, spent: Spent, reservation: Reservation | None = None) -> None:
    """Count what was spent: on the day of its reservation, which is given back, or else today."""
    await connection.execute(
        _SQL["add"],
        {
            "model_id": model,
            "day": reservation and reservation.day,
            "reserved": reservation.tokens if reservation else 0,
            **vars(spent),
        },
    )


async def by_day(connection: Connection, saved: Collection[str]) -> list[Day]:
    """Return every day with something spent or saved, newest first; `saved` are the counters of tokens spared."""
    async with connection.cursor(row_factory=class_row(Day)) as cursor:
        await cursor.execute(_SQL["by_day"], {"saved": list(saved), "runs": overview.LEDGER_RUNS})
        return await cursor.fetchall()
