"""Pages that could not be read (A17), and pages that went (A13, C4)."""

import datetime as dt
import uuid

import pytest

from db import pages
from db.connection import Connection
from db.errors import IncompleteWrite
from db.page_rows import Departure, Failure, SeenPage
from tests.support.index import Index, digest, page
from tests.support.postgres import rows, value

JOB = uuid.UUID(int=7)


async def wait_of(connection: Connection) -> dt.timedelta:
    found: dt.timedelta = await value(connection, "SELECT next_retry_at - last_failed_at FROM failed_pages")
    return found


async def failed(connection: Connection) -> list[str]:
    return [url for (url,) in await rows(connection, "SELECT url FROM failed_pages ORDER BY url")]


class TestFailures:
    async def test_a_failure_is_stored_with_kind_status_and_message(self, index: Index) -> None:
        await index.fail(Failure(index.url("a"), "http_error", 503, "Service Unavailable"))

        query = "SELECT url, kind, http_status, message, attempts FROM failed_pages"
        assert await rows(index.connection, query) == [
            (index.url("a"), "http_error", 503, "Service Unavailable", 1),
        ]

    async def test_the_latest_failure_is_told_and_the_first_time_is_kept(self, index: Index) -> None:
        await index.fail(Failure(index.url("a"), "http_error", 503, "busy"))
        first = await value(index.connection, "SELECT first_failed_at FROM failed_pages")

        await index.fail(Failure(index.url("a"), "timeout", None, None))

        query = "SELECT kind, http_status, message, attempts, first_failed_at, last_failed_at > first_failed_at"
        assert await rows(index.connection, f"{query} FROM failed_pages") == [("timeout", None, None, 2, first, True)]

    async def test_each_attempt_waits_four_times_longer_up_to_a_week(self, index: Index) -> None:
        waits = []
        for _ in range(12):
            await index.fail(Failure(index.url("a"), "http_error", 503, None))
            waits.append(await wait_of(index.connection))

        minutes = [min(15 * 4**n, 7 * 24 * 60) for n in range(12)]
        assert waits == [dt.timedelta(minutes=wait) for wait in minutes]

    async def test_a_page_that_fails_twice_in_a_batch_counts_once(self, index: Index) -> None:
        await index.fail(*(Failure(index.url("a"), kind, None, None) for kind in ("first", "second")))

        assert await rows(index.connection, "SELECT kind, attempts FROM failed_pages") == [("second", 1)]

    async def test_due_failures_come_longest_waiting_first(self, index: Index) -> None:
        urls = [index.url(name) for name in "abcd"]
        await index.fail(*(Failure(url, "timeout", None, None) for url in urls))
        assert await pages.due_failures(index.connection, index.source.id) == []
        for url, minutes in zip(urls, (-1, -30, 30, -5), strict=True):
            await index.connection.execute(
                "UPDATE failed_pages SET next_retry_at = now() + %s WHERE url = %s",
                (dt.timedelta(minutes=minutes), url),
            )

        assert await pages.due_failures(index.connection, index.source.id) == [urls[1], urls[3], urls[0]]
        assert await pages.due_failures(index.connection, index.source.id, limit=1) == [urls[1]]
        assert await pages.due_failures(index.connection, uuid.uuid4()) == []

    async def test_writing_a_page_clears_its_failure_alone(self, index: Index) -> None:
        await index.fail(*(Failure(index.url(name), "timeout", None, None) for name in "ab"))

        await index.write(page(index.url("a"), "one"))

        assert await failed(index.connection) == [index.url("b")]

    async def test_seeing_a_page_clears_its_failure_alone(self, index: Index) -> None:
        await index.write(page(index.url("a"), "one"))
        await index.fail(*(Failure(index.url(name), "timeout", None, None) for name in "ab"))

        await index.seen(SeenPage((await index.known(index.url("a"))).id, index.url("a")))

        assert await failed(index.connection) == [index.url("b")]

    async def test_a_write_that_fails_keeps_the_failure(self, index: Index) -> None:
        await index.fail(Failure(index.url("a"), "timeout", None, None))

        with pytest.raises(IncompleteWrite):
            await index.write(page(index.url("a"), "one", believed=["one"]))

        assert await failed(index.connection) == [index.url("a")]


class TestDepartures:
    async def test_a_buried_page_leaves_with_its_embeddings_alone(self, index: Index) -> None:
        await index.write(page(index.url("a"), "one"), page(index.url("b"), "two"))

        assert await index.bury(JOB, Departure(index.url("a"), "http_404", 404)) == 1

        assert await rows(index.connection, "SELECT url FROM scraped_pages") == [(index.url("b"),)]
        assert await rows(index.connection, "SELECT content FROM page_embeddings") == [("two",)]

    async def test_a_tombstone_remembers_what_was_there_and_why_it_went(self, index: Index) -> None:
        await index.write(page(index.url("a"), "one"))

        await index.bury(JOB, Departure(index.url("a"), "noindex", None))

        query = "SELECT url, reason, http_status, content_hash, job_id FROM page_tombstones"
        assert await rows(index.connection, query) == [(index.url("a"), "noindex", None, digest("one"), JOB)]

    async def test_what_was_never_indexed_leaves_no_tombstone(self, index: Index) -> None:
        assert await index.bury(JOB, Departure(index.url("a"), "http_404", 404)) == 0
        assert await value(index.connection, "SELECT count(*) FROM page_tombstones") == 0

    async def test_burying_nothing_is_fine(self, index: Index) -> None:
        assert await index.bury(JOB) == 0

    async def test_a_page_that_returns_loses_its_tombstone_and_may_go_again(self, index: Index) -> None:
        await index.write(page(index.url("a"), "one"))
        await index.bury(JOB, Departure(index.url("a"), "http_404", 404))

        await index.write(page(index.url("a"), "two"))
        assert await value(index.connection, "SELECT count(*) FROM page_tombstones") == 0

        await index.bury(JOB, Departure(index.url("a"), "http_410", 410))
        query = "SELECT reason, http_status, content_hash FROM page_tombstones"
        assert await rows(index.connection, query) == [("http_410", 410, digest("two"))]

    async def test_duplicates_of_a_buried_page_stay(self, index: Index) -> None:
        await index.write(page(index.url("a"), "one"), page(index.url("b")))
        await index.connection.execute(
            "UPDATE scraped_pages SET duplicate_of = %s WHERE url = %s",
            ((await index.known(index.url("a"))).id, index.url("b")),
        )

        await index.bury(JOB, Departure(index.url("a"), "http_404", 404))

        assert await rows(index.connection, "SELECT url, duplicate_of FROM scraped_pages") == [(index.url("b"), None)]
