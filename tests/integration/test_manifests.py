"""Which pages the models beside the active one cover, and that whatever moves or drops embeddings moves these along."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from db import manifests, models, page_writes, pages
from db.connection import connect
from db.errors import IncompleteWrite, ModelMismatch
from db.manifests import Entry
from db.models import Model
from db.page_rows import Cover, Departure, DuplicatePage
from tests.support.index import Index, chunk, digest, page, vector
from tests.support.postgres import rows, value

if TYPE_CHECKING:
    from db.connection import Connection
    from db.page_rows import PageRow

OTHER = Model(0, "local", "other", 6, "test-1")


@pytest.fixture
async def other(connection: Connection, model: Model) -> Model:
    """A model that is being built."""
    return await models.build(connection, OTHER)


def covered(row: PageRow, model: Model, *texts: str, believed: tuple[str, ...] = ()) -> PageRow:
    """Return a page that is written under another model, too, there with these chunks."""
    chunks = [
        chunk(text, embedding=None if text in believed else vector(text, model.dimensions), believed=text in believed)
        for text in dict.fromkeys(texts)
    ]
    return replace(row, covers=[*row.covers, Cover(model.id, [digest(text) for text in texts], chunks)])


async def write(index: Index, *written: PageRow) -> None:
    async with page_writes.write(index.connection, index.source.domain, index.fence) as roles:
        ids = await page_writes.replace_pages(index.connection, index.source.id, index.model.id, written)
        for model_id in roles.building:
            await page_writes.cover_pages(index.connection, index.source.id, model_id, written, ids)


async def texts(index: Index, model: Model, url: str) -> set[str]:
    return await replace(index, model=model).texts(url)


async def pending(connection: Connection, model: Model) -> list[str]:
    return [each.url for each in await manifests.pending(connection, model.id)]


async def test_a_page_written_under_both_models_is_covered(index, connection, other):
    a = index.url("a")
    await write(index, covered(page(a, "one", "two"), other, "one two"))
    assert await index.texts(a) == {"one", "two"}
    assert await texts(index, other, a) == {"one two"}
    assert await pending(connection, other) == []
    assert await pages.broken_pages(connection) == []


async def test_a_page_that_changes_under_the_active_model_alone_is_no_longer_covered(index, connection, other):
    a, b = index.url("a"), index.url("b")
    await write(index, covered(page(a, "one"), other, "one"), covered(page(b, "two"), other, "two"))
    await write(index, page(a, "one changed"))
    assert await pending(connection, other) == [a]
    assert await manifests.count_pending(connection, other.id) == 1
    assert await texts(index, other, a) == {"one"}


async def test_a_cover_that_would_be_incomplete_leaves_the_page_whole_and_uncovered(index, connection, other):
    a = index.url("a")
    await write(index, covered(page(a, "one"), other, "one", "two", believed=("two",)))
    assert await index.texts(a) == {"one"}
    assert await texts(index, other, a) == set()
    assert await pending(connection, other) == [a]


async def test_a_page_without_text_is_covered_by_an_empty_manifest(index, connection, other):
    await write(index, covered(page(index.url("a")), other))
    assert await pending(connection, other) == []


async def test_a_retired_model_is_written_no_more(index, connection, other):
    await models.retire(connection, other)
    await write(index, covered(page(index.url("a"), "one"), other, "one"))
    assert await texts(index, other, index.url("a")) == set()


async def test_the_active_model_cannot_be_retired(connection, model):
    with pytest.raises(ModelMismatch, match="make another model active"):
        await models.retire(connection, model)


async def test_a_retired_model_that_is_built_again_keeps_what_it_covers(index, connection, other):
    await write(index, covered(page(index.url("a"), "one"), other, "one"))
    await models.retire(connection, other)
    again = await models.build(connection, OTHER)
    assert (again.id, again.state) == (other.id, "building")
    assert await pending(connection, again) == []


async def test_building_the_active_model_leaves_it_active(connection, model):
    assert (await models.build(connection, model)).state == "active"


async def test_an_heir_inherits_what_covers_its_original(index, connection, other):
    a, b = index.url("a"), index.url("b")
    await write(index, covered(page(a, "one"), other, "one"))
    known = await index.known(a)
    async with page_writes.write(connection, index.source.domain, index.fence):
        twin = replace(page(b, "one"), chunks=(), manifest=())
        await page_writes.write_duplicates(connection, index.source.id, [DuplicatePage(twin, known.id)])
    await index.bury(uuid4(), Departure(a, "gone", 404))
    assert await texts(index, other, b) == {"one"}
    assert await pending(connection, other) == []
    assert await pages.broken_covers(connection) == []


async def test_a_page_that_becomes_a_duplicate_needs_no_cover_and_has_none(index, connection, other):
    a, b = index.url("a"), index.url("b")
    await write(index, covered(page(a, "one"), other, "one"), covered(page(b, "two"), other, "two"))
    known = await index.known(a)
    async with page_writes.write(connection, index.source.domain, index.fence):
        twin = replace(page(b, "one"), chunks=(), manifest=())
        await page_writes.write_duplicates(connection, index.source.id, [DuplicatePage(twin, known.id)])
    assert await texts(index, other, b) == set()
    assert await value(connection, "SELECT count(*) FROM page_manifests") == 1
    assert await pending(connection, other) == []
    assert await pages.broken_covers(connection) == []


async def test_what_covers_a_page_goes_with_it(index, connection, other):
    await write(index, covered(page(index.url("a"), "one"), other, "one"))
    await index.bury(uuid4(), Departure(index.url("a"), "gone", 410))
    assert await value(connection, "SELECT count(*) FROM page_manifests") == 0
    assert await value(connection, "SELECT count(*) FROM page_embeddings") == 0


async def test_a_manifest_that_does_not_name_its_embeddings_is_found(index, connection, other):
    a, b = index.url("a"), index.url("b")
    await write(index, covered(page(a, "one"), other, "one"), covered(page(b, "two"), other, "two"))
    assert await pages.broken_covers(connection) == []
    await connection.execute(
        "UPDATE page_manifests SET chunk_hashes = '{}' WHERE chunk_hashes = %s", ([digest("one")],)
    )
    assert [url for _, _, url in await pages.broken_covers(connection)] == [a]


async def test_embeddings_without_a_manifest_are_found(index, connection, other):
    await write(index, covered(page(index.url("a"), "one"), other, "one"))
    await connection.execute("DELETE FROM page_manifests")
    assert [url for _, _, url in await pages.broken_covers(connection)] == [index.url("a")]


class TestBuilding:
    """What building a model reads, and how it writes."""

    async def test_pages_come_by_id_and_no_more_than_fit(self, index, connection, other):
        names = ["a", "b", "c"]
        await write(index, *(page(index.url(name), name * 100) for name in names))
        first = await manifests.pending(connection, other.id, max_bytes=150)
        assert [each.url for each in first] == [index.url("a"), index.url("b")]
        rest = await manifests.pending(connection, other.id, after=first[-1].id, max_bytes=1)
        assert [each.url for each in rest] == [index.url("c")]

    async def test_a_page_that_changed_meanwhile_is_not_held(self, index, connection, other):
        await write(index, page(index.url("a"), "one"), page(index.url("b"), "two"))
        found = await manifests.pending(connection, other.id)
        await write(index, page(index.url("a"), "one changed"))
        async with connection.transaction():
            assert await manifests.hold_unchanged(connection, found) == {found[1].id}

    async def test_a_page_that_is_just_being_written_is_left_out_and_not_waited_for(
        self, index, connection, other, database_url
    ):
        await write(index, page(index.url("a"), "one"), page(index.url("b"), "two"))
        found = await manifests.pending(connection, other.id)
        async with connect(database_url) as second, second.transaction(), connection.transaction():
            await second.execute("UPDATE scraped_pages SET title = 'x' WHERE url = %s", (index.url("a"),))
            assert await manifests.hold_unchanged(connection, found) == {found[1].id}

    async def test_a_cover_must_be_complete(self, index, connection, other):
        await write(index, page(index.url("a"), "one"))
        (found,) = await manifests.pending(connection, other.id)
        entry = Entry(found.id, found.url, None, found.content_hash, [digest("one")], [chunk("one", believed=True)])
        with pytest.raises(IncompleteWrite):
            await manifests.cover(connection, index.source.id, other.id, [entry])

    async def test_a_refused_page_is_named_and_not_tried_again_until_its_text_changes(self, index, connection, other):
        a = index.url("a")
        await write(index, page(a, "one"))
        found = await manifests.pending(connection, other.id)
        await manifests.refuse(connection, other.id, [(found[0], "too long")])
        assert await manifests.refused(connection, other.id) == [(a, "too long")]
        assert await pending(connection, other) == []
        await write(index, page(a, "shorter"))
        assert await manifests.refused(connection, other.id) == []
        assert await pending(connection, other) == [a]

    async def test_refusals_can_be_forgotten(self, index, connection, other):
        await write(index, covered(page(index.url("a"), "one"), other, "one"), page(index.url("b"), "two"))
        (found,) = await manifests.pending(connection, other.id)
        await manifests.refuse(connection, other.id, [(found, "no")])
        assert await manifests.forget_refusals(connection, other.id) == 1
        assert await pending(connection, other) == [index.url("b")]

    async def test_only_one_process_at_a_time_works_on_a_model(self, connection, other, database_url):
        async with connect(database_url) as second:
            assert await models.reserve(second, other)
            assert not await models.reserve(connection, other)
        assert await rows(connection, "SELECT pg_advisory_unlock_all()")
