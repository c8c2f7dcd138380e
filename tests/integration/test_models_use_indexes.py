"""What building, switching and freeing a model reads in a large index, it reads by key (A27)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from db import activation, coverage, manifests, models, pending
from db.models import Model
from tests.support.index import DIMENSIONS, digest
from tests.support.postgres import plan

if TYPE_CHECKING:
    from db.connection import Connection
    from db.sources import Source

PAGES = 5000


@pytest.fixture
async def building(connection: Connection, source: Source, model: Model) -> Model:
    """A model that covers the first half of 5,000 pages, each of two chunks under either model."""
    made = await models.build(connection, Model(0, "local", "other", DIMENSIONS, "test-1"))
    await connection.execute(
        """
        INSERT INTO scraped_pages (source_id, url, content, content_hash)
        SELECT %s, %s || n, repeat('text ', 40), sha256(n::text::bytea) FROM generate_series(1, %s) AS n
        """,
        (source.id, source.start_url, PAGES),
    )
    await connection.execute(
        """
        INSERT INTO page_embeddings (page_id, source_id, model_id, chunk_hash, content, embedding)
        SELECT p.id, p.source_id, m.id, sha256((p.url || n)::bytea), 'word', '[1,2,3,4]'
        FROM scraped_pages AS p CROSS JOIN embedding_models AS m CROSS JOIN generate_series(1, 2) AS n
        """
    )
    await connection.execute(
        """
        INSERT INTO page_manifests (page_id, model_id, content_hash, chunk_hashes)
        SELECT id, %s, content_hash, '{}' FROM scraped_pages ORDER BY id LIMIT %s
        """,
        (made.id, PAGES // 2),
    )
    await connection.execute("VACUUM ANALYZE")
    return made


async def test_pending_pages_are_read_in_the_order_of_the_key(connection: Connection, building: Model) -> None:
    values = {"model_id": building.id, "after": PAGES // 2, "limit": 100, "max_bytes": 10**6}
    found = await plan(connection, manifests._SQL["pending"], values)
    assert "Index Scan using scraped_pages_pkey" in found
    assert "Seq Scan on scraped_pages" not in found
    # A sort of the hundred that were found, by the order they come in, is none of the table.
    assert "Sort Key: p.id" not in found


async def test_pages_are_held_by_their_key(connection: Connection, building: Model) -> None:
    ids = list(range(1, 60))
    values = {"page_ids": ids, "content_hashes": [digest(str(number)) for number in ids]}
    found = await plan(connection, manifests._SQL["hold_unchanged"], values)
    assert "Seq Scan" not in found


async def test_the_chunks_that_pages_have_are_read_by_page(connection: Connection, building: Model) -> None:
    values = {"model_id": building.id, "page_ids": list(range(1, 60))}
    found = await plan(connection, manifests._SQL["own_chunks"], values)
    assert "page_embeddings_page_id_model_id_chunk_hash_key" in found
    assert "Seq Scan" not in found


async def test_rows_are_freed_by_their_pages(connection: Connection, building: Model) -> None:
    values = {"model_id": building.id, "after": 100, "upto": 200}
    found = await plan(connection, activation._SQL["free"], values)
    assert "page_embeddings_page_id_model_id_chunk_hash_key" in found
    assert "page_manifests_pkey" in found
    assert "Seq Scan" not in found


@pytest.mark.parametrize("query", ["prepare_manifests", "drop_manifests"])
async def test_a_switch_is_prepared_and_settled_by_page(connection: Connection, building: Model, query: str) -> None:
    values = {"old": building.id, "model_id": building.id, "after": 100, "upto": 200}
    found = await plan(connection, activation._SQL[query], values)
    assert "page_manifests_pkey" in found
    assert "Seq Scan on page_manifests" not in found
    assert "Seq Scan on scraped_pages" not in found


async def test_the_chunks_of_pages_are_counted_by_page(connection: Connection, building: Model) -> None:
    await connection.execute(
        "INSERT INTO page_checks (page_id, source_id, next_check_at, check_interval) "
        "SELECT id, source_id, now(), '1 day' FROM scraped_pages"
    )
    await connection.execute("ANALYZE page_checks")
    values = {"model_id": building.id, "after": 100, "upto": 200}
    found = await plan(connection, activation._SQL["recount"], values)
    assert "page_embeddings_page_id_model_id_chunk_hash_key" in found
    assert "Seq Scan on page_" not in found
    assert "Seq Scan on scraped_pages" not in found


async def test_texts_for_batches_are_looked_up_by_their_hashes(connection: Connection, building: Model) -> None:
    await connection.execute(
        "INSERT INTO pending_texts (model_id, chunk_hash, text, for_pages) "
        "SELECT %s, sha256(n::text::bytea), 'word', false FROM generate_series(1, %s) AS n",
        (building.id, PAGES),
    )
    await connection.execute("ANALYZE pending_texts")
    hashes = [digest(str(number)) for number in range(1000)]
    values = {"model_id": building.id, "chunk_hashes": hashes, "texts": ["word"] * len(hashes)}
    for query in ("record", "asked", "drop_embedded_texts"):
        found = await plan(connection, pending._SQL[query], values)
        assert "Seq Scan on page_embeddings" not in found, query
        assert "Seq Scan on pending_texts" not in found or query == "drop_embedded_texts"  # which is for all of them


async def test_a_summary_of_the_models_reads_none_of_their_tables(connection: Connection, building: Model) -> None:
    found = await plan(connection, coverage._SQL["by_statistics"])
    for table in ("scraped_pages", "page_embeddings", "page_manifests"):
        assert f"on {table}" not in found
    told = {each.id: each for each in await coverage.summary(connection, small=0)}
    counted = {each.id: each for each in await coverage.summary(connection)}
    assert {each.is_estimate for each in told.values()} == {True}
    assert {each.is_estimate for each in counted.values()} == {False}
    made = told[building.id]
    assert (made.state, made.pages, made.covered, made.chunks) == ("building", PAGES, PAGES // 2, 2 * PAGES)
    assert counted[building.id].covered == made.covered
    assert {each.chunks for each in counted.values()} == {each.chunks for each in told.values()}


async def test_a_summary_of_tables_that_nobody_analysed_is_counted(connection: Connection, model: Model) -> None:
    (told,) = await coverage.summary(connection, small=-1)
    assert (told.id, told.is_estimate, told.pages) == (model.id, False, 0)


async def test_what_covers_a_page_is_found_when_the_page_goes(connection: Connection, building: Model) -> None:
    query = "SELECT FROM page_manifests WHERE page_id = 1"  # as the foreign key's own query asks
    assert "page_manifests_pkey" in await plan(connection, query)
