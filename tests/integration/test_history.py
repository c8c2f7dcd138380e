"""Records of runs that have ended: what is told from them, and which of them are kept."""

import datetime as dt
import random
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from db import history, overview
from db.connection import Connection, connect
from db.jobs import EMPTY_RUNS, REASONS_OF_SITES
from tests.support.postgres import rows, value
from tests.support.queue import add
from tests.support.scrapy import run_scrapy

KEEP = dt.timedelta(days=90)
OLD = 400  # days
FULL = {"pages/new": 10}


async def ran(
    connection: Connection,
    source_id: UUID,
    days_ago: float,
    status: str = "succeeded",
    reason: str | None = "finished",
    stats: dict[str, Any] | None = None,
    **args: Any,
) -> UUID:
    """Record a run, and return its id."""
    return await value(
        connection,
        """
        INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, stats, args, queued_at, completed_at)
        SELECT %s, 'schedule', %s, %s, %s, %s, now() - d, now() - d FROM (SELECT %s * interval '1 day') AS t (d)
        RETURNING id
        """,
        source_id, status, reason, Jsonb(FULL if stats is None else stats), Jsonb(args), days_ago,
    )  # fmt: skip


async def thin(connection: Connection) -> int:
    """Thin all records and return how many were deleted."""
    deleted, place = await history.thin(connection, KEEP)
    while place is not None:
        gone, place = await history.thin(connection, KEEP, place)
        deleted += gone
    return deleted


async def left(connection: Connection) -> set[UUID]:
    return {row[0] for row in await rows(connection, "SELECT id FROM scrape_jobs")}


@pytest.fixture
async def source_id(connection: Connection) -> UUID:
    """A source whose newest records are young, enough of each kind."""
    made = await add(connection, "a")
    for day in range(1, 1 + max(history.YIELD_RUNS, history.NEWEST, EMPTY_RUNS)):
        await ran(connection, made, day)
    return made


async def test_old_records_go_and_young_ones_stay(connection: Connection, source_id: UUID) -> None:
    young = await left(connection) | {await ran(connection, source_id, 89)}
    for status, reason in (("succeeded", "finished"), ("failed", "lost"), ("skipped", "domain_locked")):
        await ran(connection, source_id, 91, status, reason)

    assert await thin(connection) == 3
    assert await left(connection) == young


async def test_a_run_that_has_not_ended_stays_however_old_it_is(connection: Connection, source_id: UUID) -> None:
    for status in ("queued", "running"):
        await ran(connection, source_id, OLD, status, None)

    assert await thin(connection) == 0


async def test_the_newest_records_of_a_source_stay_however_old_they_are(connection: Connection) -> None:
    source_id = await add(connection, "a")
    made = [await ran(connection, source_id, OLD + n, "failed", "provider_unavailable") for n in range(20)]

    await thin(connection)

    assert await left(connection) == set(made[: history.NEWEST])


async def test_what_the_usual_yield_is_told_from_stays_however_many_runs_say_nothing_of_it(
    connection: Connection,
) -> None:
    source_id = await add(connection, "a")
    whole = [await ran(connection, source_id, OLD + n, stats={"pages/new": n}) for n in range(20)]
    for day in range(OLD):
        await ran(connection, source_id, day, reason="max_pages")
    before = await history.usual_yield(connection, source_id)

    await thin(connection)

    assert before == await history.usual_yield(connection, source_id) == 2
    assert await left(connection) & set(whole) == set(whole[: history.YIELD_RUNS])


async def test_an_accepted_loss_stays_a_new_beginning(connection: Connection) -> None:
    source_id = await add(connection, "a")
    await ran(connection, source_id, OLD + 2, stats={"pages/new": 100})
    await ran(connection, source_id, OLD + 1, allow_mass_delete=True, max_pages=5)
    for day in range(10):
        await ran(connection, source_id, day, "failed", "site_unreachable")

    await thin(connection)

    assert await history.usual_yield(connection, source_id) is None


@pytest.mark.parametrize("seed", range(8))
async def test_thinning_changes_nothing_that_is_told_of_a_source(connection: Connection, seed: int) -> None:
    chance = random.Random(seed)
    source_ids = [await add(connection, f"s{number}") for number in range(6)]
    for source_id in source_ids:
        for _ in range(chance.choice((0, 3, 30, 60))):
            status, reason = chance.choice(
                [
                    ("succeeded", "finished"),
                    ("succeeded", "max_pages"),
                    ("skipped", "domain_locked"),
                    ("failed", "lost"),
                    *(("failed", reason) for reason in REASONS_OF_SITES),
                ]
            )
            args = chance.choice([{}, {}, {"max_pages": 3}, {"reembed": True}, {"allow_mass_delete": True}])
            stats = chance.choice([{}, FULL, {"pages/unchanged": 3}, {"pages/gone": 4}])
            await ran(connection, source_id, chance.uniform(0, OLD), status, reason, stats, **args)

    async def told() -> tuple[Any, ...]:
        yields = [await history.usual_yield(connection, source_id) for source_id in source_ids]
        return yields, await overview.empty(connection), await overview.sources(connection)

    before = await told()

    await thin(connection)

    assert await told() == before
    assert await thin(connection) == 0


async def test_records_are_deleted_a_few_sources_at_a_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BATCH", 2)
    for name in ("a", "b", "c", "d", "e"):
        source_id = await add(connection, name)
        for number in range(10):
            await ran(connection, source_id, OLD + number)

    deleted, place = await history.thin(connection, KEEP)

    assert (deleted, place is not None) == (10, True)
    assert await thin(connection) == 15
    assert await rows(connection, "SELECT DISTINCT count(*) FROM scrape_jobs GROUP BY source_id") == [(5,)]


async def test_records_are_thinned_by_one_process_at_a_time(
    connection: Connection, database_url: str, source_id: UUID
) -> None:
    await ran(connection, source_id, OLD)
    async with connect(database_url) as other, other.transaction():
        await history.thin(other, dt.timedelta(days=10_000))

        assert await history.thin(connection, KEEP) == (0, None)

    assert await history.thin(connection, KEEP) == (1, None)


async def test_the_ledger_looks_back_on_the_newest_runs_only(
    connection: Connection, source_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LEDGER_RUNS", 3)
    await ran(connection, source_id, 0, stats={"requests/sent": 1})
    await ran(connection, source_id, OLD, stats={"requests/sent": 1_000})

    assert await overview.ledger(connection) == overview.Ledger(3, {"requests/sent": 1, "pages/new": 20})
    assert await overview.ledger(connection, source_id) == await overview.ledger(connection)


async def test_old_records_are_deleted_by_hand(connection: Connection, database_url: str, source_id: UUID) -> None:
    await ran(connection, source_id, 100)
    await ran(connection, source_id, 50)

    done = run_scrapy("jobs", "prune", database_url=database_url)
    assert (done.code, done.stdout.strip()) == (0, "1 records of runs older than 90 days deleted")

    done = run_scrapy("jobs", "prune", "--older-than", "40", "--json", database_url=database_url)
    assert (done.code, '"deleted": 1' in done.stdout) == (0, True)

    done = run_scrapy("jobs", "prune", database_url=database_url, env={"LCL_KEEP_JOBS_DAYS": "0"})
    assert (done.code, "keeps all records" in done.stderr) == (1, True)
