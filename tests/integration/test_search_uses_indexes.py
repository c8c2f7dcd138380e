"""Searches of a large index use its indexes, filtered or not (A27). The planner is left as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db import indexes, models, search, sources
from db.connection import Connection, connect
from db.search import Filters
from tests.support.postgres import rows, value

if TYPE_CHECKING:
    from db.models import Model

DIMENSIONS, PAGES, CHUNKS_A_PAGE = 64, 2000, 3
QUERY = np.full(DIMENSIONS, 0.5, np.float32)


async def fill(url: str) -> Model:
    """Write a source of 1,950 pages and one of 50, of chunks as large as real ones, and build the search indexes."""
    async with connect(url) as connection:
        model = await models.ensure_active(
            connection, provider="local", name="large", dimensions=DIMENSIONS, chunker_version="1"
        )
        for each in ("https://large.org/", "https://small.org/"):
            await sources.add(connection, each)
        await connection.execute("SELECT setseed(0.5)")
        await connection.execute(
            """
            INSERT INTO scraped_pages (source_id, url, language, content, content_hash, chunk_hashes, last_changed_at)
            SELECT s.id, s.start_url || CASE WHEN n %% 1000 = 0 THEN 'rare/' ELSE 'docs/' END || n,
                   CASE WHEN n %% 500 = 0 THEN 'fi' ELSE 'en' END, repeat('text ', 40), sha256(n::text::bytea),
                   array_fill('\\x00'::bytea, ARRAY[%(chunks)s]), now() - n * interval '1 hour'
            FROM generate_series(1, %(pages)s) AS n
            JOIN scraper_sources AS s ON s.slug = CASE WHEN n %% 40 = 0 THEN 'small-org' ELSE 'large-org' END
            """,
            {"pages": PAGES, "chunks": CHUNKS_A_PAGE},
        )
        await connection.execute(
            """
            INSERT INTO page_embeddings (page_id, source_id, model_id, language, chunk_hash, content, embedding)
            SELECT p.id, p.source_id, %s, p.language, sha256((p.url || n)::bytea),
                   'word' || (p.id * 7 + n) %% 500 || t.rest,
                   ARRAY(SELECT random() + 0 * p.id * n FROM generate_series(1, %s))::vector
            FROM scraped_pages AS p, generate_series(1, %s) AS n, LATERAL (
                SELECT ' ' || string_agg(md5(format('%%s %%s %%s', p.id, n, i)), '') AS rest
                FROM generate_series(1, 25) AS i
            ) AS t
            """,
            (model.id, DIMENSIONS, CHUNKS_A_PAGE),
        )
        await connection.execute("INSERT INTO indexed_languages VALUES ('en'), ('fi') ON CONFLICT DO NOTHING")
        assert len(await indexes.ensure(connection, model, min_chunks=1)) == 2
        await connection.execute("VACUUM ANALYZE")
        return model


@pytest.fixture(scope="module")
def filled(make_database: Callable[[str], str], template: str) -> Iterator[str]:
    """The name of a database with a large index."""
    url = make_database(template)
    asyncio.run(fill(url))
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
async def large(filled: str, make_database: Callable[[str], str]) -> AsyncIterator[Connection]:
    """A connection to a copy of it, whose statistics of use begin at zero."""
    async with connect(make_database(filled)) as connection:
        yield connection


async def used(connection: Connection) -> set[str]:
    """Return the names of the indexes that were used."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    found = await rows(connection, "SELECT indexrelname FROM pg_stat_user_indexes WHERE idx_scan > 0")
    return {name for (name,) in found}


async def read_in_whole(connection: Connection) -> int:
    """Return how many rows of pages and chunks were read from end to end."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    counted = await value(
        connection,
        "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('page_embeddings', 'scraped_pages')",
    )
    return int(counted)


@pytest.mark.parametrize("query", ["word7", 'word7 word8 -word9 -"word10 word11"'])
async def test_a_search_uses_both_indexes(large: Connection, query: str) -> None:
    hits = await search.search_pages(large, query, QUERY)

    assert len(hits) == 10
    assert {"page_embeddings_vector_1_idx", "page_embeddings_text_1_idx"} <= await used(large)
    assert await read_in_whole(large) == 0


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(path_prefix="/rare/"), "scraped_pages_path_idx"),
        (Filters(languages=["fi"]), "scraped_pages_language_idx"),
        (Filters(path_prefix="/docs/", languages=["fi"]), "scraped_pages_language_idx"),
    ],
    ids=["path", "language", "both"],
)
async def test_a_filter_that_leaves_few_pages_finds_them_by_its_index(
    large: Connection, filters: Filters, index: str
) -> None:
    assert await search.search_pages(large, "word7", QUERY, filters=filters)

    assert index in await used(large)
    assert await read_in_whole(large) == 0


async def test_pages_changed_lately_are_found_by_their_index(large: Connection) -> None:
    since = await value(large, "SELECT now() - interval '1 day'")

    hits = await search.search_pages(large, None, QUERY, filters=Filters(changed_since=since))

    assert len(hits) == 10
    assert "scraped_pages_changed_idx" in await used(large)
    assert await read_in_whole(large) == 0


async def test_a_small_source_is_compared_chunk_by_chunk(large: Connection) -> None:
    small = await sources.get(large, "small-org")

    hits = await search.search_pages(large, None, QUERY, limit=100, filters=Filters(source_ids=[small.id]))

    exact = await rows(
        large,
        """
        SELECT page_id
        FROM page_embeddings
        WHERE source_id = %s
        GROUP BY page_id
        ORDER BY min(embedding <=> %s::vector)
        LIMIT 10
        """,
        small.id,
        str(QUERY.tolist()),
    )
    assert [hit.page_id for hit in hits[:10]] == [page_id for (page_id,) in exact]
    assert "page_embeddings_vector_1_idx" not in await used(large)


@pytest.mark.parametrize(
    "filters", [Filters(path_prefix="/docs/"), Filters(languages=["en"])], ids=["path", "language"]
)
async def test_a_filter_that_leaves_most_pages_is_applied_while_the_index_is_scanned(
    large: Connection, filters: Filters
) -> None:
    hits = await search.search_pages(large, "word7", QUERY, filters=filters)

    assert len(hits) == 10
    assert "page_embeddings_vector_1_idx" in await used(large)


async def test_a_filter_that_leaves_nothing_looks_no_further(large: Connection) -> None:
    assert await search.search_pages(large, "word7", QUERY, filters=Filters(path_prefix="/nowhere/")) == []

    assert "page_embeddings_vector_1_idx" not in await used(large)
    assert await read_in_whole(large) == 0


def test_a_page_seen_again_touches_none_of_the_filters_indexes(
    filled: str, make_database: Callable[[str], str]
) -> None:
    with psycopg.connect(make_database(filled), autocommit=True) as connection:
        connection.execute("UPDATE scraped_pages SET last_seen_at = now() WHERE id % 100 = 0")
        connection.execute("SELECT pg_stat_force_next_flush()")
        counts = connection.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'scraped_pages'"
        ).fetchone()
    assert counts == (PAGES // 100, PAGES // 100)
