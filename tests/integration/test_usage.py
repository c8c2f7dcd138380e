"""Tokens counted by day and model, and taken out of a day's limit that all processes share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import pytest

from db import models, queue, usage
from db.usage import Refused, Reservation, Spent
from lcl_spiders.ledger import SAVED_TOKENS
from pipelines.budget import Allowance, DailyBudget, Purse, TokenLimitReached, within
from pipelines.providers import ProviderRefused
from tests.support.index import DIMENSIONS
from tests.support.postgres import rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from db.connection import Connection, Pool
    from db.models import Model
    from db.sources import Source

R = TypeVar("R")
LIMIT = 500
KEY = ("local", "test", DIMENSIONS)


class Database:
    """Lends one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def use_connection(self, action: Callable[[Connection], Awaitable[R]]) -> R:
        return await action(self._connection)


async def ledger(connection: Connection) -> list[tuple[int, ...]]:
    """Return requests, texts, tokens and reserved of every day and model."""
    return await rows(connection, "SELECT requests, texts, tokens, reserved FROM embedding_usage ORDER BY model_id")


async def test_ten_workers_cannot_spend_the_days_limit_ten_times(pool: Pool, model: Model) -> None:
    async def reserve() -> Reservation | Refused:
        async with pool.connection() as connection:
            return await usage.reserve(connection, model.id, 100, LIMIT)

    answers = await asyncio.gather(*(reserve() for _ in range(30)))
    assert len([answer for answer in answers if isinstance(answer, Reservation)]) == 5
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert {(answer.spent, answer.reserved) for answer in refused} == {(0, LIMIT)}


async def test_a_reservation_is_settled_with_the_true_count(connection: Connection, model: Model) -> None:
    reservation = await usage.reserve(connection, model.id, 400, LIMIT)
    assert isinstance(reservation, Reservation)
    await usage.add(connection, model.id, Spent(requests=1, texts=9, tokens=150), reservation)
    assert await ledger(connection) == [(1, 9, 150, 0)]
    assert isinstance(await usage.reserve(connection, model.id, 350, LIMIT), Reservation)
    assert isinstance(await usage.reserve(connection, model.id, 1, LIMIT), Refused)


async def test_the_limit_is_one_over_all_models(connection: Connection, model: Model) -> None:
    await connection.execute(
        "INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state) "
        "VALUES ('local', 'other', 2, '1', 'building')"
    )
    other = await usage.model_id(connection, "local", "other", 2)
    assert other is not None
    await usage.add(connection, model.id, Spent(tokens=300))
    assert isinstance(await usage.reserve(connection, other, 201, LIMIT), Refused)
    assert isinstance(await usage.reserve(connection, other, 200, LIMIT), Reservation)


async def test_what_a_dead_process_reserved_is_a_burden_to_its_own_day_only(
    connection: Connection, model: Model
) -> None:
    await usage.reserve(connection, model.id, LIMIT, LIMIT)
    refused = await usage.reserve(connection, model.id, 1, LIMIT)
    assert isinstance(refused, Refused)
    ((is_next,),) = await rows(
        connection, "SELECT %s = date_trunc('day', now(), 'UTC') + interval '1 day'", refused.next_day
    )
    assert is_next
    await connection.execute("UPDATE embedding_usage SET day = day - 1")
    assert isinstance(await usage.reserve(connection, model.id, LIMIT, LIMIT), Reservation)


async def test_what_is_settled_after_midnight_counts_for_the_day_before(connection: Connection, model: Model) -> None:
    reservation = await usage.reserve(connection, model.id, 100, LIMIT)
    assert isinstance(reservation, Reservation)
    await connection.execute("UPDATE embedding_usage SET day = day - 1")
    yesterday = Reservation((await rows(connection, "SELECT day FROM embedding_usage"))[0][0], 100)
    await usage.add(connection, model.id, Spent(1, 1, 90), yesterday)
    assert await ledger(connection) == [(1, 1, 90, 0)]
    assert isinstance(await usage.reserve(connection, model.id, LIMIT, LIMIT), Reservation)


async def test_models_that_only_cut_differently_are_one_to_the_provider(connection: Connection, model: Model) -> None:
    await connection.execute(
        "INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state) "
        "VALUES ('local', 'test', %s, 'other', 'building')",
        (DIMENSIONS,),
    )
    assert await usage.model_id(connection, *KEY) == model.id


# The budget of a process.


async def test_a_request_is_counted_when_its_answer_has_come(connection: Connection, model: Model) -> None:
    async with DailyBudget(Database(connection), None).request(*KEY, 1000) as bill:
        bill.texts, bill.tokens = 3, 70
    assert await ledger(connection) == [(1, 3, 70, 0)]


async def test_a_request_over_the_limit_is_not_begun_and_says_when_it_may_be(
    connection: Connection, model: Model
) -> None:
    budget = DailyBudget(Database(connection), LIMIT)
    await usage.add(connection, model.id, Spent(tokens=450))
    with pytest.raises(TokenLimitReached, match=r"LCL_MAX_TOKENS_PER_DAY\): 450 are spent\. .* at \S+ 00:00 UTC"):
        async with budget.request(*KEY, 51):
            pytest.fail("it was begun")
    assert await ledger(connection) == [(0, 0, 450, 0)]


async def test_a_request_that_fails_gives_back_what_it_did_not_use(connection: Connection, model: Model) -> None:
    budget = DailyBudget(Database(connection), LIMIT)

    async def fail(texts: int, tokens: int) -> None:
        async with budget.request(*KEY, 300) as bill:
            bill.texts, bill.tokens = texts, tokens
            raise ProviderRefused

    with pytest.raises(ProviderRefused):
        await fail(0, 0)
    assert await ledger(connection) == [(0, 0, 0, 0)]
    with pytest.raises(ProviderRefused):
        await fail(2, 20)  # an answer came, and could not be used
    assert await ledger(connection) == [(1, 2, 20, 0)]


async def test_a_request_that_is_interrupted_stays_reserved(connection: Connection, model: Model) -> None:
    budget = DailyBudget(Database(connection), LIMIT)
    with pytest.raises(asyncio.CancelledError):
        async with budget.request(*KEY, 300):
            raise asyncio.CancelledError
    assert await ledger(connection) == [(0, 0, 0, 300)]


async def test_an_index_without_the_model_counts_nothing(connection: Connection) -> None:
    async with DailyBudget(Database(connection), 1).request(*KEY, 1000) as bill:
        bill.texts, bill.tokens = 1, 1
    assert await ledger(connection) == []


# The days.


async def test_days_tell_what_was_spent_and_what_runs_saved(
    connection: Connection, model: Model, source: Source
) -> None:
    await usage.add(connection, model.id, Spent(2, 30, 400))
    await connection.execute(
        "INSERT INTO scrape_jobs (source_id, trigger, status, started_at, completed_at, stats) VALUES "
        "(%s, 'manual', 'succeeded', now(), now(), '{\"saved/body/tokens\": 7, \"saved/reuse/tokens\": 5, \"n\": 1}'), "
        "(%s, 'manual', 'succeeded', now(), now() - interval '1 day', '{\"saved/body/tokens\": 4}')",
        (source.id, source.id),
    )
    today, yesterday = await usage.by_day(connection, SAVED_TOKENS)
    assert (today.requests, today.texts, today.tokens, today.saved) == (2, 30, 400, 12)
    assert (yesterday.requests, yesterday.tokens, yesterday.saved) == (0, 0, 4)


async def test_a_source_whose_run_met_a_limit_is_due_again_the_next_day(connection: Connection, source: Source) -> None:
    job = (
        "INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, started_at, completed_at) "
        "VALUES (%s, 'manual', 'failed', %s, now(), now())"
    )
    await connection.execute(job, (source.id, "provider_unavailable"))
    assert await queue.due(connection) == [source.id]
    await connection.execute(job, (source.id, "token_limit_reached"))
    assert await queue.due(connection) == []
    await connection.execute("UPDATE scrape_jobs SET completed_at = date_trunc('day', now(), 'UTC') - interval '1 s'")
    assert await queue.due(connection) == [source.id]


# The allowance of a run.


class Meter:
    stop_reason = None

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}

    def count(self, name: str, by: int = 1) -> None:
        self.counted[name] = self.counted.get(name, 0) + by


def test_an_allowance_is_used_up_by_what_is_spent_and_by_what_is_under_way() -> None:
    meter = Meter()
    allowance = Allowance(meter, Purse(100))
    with allowance.request(60):
        assert allowance.left == 40
    allowance.count("tokens/embedded", 30)
    allowance.count("chunks/embedded", 3)
    assert allowance.left == 70
    assert meter.counted == {"tokens/embedded": 30, "chunks/embedded": 3}
    error = allowance.refusal(71)
    assert error.left == 70
    assert "exceed the run's 100 (LCL_MAX_TOKENS_PER_RUN): 30 are spent" in str(error)
    assert Allowance(meter).left is None


def test_two_models_of_a_run_have_one_limit() -> None:
    purse = Purse(100)
    own, beside = Allowance(Meter(), purse), Allowance(Meter(), purse)
    own.count("tokens/embedded", 30)
    with beside.request(50):
        assert (own.left, beside.left) == (20, 20)
    beside.count("tokens/embedded", 60)
    assert (own.left, beside.left) == (10, 10)


@pytest.mark.parametrize(("most", "fitting"), [(None, 3), (0, 0), (1, 1), (2, 1), (3, 2), (9, 3)])
def test_as_many_texts_are_taken_as_a_limit_has_room_for(most: int | None, fitting: int) -> None:
    assert within([1, 2, 3], most) == fitting


async def test_the_model_of_a_dimension_that_the_index_does_not_have_is_none(
    connection: Connection, model: Model
) -> None:
    assert await models.active(connection) == model
    assert await usage.model_id(connection, "local", "test", DIMENSIONS + 1) is None
