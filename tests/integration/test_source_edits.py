"""Sources changed after they were added: by name, by a file, in review; and removed."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from db import overview, source_edits, sources
from db.connection import Connection, Pool
from db.errors import DomainBusy, FenceLost, InvalidSource
from db.jobs import EMPTY_RUNS
from db.locks import DomainLock
from db.sources import Source
from lcl_spiders.sources import edit, file
from lcl_spiders.sources.entry import written_fields
from lcl_spiders.sources.file import WrongFile
from lcl_spiders.sources.plan import Plan
from tests.support.index import Index, page
from tests.support.postgres import rows, value

KINDS = ["website", "feed"]
STANDING = "SELECT slug, start_url, config, enabled, priority, refresh_interval FROM scraper_sources ORDER BY slug"


async def sync(connection: Connection, folder: Path, text: str, *, prune: bool = False, dry_run: bool = False) -> Plan:
    path = folder / "sources.toml"
    path.write_text(text)
    return await edit.synchronise(connection, file.read(path, KINDS), prune=prune, dry_run=dry_run)


async def found(connection: Connection, slug: str, *, score: float = 0.5, enabled: bool = False) -> Source:
    """Store a source as discovery does."""
    source, _ = await sources.add(connection, f"https://{slug}.example/", slug=slug, enabled=enabled)
    await connection.execute(
        "UPDATE scraper_sources SET discovery = %s WHERE id = %s", (Jsonb({"score": score}), source.id)
    )
    return await sources.get(connection, slug)


class TestSet:
    async def change(self, connection: Connection, source: Source, *emptied: str, **fields: Any) -> dict[str, Any]:
        return await edit.change(connection, source, fields, emptied, KINDS)

    async def test_what_is_set_is_stored_and_told_before_and_after(
        self, connection: Connection, source: Source
    ) -> None:
        changed = await self.change(connection, source, max_pages=5, refresh_interval="6h", priority=2, spider="feed")
        assert changed == {
            "max_pages": (10_000, 5),
            "refresh_interval": ("1d", "6h"),
            "priority": (0, 2),
            "spider": ("website", "feed"),
        }
        stored = await sources.get(connection, source.slug)
        assert (stored.config, stored.refresh_interval.seconds, stored.priority) == ({"max_pages": 5}, 21_600, 2)

    async def test_other_settings_stay_and_emptied_ones_go(self, connection: Connection, source: Source) -> None:
        await self.change(connection, source, max_pages=5, deny=["/a"], max_depth=3)
        changed = await self.change(connection, source, "deny", max_pages=6)
        assert changed == {"deny": (["/a"], []), "max_pages": (5, 6)}
        assert (await sources.get(connection, source.slug)).config == {"max_pages": 6, "max_depth": 3}

    @pytest.mark.parametrize(
        ("fields", "emptied", "why"),
        [
            ({"max_pages": 0}, (), "max_pages"),
            ({"max_page": 5}, (), "no such setting"),
            ({"spider": "gopher"}, (), "no kind of source"),
            ({"url": "https://other.example/"}, (), "another site"),
            ({"slug": "other"}, (), "does not change"),
            ({}, ("max_page",), "no such setting"),
            ({}, ("url",), "url"),
        ],
    )
    async def test_what_makes_no_sense_changes_nothing(
        self, connection: Connection, source: Source, fields: dict[str, Any], emptied: tuple[str, ...], why: str
    ) -> None:
        with pytest.raises(InvalidSource, match=why):
            await edit.change(connection, source, {"max_depth": 3, **fields}, emptied, KINDS)
        assert await sources.get(connection, source.slug) == source

    async def test_a_start_url_of_another_source_is_refused(self, connection: Connection, source: Source) -> None:
        await sources.add(connection, f"{source.start_url}agenda", slug="agenda")
        with pytest.raises(InvalidSource, match="agenda"):
            await self.change(connection, source, url=f"{source.start_url}agenda")

    async def test_saying_that_an_enabled_source_is_enabled_clears_no_failures(
        self, connection: Connection, source: Source
    ) -> None:
        await connection.execute("UPDATE scraper_sources SET consecutive_failures = 4")
        assert await self.change(connection, source, enabled=True) == {}
        await self.change(connection, source, enabled=True, max_pages=5)
        assert (await sources.get(connection, source.slug)).consecutive_failures == 4

    async def test_two_that_change_one_source_at_once_lose_nothing(self, pool: Pool, source: Source) -> None:
        async def change_one(**fields: Any) -> None:
            async with pool.connection() as connection:
                await self.change(connection, source, **fields)

        await asyncio.gather(*(change_one(**{name: 7}) for name in ("max_pages", "max_depth", "delay", "concurrency")))
        async with pool.connection() as connection:
            assert len((await sources.get(connection, source.slug)).config) == 4


class TestSync:
    TEXT = '[sources.a]\nurl = "https://a.example"\nmax_pages = 5\n\n[sources.b]\nurl = "https://b.example"\n'

    async def test_the_table_matches_the_file_and_a_second_time_nothing_changes(
        self, connection: Connection, tmp_path: Path
    ) -> None:
        plan = await sync(connection, tmp_path, self.TEXT)
        assert [entry.slug for entry in plan.added] == ["a", "b"]
        assert [(row[0], row[2]) for row in await rows(connection, STANDING)] == [("a", {"max_pages": 5}), ("b", {})]
        again = await sync(connection, tmp_path, self.TEXT)
        assert (again.added, again.changed, again.unchanged) == ([], [], ["a", "b"])

    async def test_a_dry_run_changes_nothing(self, connection: Connection, source: Source, tmp_path: Path) -> None:
        before = await rows(connection, "SELECT *, xmin::text FROM scraper_sources")
        plan = await sync(connection, tmp_path, self.TEXT, prune=True, dry_run=True)
        assert (len(plan.added), plan.missing) == (2, [source.slug])
        assert await rows(connection, "SELECT *, xmin::text FROM scraper_sources") == before

    async def test_what_the_file_does_not_name_is_left_alone_or_with_prune_disabled(
        self, connection: Connection, source: Source, tmp_path: Path
    ) -> None:
        assert (await sync(connection, tmp_path, self.TEXT)).missing == [source.slug]
        assert (await sources.get(connection, source.slug)).enabled
        await sync(connection, tmp_path, self.TEXT, prune=True)
        assert not (await sources.get(connection, source.slug)).enabled
        assert (await sources.get(connection, "a")).enabled

    async def test_a_conflict_in_one_line_changes_nothing_at_all(
        self, connection: Connection, source: Source, tmp_path: Path
    ) -> None:
        with pytest.raises(WrongFile, match=rf"sources\.toml:9: sources\.c\.url: .* known already as '{source.slug}'"):
            await sync(connection, tmp_path, f'{self.TEXT}\n[sources.c]\nurl = "{source.start_url}"\n')
        assert [row[0] for row in await rows(connection, STANDING)] == [source.slug]

    async def test_a_sync_that_changes_other_fields_clears_no_failures(
        self, connection: Connection, tmp_path: Path
    ) -> None:
        await sync(connection, tmp_path, self.TEXT)
        await connection.execute("UPDATE scraper_sources SET consecutive_failures = 4, auto_disabled = true")
        await sync(connection, tmp_path, self.TEXT.replace("5", "6"))
        assert await rows(connection, "SELECT DISTINCT consecutive_failures, auto_disabled FROM scraper_sources") == [
            (4, True)
        ]

    async def test_a_sync_that_enables_a_source_clears_its_failures(
        self, connection: Connection, tmp_path: Path
    ) -> None:
        await sync(connection, tmp_path, f"{self.TEXT}enabled = false\n")
        await connection.execute("UPDATE scraper_sources SET consecutive_failures = 4")
        await sync(connection, tmp_path, self.TEXT)
        assert await rows(connection, "SELECT slug, consecutive_failures FROM scraper_sources ORDER BY 1") == [
            ("a", 4),
            ("b", 0),
        ]

    async def test_what_is_exported_is_unchanged_when_synced(self, connection: Connection, tmp_path: Path) -> None:
        await sources.add(
            connection, "https://a.example/", slug="a", config={"deny": ["[0-9]", 'a"\\\\'], "delay": 0.5}
        )
        await sources.add(connection, "https://b.example/x", spider="feed", enabled=False, priority=-3)
        stored = await sources.list_all(connection)
        text = file.write((source.slug, written_fields(source)) for source in stored)
        assert (await sync(connection, tmp_path, text)).unchanged == ["a", "b-example"]


class TestReview:
    async def test_the_best_candidate_comes_first(self, connection: Connection, source: Source) -> None:
        for slug, score in (("poor", 0.2), ("fair", 0.6)):
            await found(connection, slug, score=score)
        await found(connection, "good", score=0.9, enabled=True)
        assert [each.slug for each in await source_edits.waiting_for_review(connection)] == ["fair", "poor"]
        assert [each.slug for each in await source_edits.waiting_for_review(connection, limit=1)] == ["fair"]

    @pytest.mark.parametrize("enabled", [True, False])
    async def test_who_enables_or_disables_a_candidate_has_reviewed_it(
        self, connection: Connection, enabled: bool
    ) -> None:
        candidate = await found(connection, "a")
        await sources.set_enabled(connection, candidate.id, enabled=enabled)
        assert await source_edits.waiting_for_review(connection) == []
        (state,) = await overview.sources(connection)
        assert state.state == ("enabled" if enabled else "disabled")

    async def test_a_rejected_candidate_stays_known_and_is_not_shown_again(self, connection: Connection) -> None:
        candidate = await found(connection, "a")
        await source_edits.reject(connection, candidate.id)
        assert await source_edits.waiting_for_review(connection) == []
        assert (await sources.add(connection, candidate.start_url))[1] is False
        assert [each.state for each in await overview.sources(connection, state="rejected")] == ["rejected"]

    async def test_a_rejection_is_taken_back_by_enabling(self, connection: Connection) -> None:
        candidate = await found(connection, "a")
        await source_edits.reject(connection, candidate.id)
        await sources.set_enabled(connection, candidate.id, enabled=True)
        stored = await sources.get(connection, "a")
        assert stored.discovery is not None
        assert ("rejected_at" in stored.discovery, stored.discovery["score"]) == (False, 0.5)


class TestRemoving:
    async def test_nothing_of_a_removed_source_stays_and_nothing_else_goes(
        self, connection: Connection, database_url: str, index: Index
    ) -> None:
        other = await Index.opened(
            connection, (await sources.add(connection, "https://other.example/"))[0], index.model
        )
        for each in (index, other):
            await each.write(page(each.url("1"), "one", "two"), page(each.url("2"), "three"))
        await source_edits.remove(connection, index.source, database_url)
        for table in ("scraped_pages", "page_embeddings", "page_checks", "scrape_jobs", "failed_pages"):
            left = await connection.execute(f"SELECT DISTINCT source_id FROM {table}".encode())
            assert {row[0] for row in await left.fetchall()} <= {other.source.id}, table
        assert await value(connection, "SELECT count(*) FROM page_embeddings") == 3

    async def test_a_source_whose_domain_is_held_is_not_removed(
        self, connection: Connection, database_url: str, source: Source
    ) -> None:
        lock = DomainLock(database_url, source.domain)
        assert await lock.acquire()
        try:
            with pytest.raises(DomainBusy, match="nothing was removed"):
                await source_edits.remove(connection, source, database_url)
        finally:
            await lock.release()
        assert await sources.get(connection, source.slug) == source

    async def test_a_run_that_lost_its_lock_can_write_no_more_for_a_removed_source(
        self, connection: Connection, database_url: str, index: Index
    ) -> None:
        await source_edits.remove(connection, index.source, database_url)
        with pytest.raises(FenceLost):
            await index.write(page(index.url("1"), "one"))

    async def test_a_removed_site_can_be_added_again(
        self, connection: Connection, database_url: str, source: Source
    ) -> None:
        await source_edits.remove(connection, source, database_url)
        again, is_new = await sources.add(connection, source.start_url)
        assert (is_new, again.slug) == (True, source.slug)


class TestStates:
    async def ran(self, connection: Connection, source: Source, status: str, reason: str, **stats: int) -> None:
        await connection.execute(
            """
            INSERT INTO scrape_jobs (id, source_id, trigger, status, finish_reason, stats, queued_at)
            VALUES (%s, %s, 'manual', %s, %s, %s, clock_timestamp())
            """,
            (
                uuid.uuid4(),
                source.id,
                status,
                reason,
                Jsonb({name.replace("_", "/", 1): n for name, n in stats.items()}),
            ),
        )

    async def is_empty(self, connection: Connection) -> bool:
        (state,) = await overview.sources(connection)
        assert (await overview.empty(connection) == [state.slug]) == state.is_empty
        assert (await overview.sources(connection, state="empty") == [state]) == state.is_empty
        return state.is_empty

    async def test_a_source_is_empty_after_five_runs_in_a_row_that_found_nothing(
        self, connection: Connection, source: Source
    ) -> None:
        await self.ran(connection, source, "succeeded", "finished", pages_new=5)
        for number in range(EMPTY_RUNS):
            assert not await self.is_empty(connection), number
            await self.ran(connection, source, "failed", "yield_collapse", pages_new=number)
        assert await self.is_empty(connection)
        await self.ran(connection, source, "succeeded", "finished", pages_skipped_recent=5)
        assert not await self.is_empty(connection)

    async def test_runs_that_never_came_as_far_as_the_site_say_nothing(
        self, connection: Connection, source: Source
    ) -> None:
        for status, reason in (
            ("failed", "lost"),
            ("failed", "provider_unavailable"),
            ("failed", "lock_lost"),
            ("skipped", "domain_locked"),
            ("running", "none"),
        ):
            await self.ran(connection, source, status, reason)
        assert not await self.is_empty(connection)
        for _ in range(EMPTY_RUNS):
            await self.ran(connection, source, "failed", "site_unreachable")
            await self.ran(connection, source, "failed", "lost")
        assert await self.is_empty(connection)

    async def test_sources_are_listed_by_state_and_kind(self, connection: Connection, source: Source) -> None:
        for slug, state in (
            ("waits", "backoff_until = now() + interval '1 hour'"),
            ("waited", "backoff_until = now() - interval '1 hour'"),
            ("off", "enabled = false"),
            ("failed", "auto_disabled = true"),
        ):
            await sources.add(connection, f"https://{slug}.example/", slug=slug, spider="feed")
            await connection.execute(f"UPDATE scraper_sources SET {state} WHERE slug = %s".encode(), (slug,))
        await found(connection, "new")

        async def slugs(**chosen: Any) -> list[str]:
            return [each.slug for each in await overview.sources(connection, **chosen)]

        assert await slugs(state="enabled") == [source.slug, "waited"]
        assert await slugs(state="backoff") == ["waits"]
        assert await slugs(state="disabled") == ["off"]
        assert await slugs(state="auto_disabled") == ["failed"]
        assert await slugs(state="review") == ["new"]
        assert await slugs(kind="feed", limit=2) == ["failed", "off"]
        assert len(await slugs()) == 6
