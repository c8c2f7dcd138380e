"""One run per domain (A4), no write by one that lost it (A5), no job left running by one that died (A18)."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import psycopg
import pytest

from db import jobs, locks, page_writes, sources
from db.connection import Connection, connect
from db.errors import DatabaseUnavailable, FenceLost
from db.locks import DomainLock
from db.page_rows import Departure, Failure, SeenPage
from tests.support.index import Index, page
from tests.support.postgres import is_waiting, rows, value

DOMAIN = "example.org"


@contextlib.asynccontextmanager
async def holding(url: str, domain: str = DOMAIN) -> AsyncIterator[DomainLock]:
    lock = DomainLock(url, domain)
    try:
        assert await lock.acquire()
        yield lock
    finally:
        await lock.release()


async def is_ours(url: str, domain: str = DOMAIN) -> bool:
    lock = DomainLock(url, domain)
    try:
        return await lock.acquire()
    finally:
        await lock.release()


async def end_session_of_lock(connection: Connection) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    assert await rows(connection, query) == [(True,)]


async def job(connection: Connection, source: sources.Source) -> uuid.UUID:
    job_id = uuid.uuid4()
    await jobs.start(connection, job_id, source_id=source.id, trigger="manual", args={}, worker="test")
    return job_id


async def running(connection: Connection) -> set[uuid.UUID]:
    return {row[0] for row in await rows(connection, "SELECT id FROM scrape_jobs WHERE status = 'running'")}


class TestLock:
    async def test_a_second_run_of_a_domain_is_turned_away(self, database_url: str) -> None:
        async with holding(database_url):
            assert not await is_ours(database_url)

    async def test_another_domain_is_free(self, database_url: str) -> None:
        async with holding(database_url):
            assert await is_ours(database_url, "www.example.org")

    async def test_of_many_at_once_one_gets_the_domain(self, database_url: str) -> None:
        contenders = [DomainLock(database_url, DOMAIN) for _ in range(10)]
        try:
            answers = await asyncio.gather(*(lock.acquire() for lock in contenders))
        finally:
            for lock in contenders:
                await lock.release()

        assert sorted(answers) == [False] * 9 + [True]

    async def test_a_released_domain_is_free_at_once(self, database_url: str) -> None:
        for _ in range(30):
            async with holding(database_url):
                pass

    async def test_a_domain_is_free_at_once_after_a_run_that_was_watched(self, database_url: str) -> None:
        for _ in range(5):
            async with holding(database_url) as lock:
                watch = asyncio.create_task(lock.watch())
                await asyncio.sleep(0)  # a turn of the loop
                watch.cancel()
                await lock.release()
                assert await is_ours(database_url)

    async def test_releasing_is_always_allowed(self, database_url: str) -> None:
        lock = DomainLock(database_url, DOMAIN)
        await lock.release()
        await lock.acquire()
        await lock.release()
        await lock.release()

        nowhere = DomainLock("postgresql://127.0.0.1:1/x", DOMAIN)
        with pytest.raises(DatabaseUnavailable):
            await nowhere.acquire()
        await nowhere.release()

    async def test_a_run_that_was_turned_away_keeps_no_session(self, database_url: str, connection: Connection) -> None:
        async with holding(database_url):
            turned_away = DomainLock(database_url, DOMAIN)
            await turned_away.acquire()
            with pytest.raises(DatabaseUnavailable, match="is not held"):
                await turned_away.raise_fence(uuid.uuid4())
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        async with asyncio.timeout(10):
            while await value(connection, query):  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.005)  # the server is at work

    async def test_a_lock_lost_by_its_session_is_noticed_and_free(
        self, database_url: str, connection: Connection
    ) -> None:
        async with holding(database_url) as lock:
            watch = asyncio.create_task(lock.watch())
            await asyncio.sleep(0)  # a turn of the loop
            assert not watch.done()

            await end_session_of_lock(connection)

            assert await asyncio.wait_for(watch, 5) != ""
            assert await is_ours(database_url)

    async def test_the_session_of_a_stopped_process_ends_by_itself(
        self, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locks, "SESSION_TIMEOUT", "50ms")
        async with holding(database_url):  # and no heartbeat, as after SIGSTOP
            async with asyncio.timeout(10):
                while await locks.held(connection, [DOMAIN]):  # noqa: ASYNC110 - it happens in another process
                    await asyncio.sleep(0.01)  # the server is at work
            assert await is_ours(database_url)

    async def test_the_heartbeat_keeps_a_session_alive(
        self, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locks, "HEARTBEAT", 0.01)
        query = "SELECT max(state_change) FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'"
        async with holding(database_url) as lock:
            watch = asyncio.create_task(lock.watch())
            beats = {await value(connection, query)}
            async with asyncio.timeout(10):
                while len(beats) < 4:
                    beats.add(await value(connection, query))
            watch.cancel()

    async def test_who_holds_what_is_told_without_touching_it(self, database_url: str, connection: Connection) -> None:
        domains = ["example.org", "b.example", "localhost:8000", "[::1]:80"]
        async with holding(database_url, domains[0]), holding(database_url, domains[2]):
            assert await locks.held(connection, domains) == {domains[0], domains[2]}
            assert await is_ours(database_url, domains[1])
        assert await locks.held(connection, domains) == set()

    async def test_locks_of_another_database_are_not_ours(
        self, database_url: str, connection: Connection, server: str
    ) -> None:
        async with holding(server):
            assert await locks.held(connection, [DOMAIN]) == set()
            assert await is_ours(database_url)


class TestFence:
    async def test_each_holder_raises_it_by_one(self, database_url: str, connection: Connection) -> None:
        for number in (1, 2, 3):
            job_id = uuid.uuid4()
            async with holding(database_url) as lock:
                assert await lock.raise_fence(job_id) == number
            assert await rows(connection, "SELECT fence, job_id FROM domain_fences") == [(number, job_id)]

    async def test_domains_have_fences_of_their_own(self, database_url: str) -> None:
        async with holding(database_url) as first, holding(database_url, "b.org") as second:
            assert [await first.raise_fence(uuid.uuid4()) for _ in range(2)] == [1, 2]
            assert await second.raise_fence(uuid.uuid4()) == 1

    async def test_the_newest_holder_may_write(self, index: Index, database_url: str) -> None:
        async with holding(database_url) as lock:
            fence = await lock.raise_fence(uuid.uuid4())
            async with page_writes.write(index.connection, DOMAIN, fence):
                await page_writes.replace_pages(
                    index.connection, index.source.id, index.model.id, [page(index.url(), "x")]
                )

        assert await index.texts(index.url()) == {"x"}

    @pytest.mark.parametrize("kind", ["page", "seen", "failure", "departure"])
    async def test_an_earlier_holder_can_write_nothing(self, index: Index, database_url: str, kind: str) -> None:
        await index.write(page(index.url(), "old"))
        known = await index.known(index.url())
        writes = {
            "page": index.write(page(index.url(), "new")),
            "seen": index.seen(SeenPage(known.id, known.url)),
            "failure": index.fail(Failure(index.url(), "timeout", None, None)),
            "departure": index.bury(uuid.uuid4(), Departure(index.url(), "http_404", 404)),
        }
        late = writes.pop(kind)
        for unused in writes.values():
            unused.close()
        async with holding(database_url) as lock:
            await lock.raise_fence(uuid.uuid4())
            with pytest.raises(FenceLost, match=r"another run has taken the domain example\.org \(fence 1 is old\)"):
                await late

        assert await index.known(index.url()) == known
        assert await index.texts(index.url()) == {"old"}
        assert await value(index.connection, "SELECT count(*) FROM failed_pages") == 0

    async def test_a_domain_without_a_fence_takes_no_write(self, index: Index) -> None:
        with pytest.raises(FenceLost):
            async with page_writes.write(index.connection, "unknown.org", 1):
                pass

    async def test_a_takeover_waits_for_a_commit_that_has_begun_and_for_no_other(
        self, index: Index, database_url: str, connection: Connection
    ) -> None:
        async with holding(database_url) as lock, connect(database_url) as observer:
            async with page_writes.write(connection, DOMAIN, index.fence):
                await page_writes.replace_pages(
                    connection, index.source.id, index.model.id, [page(index.url(), "begun")]
                )
                takeover = asyncio.create_task(lock.raise_fence(uuid.uuid4()))
                await is_waiting(observer)
                assert not takeover.done()
            assert await asyncio.wait_for(takeover, 5) == index.fence + 1

            with pytest.raises(FenceLost):
                await index.write(page(index.url(), "late"))
        assert await index.texts(index.url()) == {"begun"}

    async def test_a_write_that_waited_for_a_takeover_finds_its_fence_lost(
        self, index: Index, database_url: str, connection: Connection
    ) -> None:
        async with connect(database_url) as other, connect(database_url) as observer:
            async with other.transaction():
                await other.execute("UPDATE domain_fences SET fence = fence + 1")
                late = asyncio.create_task(index.write(page(index.url(), "late")))
                await is_waiting(observer)
            with pytest.raises(FenceLost):
                await late
        assert await value(connection, "SELECT count(*) FROM scraped_pages") == 0

    async def test_a_writer_that_died_in_its_transaction_leaves_nothing(
        self, index: Index, database_url: str, connection: Connection
    ) -> None:
        async with connect(database_url) as other:
            with pytest.raises(psycopg.OperationalError):  # noqa: PT012 - it is the end of the transaction that raises
                async with page_writes.write(connection, DOMAIN, index.fence):
                    await page_writes.replace_pages(
                        connection, index.source.id, index.model.id, [page(index.url(), "x")]
                    )
                    await other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
            assert await rows(other, "SELECT 1 FROM scraped_pages UNION ALL SELECT 1 FROM page_embeddings") == []


class TestJobs:
    async def test_a_job_is_recorded_from_start_to_end(self, connection: Connection, source: sources.Source) -> None:
        job_id = uuid.uuid4()
        started_at = await jobs.start(
            connection, job_id, source_id=source.id, trigger="manual", args={"force_rescrape": True}, worker="host:1"
        )
        await jobs.finish(
            connection, job_id, status="failed", reason="site_unreachable", error="no route", stats={"pages/new": 3}
        )

        (found,) = await jobs.recent(connection, slug=source.slug)
        assert found.started_at == started_at
        assert found.completed_at is not None
        assert (found.id, found.status, found.finish_reason) == (job_id, "failed", "site_unreachable")
        assert (found.error, found.args, found.stats) == ("no route", {"force_rescrape": True}, {"pages/new": 3})

    async def test_a_closed_job_keeps_its_first_verdict(self, connection: Connection, source: sources.Source) -> None:
        job_id = await job(connection, source)
        await jobs.close_lost(connection)

        await jobs.finish(connection, job_id, status="succeeded", reason="finished", error=None, stats={})

        assert [found.status for found in await jobs.recent(connection)] == ["failed"]

    async def test_a_running_job_whose_domain_nobody_holds_is_lost(
        self, connection: Connection, source: sources.Source, database_url: str
    ) -> None:
        other, _ = await sources.add(connection, "https://held.org/")
        dead, alive = await job(connection, source), await job(connection, other)
        async with holding(database_url, "held.org"):
            assert await jobs.close_lost(connection) == [dead]
            assert await running(connection) == {alive}

        assert await jobs.close_lost(connection) == [alive]
        found = {found.id: found for found in await jobs.recent(connection)}
        assert (found[dead].status, found[dead].finish_reason) == ("failed", "lost")
        assert found[dead].completed_at is not None
        assert "the next run does the rest" in (found[dead].error or "")

    async def test_looking_for_lost_jobs_turns_no_run_away(
        self, connection: Connection, source: sources.Source, database_url: str
    ) -> None:
        await job(connection, source)
        async with connection.transaction():  # locks would be kept to its end
            await jobs.close_lost(connection)
            assert await is_ours(database_url)

    async def test_the_holder_of_a_domain_closes_all_its_jobs_but_its_own(
        self, connection: Connection, source: sources.Source, database_url: str
    ) -> None:
        other, _ = await sources.add(connection, "https://held.org/")
        same_domain, _ = await sources.add(connection, f"{source.start_url}other")
        elsewhere = await job(connection, other)
        lost = {await job(connection, source), await job(connection, same_domain)}
        async with holding(database_url):
            own = await job(connection, source)
            assert set(await jobs.close_lost(connection, domain=DOMAIN, keep=own)) == lost

        assert await running(connection) == {own, elsewhere}

    async def test_jobs_that_ended_are_left_alone(self, connection: Connection, source: sources.Source) -> None:
        job_id = await job(connection, source)
        await jobs.finish(connection, job_id, status="succeeded", reason="finished", error=None, stats={})

        assert await jobs.close_lost(connection) == []
        assert await jobs.close_lost(connection, domain=DOMAIN) == []
