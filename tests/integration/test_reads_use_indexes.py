"""A query that is meant to use an index does (A27). The planner is left as it is; the tables are large enough."""

import datetime as dt
from uuid import uuid4

import numpy as np
import psycopg
import pytest

from db import batches, indexes, jobs, models, page_writes, pages, pending, search, sources
from db.connection import Connection, connect
from db.locks import DomainLock
from db.models import Model
from db.page_rows import SeenPage
from db.sources import Source
from tests.support.index import Index, chunk, digest, page
from tests.support.postgres import plan, rows, value

PAGES, CHUNKS, LARGE_DIMENSIONS = 1000, 2000, 8
LONG_AGO, SOME_DAY = dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(3000, 1, 1, tzinfo=dt.UTC)

DUE = {"seen_before": SOME_DAY, "due_by": SOME_DAY, "longest": dt.timedelta(days=7)}


@pytest.fixture
async def large(connection: Connection, source: Source) -> Model:
    """The active model, of an index with two sources of 1,000 pages and 2,000 random vectors each."""
    model = await models.ensure_active(
        connection, provider="local", name="large", dimensions=LARGE_DIMENSIONS, chunker_version="1"
    )
    other, _ = await sources.add(connection, "https://other.org/")
    await connection.execute("SELECT setseed(0.5)")
    for each in (source, other):
        await connection.execute(
            """
            INSERT INTO scraped_pages (source_id, url, content, content_hash, chunk_hashes)
            SELECT %s, %s || n, repeat('text ', 40), sha256(n::text::bytea), '{}'
            FROM generate_series(1, %s) AS n
            """,
            (each.id, each.start_url, PAGES),
        )
    await connection.execute(
        """
        INSERT INTO page_embeddings (page_id, source_id, model_id, language, chunk_hash, content, embedding)
        SELECT p.id, p.source_id, %s, 'en', sha256((p.url || n)::bytea), 'word' || (p.id * 7 + n) %% 500,
               ARRAY(SELECT random() + 0 * p.id * n FROM generate_series(1, %s))::vector
        FROM scraped_pages AS p CROSS JOIN generate_series(1, %s) AS n
        """,
        (model.id, LARGE_DIMENSIONS, CHUNKS // PAGES),
    )
    many, _ = await sources.add(connection, "https://many.org/")
    await connection.execute(
        """
        INSERT INTO scraped_pages (source_id, url, content, content_hash)
        SELECT %s, %s || n, 'text', sha256(('many' || n)::bytea) FROM generate_series(1, %s) AS n
        """,
        (many.id, many.start_url, 20 * PAGES),
    )
    await connection.execute(
        """
        INSERT INTO page_checks (page_id, source_id, next_check_at, check_interval)
        SELECT id, source_id, now() + id * interval '1 second', interval '1 day' FROM scraped_pages
        """
    )
    await connection.execute("INSERT INTO indexed_languages VALUES ('en') ON CONFLICT DO NOTHING")
    await connection.execute("ANALYZE")
    return model


async def plan_of(connection: Connection, name: str, **values: object) -> str:
    return await plan(connection, pages._SQL[name], values)


async def wait_for_batches(connection: Connection, model: Model) -> None:
    """Let 20,000 texts wait, half of them in one batch of many, and 2,000 pages of three sources."""
    await connection.execute(
        "INSERT INTO embedding_batches (model_id, texts, day) SELECT %s, 500, now() FROM generate_series(1, 20)",
        (model.id,),
    )
    await connection.execute(
        """
        INSERT INTO pending_texts (model_id, chunk_hash, text, for_pages, batch_id)
        SELECT %s, sha256(n::text::bytea), 'a text', true, CASE WHEN n %% 2 = 0 THEN n / 2 %% 20 + 1 END
        FROM generate_series(1, 20000) AS n
        """,
        (model.id,),
    )
    await connection.execute(
        """
        INSERT INTO pending_pages (source_id, url, model_id, content_hash, awaits, page)
        SELECT s.id, s.start_url || n, %s, '', ARRAY[sha256(n::text::bytea)], '{}'
        FROM scraper_sources AS s CROSS JOIN generate_series(1, 700) AS n
        """,
        (model.id,),
    )
    await connection.execute("ANALYZE")


class TestPending:
    async def test_texts_for_a_batch_are_chosen_among_those_that_are_free(
        self, connection: Connection, large: Model
    ) -> None:
        await wait_for_batches(connection, large)
        values = {"model_id": large.id, "texts": 100, "bytes": 10**6}
        found = await plan(connection, batches._SQL["choose"], values)
        assert "Index Scan using pending_texts_free_idx" in found

    async def test_texts_of_a_batch_are_read_without_those_of_others(
        self, connection: Connection, large: Model
    ) -> None:
        await wait_for_batches(connection, large)
        found = await plan(connection, batches._SQL["texts_of"], {"batch_id": 1, "after": b"", "limit": 2000})
        assert "pending_texts_batch_idx" in found

    async def test_pages_are_forgotten_by_url(self, connection: Connection, source: Source, large: Model) -> None:
        await wait_for_batches(connection, large)
        urls = [f"{source.start_url}{n}" for n in range(20)]
        found = await plan(connection, pending._SQL["forget"], {"source_id": source.id, "urls": urls})
        assert "pending_pages_source_id_url_key" in found


class TestPages:
    async def test_known_pages_are_read_by_url(self, connection: Connection, source: Source, large: Model) -> None:
        urls = [f"{source.start_url}{n}" for n in range(20)]

        found = await plan_of(connection, "known_by_url", source_id=source.id, urls=urls)

        assert "scraped_pages_source_id_url_key" in found
        assert "Seq Scan" not in found

    async def test_due_pages_are_read_without_those_of_other_sources(
        self, connection: Connection, source: Source, large: Model
    ) -> None:
        # A tenth of the table, as a source is at most where there are many: half of it would be read from end to end.
        await connection.execute("DELETE FROM scraped_pages WHERE source_id = %s AND id %% 10 > 0", (source.id,))
        await connection.execute("ANALYZE")
        for after in ((None, ""), (LONG_AGO, "x")):
            place = {"after_tried": after[0], "after_url": after[1]}
            found = await plan_of(connection, "due", source_id=source.id, **DUE, limit=100, **place)

            assert "Index Cond: (source_id =" in found
            assert "Seq Scan on scraped_pages" not in found

    async def test_stored_pages_are_read_in_the_order_of_the_index(
        self, connection: Connection, source: Source, large: Model
    ) -> None:
        many = await sources.get(connection, "many-org")
        found = await plan_of(connection, "stored", source_id=many.id, after="", **DUE, started_at=SOME_DAY, limit=100)

        assert "Index Scan using scraped_pages_source_id_url_key" in found
        assert "Sort" not in found

    async def test_twins_are_found_by_their_text(self, connection: Connection, source: Source, large: Model) -> None:
        hashes = [digest(f"{n}") for n in range(64)]
        query = page_writes._SQL["twins"]

        found = await plan(connection, query, {"source_id": source.id, "content_hashes": hashes})

        assert "scraped_pages_content_idx" in found
        assert "Seq Scan" not in found

    async def test_own_chunks_are_read_by_page(self, connection: Connection, source: Source, large: Model) -> None:
        urls = [f"{source.start_url}{n}" for n in range(20)]

        found = await plan_of(connection, "own_chunks", source_id=source.id, model_id=large.id, urls=urls)

        assert "page_embeddings_page_id_model_id_chunk_hash_key" in found
        assert "Seq Scan" not in found

    async def test_reusable_vectors_are_read_by_hash(self, connection: Connection, large: Model) -> None:
        hashes = [digest(f"{n}") for n in range(300)]
        await wait_for_batches(connection, large)

        found = await plan_of(connection, "reusable_vectors", model_id=large.id, chunk_hashes=hashes)

        assert "Index Scan using page_embeddings_chunk_idx" in found
        assert "Index Scan using pending_texts_pkey" in found
        assert "Seq Scan" not in found

    async def test_a_plan_made_while_the_index_was_empty_is_not_kept(
        self, connection: Connection, database_url: str, source: Source, model: Model
    ) -> None:
        """One prepared statement serves a first crawl from its first page to its last."""
        async with connect(database_url) as writer:
            index = await Index.opened(writer, source, model)
            await index.write(page(index.url("0"), "one"))
            await writer.execute("VACUUM ANALYZE")
            for _ in range(12):
                await pages.reusable_vectors(connection, model.id, [digest("x")])
            written = [page(index.url(f"{n}"), *(f"{n}.{m}" for m in range(10))) for n in range(300)]
            await index.write(*written)

        (name,) = await rows(connection, "SELECT name FROM pg_prepared_statements WHERE statement ~ 'LATERAL'")
        found = await plan(connection, f"EXECUTE {name[0]} ('{{x}}', {model.id})")
        assert "Index Scan using page_embeddings_chunk_idx" in found

    async def test_a_page_seen_again_is_a_hot_update(self, index: Index) -> None:
        await index.write(*(page(index.url(f"{n}"), content="text " * 50) for n in range(200)))
        await index.connection.execute("VACUUM scraped_pages")
        some = [index.url(f"{n}") for n in range(0, 200, 20)]
        known = await pages.known_by_url(index.connection, index.source.id, some)

        await index.seen(*(SeenPage(each.id, each.url) for each in known.values()))

        await index.connection.execute("SELECT pg_stat_force_next_flush()")
        counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'scraped_pages'"
        assert await rows(index.connection, counts) == [(10, 10)]

    @pytest.mark.parametrize("name", ["scraped_pages_duplicate_idx", "events_page_idx"])
    async def test_a_page_that_goes_looks_for_what_names_it_by_an_index(
        self, connection: Connection, source: Source, large: Model, name: str
    ) -> None:
        await connection.execute(
            "INSERT INTO events (source_id, page_id, title) SELECT source_id, id, '' FROM scraped_pages"
        )
        await connection.execute("ANALYZE events")

        await connection.execute("DELETE FROM scraped_pages WHERE url = %s", (f"{source.start_url}1",))

        await connection.execute("SELECT pg_stat_force_next_flush()")
        scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = %s"
        assert await value(connection, scans, name) == 1


class TestSearchIndexes:
    async def test_a_small_index_needs_none(self, connection: Connection, large: Model) -> None:
        assert await indexes.ensure(connection, large, min_chunks=10 * (2 * CHUNKS + 1)) == []
        assert await indexes.lacking(connection, large, min_chunks=10 * (2 * CHUNKS + 1)) == []

    async def test_the_text_has_its_index_long_before_the_vectors(self, connection: Connection, large: Model) -> None:
        assert await indexes.lacking(connection, large, min_chunks=2 * CHUNKS + 1) == ["gin"]

        (name,) = await indexes.ensure(connection, large, min_chunks=2 * CHUNKS + 1)

        assert name == f"page_embeddings_text_{large.id}_idx"
        assert await indexes.lacking(connection, large, min_chunks=2 * CHUNKS + 1) == []
        assert await indexes.built(connection, large) == {"gin"}

    @pytest.mark.parametrize(("dimensions", "least"), [(8, 20_000), (256, 20_000), (512, 10_000), (1536, 3_333)])
    def test_longer_vectors_have_theirs_sooner(self, dimensions: int, least: int) -> None:
        model = Model(1, "local", "m", dimensions, "1")
        found = {each.method: each.least(model, 20_000) for each in indexes._DEFINITIONS}
        assert found == {"hnsw": least, "gin": 2_000}

    async def test_both_are_built_once(self, connection: Connection, large: Model) -> None:
        assert await indexes.ensure(connection, large, min_chunks=2 * CHUNKS) == [
            f"page_embeddings_vector_{large.id}_idx",
            f"page_embeddings_text_{large.id}_idx",
        ]
        assert await indexes.ensure(connection, large, min_chunks=1) == []

    async def test_they_wait_for_the_runs_at_work_unless_they_are_long_overdue(
        self, connection: Connection, source: Source, large: Model, database_url: str
    ) -> None:
        job = await jobs.start(connection, uuid4(), source_id=source.id, trigger="manual", args={}, worker="w")
        assert job is not None
        lock = DomainLock(database_url, source.domain)
        assert await lock.acquire()

        assert await indexes.ensure(connection, large, min_chunks=2 * CHUNKS + 1) == []
        assert len(await indexes.ensure(connection, large, min_chunks=2 * CHUNKS // indexes.PATIENCE)) == 2

        await connection.execute("DROP INDEX " + f"page_embeddings_text_{large.id}_idx")
        await lock.release()
        assert len(await indexes.ensure(connection, large, min_chunks=CHUNKS)) == 1

    async def test_building_leaves_the_session_as_it_was(self, connection: Connection, large: Model) -> None:
        query = "SELECT name, setting FROM pg_settings ORDER BY name"
        before = await rows(connection, query)

        await indexes.ensure(connection, large, min_chunks=1)

        assert await rows(connection, query) == before
        assert await value(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0

    async def test_search_within_a_source_finds_as_much_as_an_exact_one(
        self, connection: Connection, source: Source, large: Model
    ) -> None:
        query = np.full(LARGE_DIMENSIONS, 0.5, np.float32)
        filters = search.Filters(source_ids=[source.id])
        exact = await search.search_pages(connection, None, query, filters=filters)
        await indexes.ensure(connection, large, min_chunks=1)

        approximate = await search.search_pages(connection, None, query, filters=filters)

        assert len({hit.url for hit in exact} & {hit.url for hit in approximate}) >= 9
        assert {hit.source_id for hit in approximate} == {source.id}

    async def test_an_index_left_invalid_is_built_again(
        self, connection: Connection, large: Model, database_url: str
    ) -> None:
        await indexes.ensure(connection, large, min_chunks=1)
        name = f"page_embeddings_text_{large.id}_idx"
        await connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", (name,))

        assert await indexes.ensure(connection, large, min_chunks=1) == [name]
        assert await value(connection, "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", name)

    async def test_one_left_invalid_that_is_not_needed_yet_is_dropped(
        self, connection: Connection, large: Model
    ) -> None:
        await indexes.ensure(connection, large, min_chunks=1)
        name = f"page_embeddings_vector_{large.id}_idx"
        await connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", (name,))

        assert await indexes.ensure(connection, large, min_chunks=2 * CHUNKS + 1) == []
        assert await value(connection, "SELECT to_regclass(%s)", name) is None
        assert await indexes.built(connection, large) == {"gin"}

    async def test_of_two_builders_one_returns_at_once(
        self, connection: Connection, large: Model, database_url: str
    ) -> None:
        async with connect(database_url) as other:
            await other.execute("SELECT pg_advisory_lock(%s)", (indexes._INDEX_LOCK,))
            assert await indexes.ensure(connection, large, min_chunks=1) == []

    async def test_a_build_that_fails_gives_its_lock_back(
        self, connection: Connection, large: Model, database_url: str
    ) -> None:
        await connection.execute("SET lock_timeout = '20ms'")
        async with connect(database_url) as other:
            async with other.transaction():
                await other.execute("LOCK TABLE page_embeddings IN SHARE MODE")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    await indexes.ensure(connection, large, min_chunks=1)
            assert len(await indexes.ensure(other, large, min_chunks=1)) == 2

    async def test_without_shared_memory_for_workers_one_process_builds(
        self, connection: Connection, large: Model
    ) -> None:
        await connection.execute("""
            CREATE FUNCTION no_shared_memory() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF current_setting('max_parallel_maintenance_workers')::integer > 0 THEN
                    RAISE 'could not resize shared memory segment' USING ERRCODE = 'disk_full';
                END IF;
            END $$;
            CREATE EVENT TRIGGER no_shared_memory ON ddl_command_start
            WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION no_shared_memory();
        """)

        assert len(await indexes.ensure(connection, large, min_chunks=1)) == 2
        assert await value(connection, "SHOW max_parallel_maintenance_workers") == "2"

    @pytest.mark.parametrize("dimensions", [4, 2001])
    async def test_vectors_of_any_size_are_indexed_in_half_precision(
        self, connection: Connection, source: Source, dimensions: int
    ) -> None:
        model = await models.ensure_active(
            connection, provider="local", name="wide", dimensions=dimensions, chunker_version="1"
        )
        index = await Index.opened(connection, source, model)
        wide = np.ones(dimensions, np.float32)
        await index.write(page(index.url("a"), "one", chunks=[chunk("one", embedding=wide)]))

        (vectors, _) = await indexes.ensure(connection, model, min_chunks=1)

        assert f"halfvec({dimensions})" in await value(connection, "SELECT pg_get_indexdef(%s::regclass)", vectors)
        assert [hit.url for hit in await search.search_pages(connection, None, wide)] == [index.url("a")]

    async def test_an_index_of_an_earlier_version_serves_until_its_successor_replaces_it(
        self, connection: Connection, large: Model
    ) -> None:
        name = f"page_embeddings_vector_{large.id}_idx"
        await connection.execute(
            f"CREATE INDEX {name} ON page_embeddings USING hnsw ((embedding::vector({LARGE_DIMENSIONS})) "
            f"vector_cosine_ops) WHERE model_id = {large.id}".encode()
        )
        query = np.full(LARGE_DIMENSIONS, 0.5, np.float32)
        before = await search.search_pages(connection, None, query)

        assert name in await indexes.ensure(connection, large, min_chunks=1)

        assert "halfvec" in await value(connection, "SELECT pg_get_indexdef(%s::regclass)", name)
        assert await value(connection, "SELECT to_regclass(%s)", f"{name}_new") is None
        assert {hit.url for hit in await search.search_pages(connection, None, query)} >= {before[0].url}
        assert await indexes.ensure(connection, large, min_chunks=1) == []

    async def test_a_successor_that_was_built_already_only_takes_its_place(
        self, connection: Connection, large: Model, database_url: str
    ) -> None:
        """The builder may die, or find the table locked, between the two."""
        name = f"page_embeddings_vector_{large.id}_idx"
        await indexes.ensure(connection, large, min_chunks=1)
        await connection.execute(f"ALTER INDEX {name} RENAME TO {name}_new".encode())
        await connection.execute(
            f"CREATE INDEX {name} ON page_embeddings USING hnsw ((embedding::vector({LARGE_DIMENSIONS})) "
            f"vector_cosine_ops) WHERE model_id = {large.id}".encode()
        )
        built = await value(connection, "SELECT %s::regclass::oid", f"{name}_new")

        assert await indexes.ensure(connection, large, min_chunks=1) == [name]

        assert await value(connection, "SELECT %s::regclass::oid", name) == built
