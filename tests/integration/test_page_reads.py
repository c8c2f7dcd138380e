"""What is read of the index, through `db.pages`: what is due, what can be used again, what is broken."""

import datetime as dt
from dataclasses import replace

import pytest

from db import pages, sources
from db.connection import Connection
from db.page_rows import SeenPage
from db.pages import Due
from tests.support.index import Index, chunk, digest, page, vector
from tests.support.postgres import value


class TestDuePages:
    async def test_the_longest_unseen_come_first(self, index: Index, connection: Connection) -> None:
        days = {"a": 5, "b": 2, "c": 9, "d": 2, "e": 20}
        start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
        seen = {name: start + dt.timedelta(days=day) for name, day in days.items()}
        await index.write(*(page(index.url(name), seen_at=when) for name, when in seen.items()))

        order, place = [], pages.FIRST
        due = Due(seen["c"], None, dt.timedelta(days=7))
        while True:
            batch, place = await pages.due(connection, index.source.id, due=due, after=place, limit=2)
            if not batch:
                break
            order.append([each.url for each in batch])

        assert order == [[index.url("b"), index.url("d")], [index.url("a"), index.url("c")]]

    async def test_a_page_seen_between_two_batches_moves_no_other(self, index: Index, connection: Connection) -> None:
        await index.write(*(page(index.url(name), seen_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC)) for name in "abcd"))
        until = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
        due = Due(until, None, dt.timedelta(days=7))
        first, place = await pages.due(connection, index.source.id, due=due, limit=2)

        await index.seen(*(SeenPage(each.id, each.url) for each in first))

        rest, _ = await pages.due(connection, index.source.id, due=due, after=place)
        assert [each.url for each in rest] == [index.url("c"), index.url("d")]


@pytest.mark.parametrize(
    ("seen", "next_check", "due_by", "is_due"),
    [
        ("2026-03-01", None, "2026-03-02", True),
        ("2026-03-01", "2026-03-02", "2026-03-02", True),
        ("2026-03-01", "2026-03-03", "2026-03-02", False),
        ("2026-03-02", "2026-03-01", "2026-03-02", False),  # seen too lately
        ("2026-03-01", "2026-03-03", None, True),  # a run that asks for all
        ("2026-03-02", "-infinity", "2026-03-02", True),
        ("2026-02-20", "2099-01-01", "2026-03-02", True),  # whatever was scheduled, not later than a week
        ("2099-01-01", "2099-01-01", "2026-03-02", True),  # by a clock that was wrong
    ],
)
async def test_when_a_page_is_due(connection: Connection, seen, next_check, due_by, is_due) -> None:
    query = "SELECT is_page_due(%s, %s, '2026-03-01', %s, '7 days')"
    assert await value(connection, query, seen, next_check, due_by) is is_due


class TestReuse:
    async def test_a_vector_is_found_wherever_its_text_was_embedded(self, index: Index, connection: Connection) -> None:
        other_source, _ = await sources.add(connection, "https://other.org/")
        other = await Index.opened(connection, other_source, index.model)
        await other.write(page("https://other.org/a", "shared"), page("https://other.org/b", "shared"))

        found = await pages.reusable_vectors(connection, index.model.id, [digest("shared"), digest("new")])

        assert {key: (tuple(reused), tokens) for key, (reused, tokens) in found.items()} == {
            digest("shared"): (tuple(vector("shared")), len("shared"))
        }

    async def test_vectors_of_other_models_are_not_reused(self, index: Index, connection: Connection) -> None:
        await index.write(page(index.url("a"), "one"))

        assert await pages.reusable_vectors(connection, index.model.id + 1, [digest("one")]) == {}

    async def test_a_token_count_that_was_never_known_is_told_as_such(self, index: Index) -> None:
        await index.write(page(index.url("a"), "one", chunks=[replace(chunk("one"), token_count=None)]))

        told = await pages.own_chunks(index.connection, index.source.id, index.model.id, [index.url("a")])
        assert told == {index.url("a"): {digest("one"): None}}

    async def test_own_chunks_are_told_for_each_page(self, index: Index, connection: Connection) -> None:
        urls = [index.url(name) for name in ("a", "b", "empty", "unknown")]
        await index.write(page(urls[0], "one", "two"), page(urls[1], "two"), page(urls[2]))

        assert await pages.own_chunks(connection, index.source.id, index.model.id, urls) == {
            urls[0]: {digest("one"): 3, digest("two"): 3},
            urls[1]: {digest("two"): 3},
        }


async def test_the_invariant_tells_every_kind_of_broken_page(index: Index, connection: Connection) -> None:
    names = ["duplicate", "extra", "lacks", "manifest", "other"]  # in the order of their URLs, and so of their ids
    await index.write(*(page(index.url(name), "one", "two") for name in names))
    by_name = {name: (await index.known(index.url(name))).id for name in names}
    await connection.execute("DELETE FROM page_embeddings WHERE page_id = %s AND content = 'one'", (by_name["lacks"],))
    await connection.execute(
        "UPDATE page_embeddings SET chunk_hash = 'x' WHERE page_id = %s AND content = 'one'", (by_name["extra"],)
    )
    await connection.execute("UPDATE scraped_pages SET chunk_hashes = '{}' WHERE id = %s", (by_name["manifest"],))
    await connection.execute(
        "UPDATE scraped_pages SET duplicate_of = %s WHERE id = %s", (by_name["other"], by_name["duplicate"])
    )

    broken = await pages.broken_pages(connection)

    assert broken == [(by_name[name], index.source.id, index.url(name)) for name in names[:4]]
