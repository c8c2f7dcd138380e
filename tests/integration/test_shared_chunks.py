"""Chunks that two models have of a page: what the active one stores of them is taken over, not made again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from db import manifests, models
from db.errors import IncompleteWrite
from db.manifests import Entry
from db.models import Model
from tests.support.index import DIMENSIONS, Index, chunk, digest, page
from tests.support.postgres import rows, value

if TYPE_CHECKING:
    from db.connection import Connection

OTHER = Model(0, "local", "other", DIMENSIONS, "test-1")
WORDS = """
    SELECT m.name, e.heading, e.language, e.content, e.search::text
    FROM page_embeddings AS e JOIN embedding_models AS m ON m.id = e.model_id
    ORDER BY e.id
"""
FALSE_WORDS = "SELECT count(*) FROM page_embeddings WHERE search <> lcl_chunk_words(language, heading, content)"


@pytest.fixture
async def other(connection: Connection, model: Model) -> Model:
    """A model that is being built, and cuts pages as the active one does."""
    return await models.build(connection, replace(OTHER, chunker_version=model.chunker_version))


async def write(index: Index, *texts: str, heading: str | None = "Top", language: str | None = "en") -> str:
    """Write a page of these texts under the active model."""
    url = index.url("a")
    chunks = [chunk(text, heading=heading) for text in dict.fromkeys(texts)]
    await index.write(page(url, *texts, language=language, chunks=chunks))
    return url


async def cover(index: Index, other: Model, *, content: bool = False) -> None:
    """Cover the pending pages under the other model, without giving the texts, or giving them."""
    for found in await manifests.pending(index.connection, other.id, limit=1000):
        rows_of = [replace(chunk(text), content=text if content else None) for text in found.texts]
        entry = Entry(found.id, found.url, found.language, found.content_hash, found.manifest, rows_of)
        async with index.connection.transaction():
            await manifests.cover(index.connection, found.source_id, other.id, [entry])


async def test_chunks_of_the_active_model_come_instead_of_the_text(index, connection, other):
    await write(index, "one", "two", "one")
    (found,) = await manifests.pending(connection, other.id)
    assert found.manifest == [digest("one"), digest("two"), digest("one")]
    assert sorted(zip(found.hashes, found.texts, strict=True)) == sorted(
        (digest(text), text) for text in ("one", "two")
    )
    assert found.content is None


async def test_the_text_comes_where_the_model_cuts_otherwise(index, connection, model):
    await write(index, "one", "two")
    finer = await models.build(connection, replace(OTHER, chunker_version="test-2"))
    (found,) = await manifests.pending(connection, finer.id)
    assert (found.content, found.manifest, found.hashes, found.texts) == ("one\n\ntwo", None, None, None)


async def test_the_text_comes_where_a_chunk_is_missing(index, connection, other):
    await write(index, "one", "two")
    await connection.execute("DELETE FROM page_embeddings WHERE content = 'one'")
    (found,) = await manifests.pending(connection, other.id)
    assert (found.content, found.manifest, found.hashes, found.texts) == ("one\n\ntwo", None, None, None)


async def test_text_heading_language_and_words_are_taken_over(index, connection, other):
    await write(index, "running dogs")
    await cover(index, other)
    (*_, first), (*_, second) = found = await rows(connection, WORDS)
    assert [row[1:4] for row in found] == [("Top", "en", "running dogs")] * 2
    assert first == second == "'dog':3 'run':2 'top':1A"


async def test_what_the_active_model_has_not_is_not_believed(index, connection, other):
    await write(index, "one")
    (found,) = await manifests.pending(connection, other.id)
    await connection.execute("DELETE FROM page_embeddings")
    rows_of = [replace(chunk("one"), content=None)]
    entry = Entry(found.id, found.url, None, found.content_hash, [digest("one")], rows_of)
    with pytest.raises(IncompleteWrite):
        await manifests.cover(connection, found.source_id, other.id, [entry])


async def test_a_chunk_that_is_kept_without_its_text_gets_the_new_heading(index, connection, other):
    await write(index, "running", heading="Old")
    await cover(index, other)
    await write(index, "running", "two", heading="New")
    (found,) = await manifests.pending(connection, other.id)
    kept = replace(chunk("running", believed=True), content=None)
    entry = Entry(
        found.id, found.url, None, found.content_hash, found.manifest or (), [kept, replace(chunk("two"), content=None)]
    )
    async with connection.transaction():
        await manifests.cover(connection, found.source_id, other.id, [entry])
    assert {row[1] for row in await rows(connection, WORDS) if row[0] == "other"} == {"New"}
    assert await value(connection, FALSE_WORDS) == 0


@pytest.mark.parametrize(("heading", "language"), [("Else", "en"), ("Top", "nl"), (None, None)])
async def test_words_are_made_anew_where_heading_or_language_differ(index, connection, other, heading, language):
    await write(index, "running dogs")
    await cover(index, other)
    await write(index, "running dogs", heading=heading, language=language)
    await cover(index, other, content=True)
    assert await value(connection, FALSE_WORDS) == 0


async def test_words_follow_a_text_whoever_writes_it(index, connection, model):
    await write(index, "running dogs")
    await connection.execute("UPDATE page_embeddings SET heading = 'Walking', search = NULL")
    assert await value(connection, "SELECT search::text FROM page_embeddings") == "'dog':3 'run':2 'walk':1A"
    await connection.execute("UPDATE page_embeddings SET language = 'nl'")
    assert await value(connection, FALSE_WORDS) == 0


async def test_a_model_without_statistics_is_written_by_the_keys_of_its_pages(index, connection, other):
    """What a model has of other pages is not read, though the planner believes that there is none."""
    urls = [index.url(str(number)) for number in range(300)]
    await index.write(*(page(url, f"{url} one", f"{url} two") for url in urls))
    await connection.execute("ANALYZE page_embeddings")
    await cover(index, other)
    await index.write(*(page(url, f"{url} one") for url in urls[:20]))
    changed = await manifests.pending(connection, other.id)
    entries = [
        Entry(
            each.id,
            each.url,
            None,
            each.content_hash,
            each.manifest or (),
            [chunk(text) for text in each.texts],
        )
        for each in changed
    ]
    read = """
        SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid))
        FROM pg_index WHERE indrelid = 'page_embeddings'::regclass
    """
    async with connection.transaction():
        before = await value(connection, read)
        await manifests.cover(connection, index.source.id, other.id, entries)
        assert 20 <= await value(connection, read) - before <= 200


async def test_a_model_with_embeddings_cannot_be_deleted(index, connection, other):
    await write(index, "one")
    await cover(index, other)
    await connection.execute("DELETE FROM page_manifests")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="still has embeddings"):
        await connection.execute("DELETE FROM embedding_models WHERE id = %s", (other.id,))
