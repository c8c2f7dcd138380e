"""The sample of a source's pages from which boilerplate is learned, and how each page was recognised."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from db import boilerplate, page_writes
from db.boilerplate import Learned, Sample
from db.page_rows import DuplicatePage, Fetch, Recognised, Schedule, SeenPage
from tests.support.index import page
from tests.support.postgres import plan, rows, value

if TYPE_CHECKING:
    from tests.support.index import Index

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SCHEDULE = Schedule(NOW, DAY, 2 * DAY, 0.9, lambda _: DAY)
ONE, TWO = b"1" * 16, b"2" * 16


async def ids(index: Index) -> dict[str, int]:
    found = await rows(index.connection, "SELECT url, id FROM scraped_pages")
    return {url.removeprefix(index.source.start_url): page_id for url, page_id in found}


async def sample(index: Index, name: str, *units: bytes, kind: str = "article", reader: str = "r") -> None:
    found = Sample((await ids(index))[name], boilerplate.place(index.url(name)), kind, reader, units)
    await boilerplate.record_samples(index.connection, index.source.id, [found])


async def recognise(index: Index, kind: str, *names: str) -> None:
    """Let pages have been recognised as a kind when they were last read."""
    query = """
        INSERT INTO page_checks (page_id, source_id, next_check_at, check_interval, kind)
        SELECT id, source_id, now(), '1 day', %s FROM scraped_pages WHERE url = ANY (%s)
        ON CONFLICT (page_id) DO UPDATE SET kind = EXCLUDED.kind
    """
    await index.connection.execute(query, (kind, [index.url(name) for name in names]))


async def repeated(index: Index, least: int = 1) -> boilerplate.Repeated:
    return await boilerplate.repeated(index.connection, index.source.id, reader="r", least=least)


@pytest.fixture
async def three(index: Index) -> Index:
    await index.write(*(page(index.url(name), name) for name in "abc"))
    return index


async def test_a_page_counts_once_however_often_it_is_read(three: Index) -> None:
    for _ in range(3):
        await sample(three, "a", ONE, TWO)
    await sample(three, "b", ONE)
    await sample(three, "c")
    found = await repeated(three)
    assert found.sampled == {"article": 3}
    assert found.pages == {("article", ONE): 2, ("article", TWO): 1}
    assert (await repeated(three, least=2)).pages == {("article", ONE): 2}


async def test_a_page_that_is_read_again_as_it_was_is_not_written(three: Index) -> None:
    await sample(three, "a", ONE)
    before = await value(three.connection, "SELECT xmin::text FROM page_samples")
    await sample(three, "a", ONE)
    assert await value(three.connection, "SELECT xmin::text FROM page_samples") == before
    await sample(three, "a", TWO)
    assert (await repeated(three)).pages == {("article", TWO): 1}


async def test_pages_read_in_another_way_and_duplicates_do_not_count(three: Index) -> None:
    await sample(three, "a", ONE)
    await sample(three, "b", ONE, reader="other")
    await sample(three, "c", ONE)
    original = (await ids(three))["a"]
    async with page_writes.write(three.connection, three.source.domain, three.fence):
        row = page(three.url("c"), manifest=[], chunks=[])
        await page_writes.write_duplicates(three.connection, three.source.id, [DuplicatePage(row, original)])
    found = await repeated(three)
    assert (found.sampled, found.pages) == ({"article": 1}, {("article", ONE): 1})


async def test_a_page_that_leaves_the_index_leaves_the_sample(three: Index) -> None:
    await sample(three, "a", ONE)
    await three.connection.execute("DELETE FROM scraped_pages WHERE url = %s", (three.url("a"),))
    assert (await repeated(three)).sampled == {}


async def test_the_sample_is_trimmed_to_the_pages_with_the_smallest_places(three: Index) -> None:
    for name in "abc":
        await sample(three, name, ONE)
    places = sorted(boilerplate.place(three.url(name)) for name in "abc")
    await boilerplate.trim(three.connection, three.source.id, 3)
    assert await boilerplate.places(three.connection, three.source.id, 9) == places
    await boilerplate.trim(three.connection, three.source.id, 2)
    assert await boilerplate.places(three.connection, three.source.id, 9) == places[:2]


async def test_what_is_learned_again_stays_applied_and_what_is_not_is_forgotten(three: Index) -> None:
    connection, source_id = three.connection, three.source.id
    await boilerplate.learn(connection, source_id, [Learned("article", ONE, 10, 12), Learned("thread", TWO, 10, 12)])
    await boilerplate.applied(connection, source_id, {("article", ONE): "One.", ("thread", TWO): None})
    await boilerplate.learn(connection, source_id, [Learned("article", ONE, 20, 30), Learned("article", TWO, 9, 30)])
    assert await boilerplate.learned(connection, source_id) == [
        Learned("article", ONE, 20, 30, "One.", is_applied=True),
        Learned("article", TWO, 9, 30),
    ]
    await boilerplate.learn(connection, source_id, [])
    assert await boilerplate.learned(connection, source_id) == []


async def successors(index: Index, *gone: str) -> dict[boilerplate.Unit, str]:
    wanted = [("article", ONE), ("article", TWO)]
    urls = [index.url(name) for name in gone]
    found = await boilerplate.successors(index.connection, index.source.id, wanted, reader="r", gone=urls)
    return {unit: url.removeprefix(index.source.start_url) for unit, url in found.items()}


async def test_the_page_with_least_else_is_to_keep_a_unit(three: Index) -> None:
    await sample(three, "a", ONE, TWO)
    await sample(three, "b", ONE)
    await sample(three, "c", ONE, reader="other")
    await recognise(three, "article", *"abc")
    assert await successors(three) == {("article", ONE): "b", ("article", TWO): "a"}
    assert await successors(three, "b") == {("article", ONE): "a", ("article", TWO): "a"}
    assert await successors(three, "a", "b") == {}
    await sample(three, "a", ONE)
    first = min("ab", key=lambda name: boilerplate.place(three.url(name)))
    assert await successors(three) == {("article", ONE): first}
    await recognise(three, "listing", first)  # what it says now is not in the sample
    (other,) = {"a", "b"} - {first}
    assert await successors(three) == {("article", ONE): other}


async def test_no_duplicate_is_to_keep_a_unit_and_its_original_only_where_there_is_no_other(three: Index) -> None:
    for name, *units in (("a", ONE), ("b", ONE, TWO), ("c", ONE)):
        await sample(three, name, *units)
    await recognise(three, "article", *"abc")
    original = (await ids(three))["a"]
    async with page_writes.write(three.connection, three.source.domain, three.fence):
        row = page(three.url("c"), manifest=[], chunks=[])
        await page_writes.write_duplicates(three.connection, three.source.id, [DuplicatePage(row, original)])
    assert (await successors(three))["article", ONE] == "b"
    assert (await successors(three, "b"))["article", ONE] == "a"


async def test_a_keeper_that_leaves_the_index_or_becomes_a_duplicate_keeps_nothing(three: Index) -> None:
    connection, source_id = three.connection, three.source.id
    found = [Learned("article", ONE, 9, 9, keeper=three.url("a")), Learned("article", TWO, 9, 9, keeper=three.url("c"))]
    await boilerplate.learn(connection, source_id, found)
    assert sorted(await boilerplate.learned(connection, source_id), key=lambda each: each.unit_hash) == found
    assert set(await boilerplate.keepers(connection, source_id)) == {three.url("a"), three.url("c")}

    original = (await ids(three))["b"]
    async with page_writes.write(connection, three.source.domain, three.fence):
        row = page(three.url("c"), manifest=[], chunks=[])
        await page_writes.write_duplicates(connection, source_id, [DuplicatePage(row, original)])
    assert set(await boilerplate.keepers(connection, source_id)) == {three.url("a")}
    await connection.execute("DELETE FROM scraped_pages WHERE url = %s", (three.url("a"),))
    assert await boilerplate.keepers(connection, source_id) == {}
    assert [each.keeper for each in await boilerplate.learned(connection, source_id)] == [None, three.url("c")]


async def test_a_page_that_lacks_what_it_keeps_is_read_by_the_next_run(three: Index) -> None:
    fetch = Fetch(NOW, 1, "r", None, 0)
    seen = [SeenPage(page_id, three.url(name), fetch=fetch) for name, page_id in (await ids(three)).items()]
    async with page_writes.write(three.connection, three.source.domain, three.fence):
        await page_writes.record_checks(
            three.connection, three.source.id, three.model.id, SCHEDULE, written={}, seen=seen
        )
    await boilerplate.read_soon(three.connection, three.source.id, [three.url("b")])
    query = "SELECT p.url FROM page_checks AS c JOIN scraped_pages AS p ON p.id = c.page_id WHERE {}"
    soon = await rows(three.connection, query.format("next_check_at = '-infinity' AND reader = ''"))
    assert soon == [(three.url("b"),)]


async def test_the_kind_of_a_page_stays_while_its_body_does_and_goes_when_it_is_read_otherwise(three: Index) -> None:
    page_id = (await ids(three))["a"]

    async def checked(fetch: Fetch | None) -> tuple[object, ...]:
        seen = SeenPage(page_id, three.url("a"), fetch=fetch)
        async with page_writes.write(three.connection, three.source.domain, three.fence):
            await page_writes.record_checks(
                three.connection, three.source.id, three.model.id, SCHEDULE, written={}, seen=[seen]
            )
        return (await rows(three.connection, "SELECT kind, evidence FROM page_checks"))[0]

    recognised = Recognised("thread", {"posts": 7, "share": 0.9})
    read = ("thread", {"posts": 7, "share": 0.9})
    assert await checked(Fetch(NOW, 1, "r", None, 0, recognised)) == read
    assert await checked(Fetch(NOW, 1, "r", None, 0)) == read
    assert await checked(None) == read
    assert await checked(Fetch(NOW, 1, "other", None, 0)) == (None, None)
    assert await boilerplate.kinds(three.connection, three.source.id) == {None: 1}


async def test_the_sample_is_found_by_its_index(three: Index) -> None:
    await three.connection.execute(
        """
        INSERT INTO scraped_pages (source_id, url, content, content_hash)
        SELECT %s, %s || 'n' || n, '', '' FROM generate_series(1, 3000) AS n
        """,
        (three.source.id, three.source.start_url),
    )
    await three.connection.execute(
        "INSERT INTO page_samples SELECT id, source_id, id, 'article', 'r', '{}' FROM scraped_pages"
    )
    await three.connection.execute("ANALYZE page_samples")
    query = boilerplate._SQL["places"]
    found = await plan(three.connection, query, {"source_id": three.source.id, "limit": 512})
    assert "page_samples_place_idx" in str(found)
