"""The failures of sources: B3, B4, B5."""

import datetime as dt

import pytest

from db import sources
from db.connection import Connection
from db.sources import Source
from tests.support.postgres import rows, value

HOURS = [0, 0, 2, 4, 8, 16, 32, 32, 32]
LEVELS = [0, 0, 1, 2, 3, 4, 5, 5, 5]


async def fail(connection: Connection, source: Source, times: int) -> None:
    for _ in range(times):
        await connection.execute("SELECT apply_exponential_backoff(%s, false)", (source.id,))


async def state(connection: Connection, source: Source) -> tuple[int, int, int | None]:
    ((failures, level, wait),) = await rows(
        connection,
        """
        SELECT consecutive_failures, backoff_level, round(extract(epoch FROM backoff_until - now()) / 3600)::integer
        FROM scraper_sources WHERE id = %s
        """,
        source.id,
    )
    return failures, level, wait


async def available(connection: Connection) -> list[str]:
    return [slug for (slug,) in await rows(connection, "SELECT slug FROM scraper_sources_available ORDER BY slug")]


@pytest.mark.parametrize(("failures", "level", "hours"), list(zip(range(1, 10), LEVELS, HOURS, strict=True)))
async def test_each_failure_in_a_row_waits_as_long_as_its_level_says(
    connection: Connection, source: Source, failures: int, level: int, hours: int
) -> None:
    await fail(connection, source, failures)

    assert await state(connection, source) == (failures, level, hours or None)


async def test_the_backoff_is_counted_from_the_failure_and_answered(connection: Connection, source: Source) -> None:
    await fail(connection, source, 2)
    async with connection.transaction():
        now = await value(connection, "SELECT now()")
        until = await value(connection, "SELECT apply_exponential_backoff(%s, false)", source.id)

    assert until - now == dt.timedelta(hours=2)


@pytest.mark.parametrize("failures", [1, 2, 3, 9])
async def test_a_success_resets_level_time_and_count(connection: Connection, source: Source, failures: int) -> None:
    await fail(connection, source, failures)
    assert await value(connection, "SELECT apply_exponential_backoff(%s, true)", source.id) is None
    assert await state(connection, source) == (0, 0, None)

    await fail(connection, source, 3)
    assert await state(connection, source) == (3, 1, 2)


async def test_a_source_that_is_not_there_is_no_error(connection: Connection) -> None:
    assert await value(connection, "SELECT apply_exponential_backoff(gen_random_uuid(), false)") is None


@pytest.mark.parametrize("before", [True, False])
async def test_enabling_resets_every_failure_whatever_was_before(
    connection: Connection, source: Source, before: bool
) -> None:
    await fail(connection, source, 4)
    await connection.execute("UPDATE scraper_sources SET auto_disabled = true, enabled = %s", (before,))
    await connection.execute("UPDATE scraper_sources SET auto_disabled = true, consecutive_failures = 4")

    await connection.execute("UPDATE scraper_sources SET enabled = true")

    assert await state(connection, source) == (0, 0, None)
    assert await value(connection, "SELECT auto_disabled FROM scraper_sources") is False


async def test_disabling_and_other_changes_leave_the_failures(connection: Connection, source: Source) -> None:
    await fail(connection, source, 4)

    await connection.execute("UPDATE scraper_sources SET priority = 3")
    await sources.set_enabled(connection, source.id, enabled=False)

    assert await state(connection, source) == (4, 2, 4)


async def test_only_sources_that_may_run_are_available(connection: Connection) -> None:
    for slug in ("auto-disabled", "backoff", "disabled", "failed-once", "fine", "over"):
        await sources.add(connection, f"https://{slug}.org/", slug=slug)
    await connection.execute("UPDATE scraper_sources SET enabled = false WHERE slug = 'disabled'")
    await connection.execute("UPDATE scraper_sources SET auto_disabled = true WHERE slug = 'auto-disabled'")
    await connection.execute("UPDATE scraper_sources SET consecutive_failures = 1 WHERE slug = 'failed-once'")
    await connection.execute(
        "UPDATE scraper_sources SET backoff_until = now() + interval '1 min' WHERE slug = 'backoff'"
    )
    await connection.execute("UPDATE scraper_sources SET backoff_until = now() - interval '1 min' WHERE slug = 'over'")

    assert await available(connection) == ["failed-once", "fine", "over"]


async def test_a_failed_run_is_noted_and_waits(connection: Connection, source: Source) -> None:
    for _ in range(2):
        assert await sources.record_run(connection, source.id, success=False) is None

    until = await sources.record_run(connection, source.id, success=False)

    stored = await sources.get(connection, source.slug)
    assert until is not None
    assert (stored.backoff_until, stored.consecutive_failures, stored.last_success_at) == (until, 3, None)
    assert stored.last_run_at is not None


async def test_a_run_that_failed_for_other_reasons_leaves_the_failures(connection: Connection, source: Source) -> None:
    await fail(connection, source, 4)

    assert await sources.record_run(connection, source.id, success=None) is None

    assert await state(connection, source) == (4, 2, 4)
    assert (await sources.get(connection, source.slug)).last_run_at is not None


async def test_a_successful_run_is_noted_as_one(connection: Connection, source: Source) -> None:
    await fail(connection, source, 4)

    await sources.record_run(connection, source.id, success=True)

    stored = await sources.get(connection, source.slug)
    assert stored.last_success_at == stored.last_run_at is not None
    assert await state(connection, source) == (0, 0, None)
