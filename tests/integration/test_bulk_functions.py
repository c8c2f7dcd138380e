"""What is written to the index, through `db.page_writes.replace_pages`: A2, A6, A8, A16, A30, C2."""

import datetime as dt
import itertools
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import page_rows, page_writes, pages, sources
from db.connection import Connection, connect
from db.errors import IncompleteWrite
from db.models import Model
from db.page_rows import SeenPage, Validators
from tests.support.index import Index, chunk, digest, page, vector
from tests.support.postgres import rows, value

AWKWARD = 'O\'Brien said: "{NULL, \\}" % %s $1 -- ; \t\n … Καλημέρα 日本語 🎉 e\u0301 \u202e'


class TestNewPages:
    async def test_a_page_is_stored_with_all_its_fields(self, index: Index, connection: Connection) -> None:
        await index.write(
            page(
                index.url("a"),
                "one",
                title="A",
                language="en",
                body_hash=b"body",
                etag='"e"',
                last_modified="Sun, 01 Mar 2026 12:00:00 GMT",
                outlinks=["https://example.org/b", "https://example.org/c"],
                structured={"@type": "Event", "n": [1, None]},
            )
        )

        known = await index.known(index.url("a"))
        assert (known.content_hash, known.body_hash, known.etag) == (digest("one"), b"body", '"e"')
        assert known.last_modified == "Sun, 01 Mar 2026 12:00:00 GMT"
        assert known.outlinks == ("https://example.org/b", "https://example.org/c")
        query = "SELECT title, language, content, structured FROM scraped_pages"
        assert await rows(connection, query) == [("A", "en", "one", {"@type": "Event", "n": [1, None]})]

    async def test_a_chunk_is_stored_with_its_vector_and_labels(self, index: Index, connection: Connection) -> None:
        first = chunk("one", heading="Top > Sub")
        await index.write(page(index.url("a"), "one", language="nl", chunks=[first]))

        stored = (await index.stored(index.url("a")))["one"]
        assert (stored.heading, stored.language) == ("Top > Sub", "nl")
        assert stored.embedding == tuple(vector("one"))
        assert await value(connection, "SELECT source_id FROM page_embeddings") == index.source.id
        assert await value(connection, "SELECT token_count FROM page_embeddings") == len("one")

    async def test_what_is_unknown_stays_null(self, index: Index, connection: Connection) -> None:
        await index.write(page(index.url("a"), "one", chunks=[replace(chunk("one"), token_count=None)]))

        query = """
            SELECT num_nulls(p.title, p.language, p.body_hash, p.etag, p.last_modified, p.structured, p.duplicate_of,
                             e.heading, e.language, e.token_count)
            FROM scraped_pages AS p JOIN page_embeddings AS e ON e.page_id = p.id
        """
        assert await value(connection, query) == 10

    async def test_a_page_without_chunks_is_a_page(self, index: Index, connection: Connection) -> None:
        await index.write(page(index.url("a")))

        assert await index.texts(index.url("a")) == set()
        assert await pages.coverage(connection) == pages.Coverage(pages=1, empty_pages=1, chunks=0, failed=0)
        assert await pages.broken_pages(connection) == []

    async def test_a_batch_of_no_pages_is_fine(self, index: Index) -> None:
        await index.write()

    async def test_a_text_that_stands_twice_is_embedded_once(self, index: Index, connection: Connection) -> None:
        await index.write(page(index.url("a"), "menu", "text", "menu"))

        assert await index.texts(index.url("a")) == {"menu", "text"}
        manifest = await value(connection, "SELECT chunk_hashes FROM scraped_pages")
        assert manifest == [digest("menu"), digest("text"), digest("menu")]
        assert await pages.broken_pages(connection) == []

    async def test_a_text_of_another_page_is_indexed_for_this_one_too(self, index: Index) -> None:
        await index.write(page(index.url("a"), "shared", "own"))
        await index.write(page(index.url("b"), "shared"))

        assert await index.texts(index.url("b")) == {"shared"}
        assert await index.texts(index.url("a")) == {"shared", "own"}

    @pytest.mark.parametrize("text", [AWKWARD, "x" * 3_000_000], ids=["awkward", "long"])
    async def test_any_text_comes_back_as_it_went_in(self, index: Index, connection: Connection, text: str) -> None:
        label = text[:500]
        first = chunk(label, heading=label)
        written = page(
            index.url("a"),
            title=label,
            content=text,
            etag=label,
            outlinks=[label, ""],
            structured={label: label},
            manifest=[first.hash],
            chunks=[first],
        )
        await index.write(written)

        query = "SELECT title, content, etag, outlinks, structured FROM scraped_pages"
        assert await rows(connection, query) == [(label, text, label, [label, ""], {label: label})]
        assert (await index.stored(index.url("a")))[label].heading == label


class TestChangedPages:
    async def test_unchanged_chunks_keep_their_rows(self, index: Index, connection: Connection) -> None:
        url = index.url("a")
        await index.write(page(url, "one", "two", "three"))
        before = await index.stored(url)

        await index.write(page(url, "three", "new", "one", believed=["three", "one"]))

        after = await index.stored(url)
        assert set(after) == {"one", "three", "new"}
        assert {text: after[text].id for text in ("one", "three")} == {
            text: before[text].id for text in ("one", "three")
        }
        assert await value(connection, "SELECT chunk_hashes FROM scraped_pages") == [
            digest(text) for text in ("three", "new", "one")
        ]

    async def test_a_page_keeps_its_identity_and_first_time(self, index: Index, connection: Connection) -> None:
        await index.write(page(index.url("a"), "one"))
        query = "SELECT id, first_seen_at FROM scraped_pages"
        before = await rows(connection, query)

        await index.write(page(index.url("a"), "two"))

        assert await rows(connection, query) == before

    async def test_the_time_of_change_moves_only_with_the_content(self, index: Index, connection: Connection) -> None:
        query = "SELECT last_changed_at, last_seen_at FROM scraped_pages"
        await index.write(page(index.url("a"), "one"))
        ((changed, seen),) = await rows(connection, query)

        await index.write(page(index.url("a"), "one", believed=["one"], etag="new"))
        ((changed_again, seen_again),) = await rows(connection, query)
        await index.write(page(index.url("a"), "two"))

        assert changed_again == changed
        assert seen_again > seen
        assert await value(connection, "SELECT last_changed_at FROM scraped_pages") > changed

    async def test_a_page_written_again_from_what_is_stored_keeps_the_time_of_its_check(
        self, index: Index, connection: Connection
    ) -> None:
        old = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
        query = "SELECT last_seen_at, last_changed_at FROM scraped_pages WHERE url = %s"
        await index.write(page(index.url("a"), "one"), page(index.url("b"), "two"))
        await connection.execute("UPDATE scraped_pages SET last_seen_at = %s", (old,))
        before = await rows(connection, query, index.url("a"))

        await index.write(
            page(index.url("a"), "one", seen_at=old), page(index.url("b"), "two"), page(index.url("c"), seen_at=old)
        )

        assert await rows(connection, query, index.url("a")) == before
        assert (await index.known(index.url("b"))).last_seen_at > old
        assert (await index.known(index.url("c"))).last_seen_at == old

    async def test_a_page_that_lost_its_text_loses_its_embeddings(self, index: Index, connection: Connection) -> None:
        await index.write(page(index.url("a"), "one", "two"))
        await index.write(page(index.url("a")))

        assert await value(connection, "SELECT count(*) FROM page_embeddings") == 0

    async def test_a_new_heading_or_language_relabels_the_row(self, index: Index, connection: Connection) -> None:
        url = index.url("a")
        await index.write(page(url, "the cats", "two", language=None))
        before = await index.stored(url)
        told = [chunk("the cats", heading="New", believed=True), chunk("two", believed=True)]

        await index.write(page(url, "the cats", "two", language="en", chunks=told))

        after = await index.stored(url)
        assert (after["the cats"].heading, after["the cats"].language) == ("New", "en")
        assert after["the cats"].id == before["the cats"].id
        assert after["the cats"].embedding == before["the cats"].embedding
        search = await value(connection, "SELECT search::text FROM page_embeddings WHERE heading = 'New'")
        assert search == "'cat':3 'new':1A"

    async def test_labels_that_did_not_change_write_nothing(self, index: Index, connection: Connection) -> None:
        url = index.url("a")
        await index.write(page(url, "one"))
        query = "SELECT xmin::text FROM page_embeddings"
        before = await rows(connection, query)

        await index.write(page(url, "one", "two", believed=["one"]))

        assert (await rows(connection, query))[0] == before[0]

    async def test_embedding_again_replaces_vectors_in_place(self, index: Index) -> None:
        url = index.url("a")
        await index.write(page(url, "one", "two"))
        before = await index.stored(url)
        again = [chunk("one", embedding=vector("another"), heading="H"), chunk("two", embedding=vector("other"))]

        await index.write(page(url, "one", "two", chunks=again))

        after = await index.stored(url)
        assert {text: row.id for text, row in after.items()} == {text: row.id for text, row in before.items()}
        assert after["one"].embedding == tuple(vector("another"))
        assert after["one"].heading == "H"

    async def test_embeddings_of_other_models_pages_and_sources_stay(
        self, index: Index, connection: Connection
    ) -> None:
        other_source, _ = await sources.add(connection, "https://other.org/")
        other = await Index.opened(connection, other_source, index.model)
        await other.write(page(index.url("a"), "of the other source"))
        await index.write(page(index.url("a"), "one"), page(index.url("b"), "of another page"))
        old = await rows(
            connection,
            """
            INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state)
            VALUES ('local', 'old', 2, '1', 'retired') RETURNING id
            """,
        )
        await connection.execute(
            """
            INSERT INTO page_embeddings (page_id, source_id, model_id, chunk_hash, content, embedding)
            SELECT id, source_id, %s, 'x', 'of the old model', '[1,2]' FROM scraped_pages
            """,
            old[0],
        )

        await index.write(page(index.url("a"), "two"))

        found = await rows(connection, "SELECT content FROM page_embeddings ORDER BY content")
        assert [content for (content,) in found] == [
            "of another page",
            *["of the old model"] * 3,
            "of the other source",
            "two",
        ]


class TestRefusals:
    """An error of any kind leaves every page of the transaction as it was."""

    async def assert_refused(self, index: Index, refused: type[Exception], *written: page_rows.PageRow) -> None:
        await index.write(page(index.url("a"), "one", "two"), page(index.url("z"), "last"))
        query = "SELECT * FROM scraped_pages AS p JOIN page_embeddings AS e ON e.page_id = p.id ORDER BY e.id"
        before = await rows(index.connection, query)

        with pytest.raises(refused):
            await index.write(page(index.url("b"), "fine"), *written, page(index.url("z"), "changed"))

        assert await rows(index.connection, query) == before
        assert await pages.broken_pages(index.connection) == []

    async def test_a_wrong_belief_is_refused(self, index: Index) -> None:
        await self.assert_refused(
            index, IncompleteWrite, page(index.url("a"), "one", "three", believed=["one", "three"])
        )

    async def test_a_belief_about_a_new_page_is_refused(self, index: Index) -> None:
        await self.assert_refused(index, IncompleteWrite, page(index.url("c"), "one", believed=["one"]))

    async def test_chunks_that_are_not_those_of_the_manifest_are_refused(self, index: Index) -> None:
        await self.assert_refused(index, IncompleteWrite, page(index.url("a"), "one", chunks=[chunk("two")]))

    async def test_a_page_given_twice_is_refused(self, index: Index) -> None:
        twice = page(index.url("a"), "new")
        await self.assert_refused(index, psycopg.Error, twice, twice)

    async def test_a_chunk_given_twice_is_refused(self, index: Index) -> None:
        twice = [chunk("new"), chunk("new")]
        await self.assert_refused(index, psycopg.Error, page(index.url("a"), "new", chunks=twice))

    @pytest.mark.parametrize(
        "fields", [{"title": "\0"}, {"structured": {"a": "\0"}}, {"structured": {"a": float("nan")}}]
    )
    async def test_what_postgresql_cannot_store_is_refused(self, index: Index, fields: dict[str, Any]) -> None:
        await self.assert_refused(index, psycopg.DataError, page(index.url("a"), "new", **fields))

    async def test_an_embedding_that_cannot_be_removed_keeps_the_page(self, index: Index) -> None:
        await index.connection.execute("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RAISE ''not today'' USING ERRCODE = ''23000''; END';
            CREATE TRIGGER refuse BEFORE DELETE ON page_embeddings FOR EACH ROW EXECUTE FUNCTION refuse();
        """)
        await self.assert_refused(index, psycopg.IntegrityError, page(index.url("a"), "new"))

    async def test_a_reader_sees_the_old_page_until_the_new_one_is_whole(self, index: Index, database_url: str) -> None:
        query = "SELECT p.content, e.content FROM scraped_pages AS p JOIN page_embeddings AS e ON e.page_id = p.id"
        await index.write(page(index.url("a"), "old"))
        async with connect(database_url) as reader:
            async with page_writes.write(index.connection, index.source.domain, index.fence):
                await page_writes.replace_pages(
                    index.connection, index.source.id, index.model.id, [page(index.url("a"), "new")]
                )
                assert await rows(reader, query) == [("old", "old")]
            assert await rows(reader, query) == [("new", "new")]


class TestBatches:
    async def test_a_batch_of_500_pages_is_one_call_of_each_function(
        self, index: Index, connection: Connection
    ) -> None:
        """And the functions run one statement each: a loop would call a function of its own for each row."""
        await connection.execute("SET track_functions = 'all'")
        written = [page(index.url(f"{n}"), *(f"{n}.{m}" for m in range(n % 7))) for n in range(500)]

        await index.write(*written)
        await connection.execute("SELECT pg_stat_force_next_flush()")

        calls = dict(await rows(connection, "SELECT funcname, calls FROM pg_stat_user_functions"))
        assert (calls["bulk_upsert_scraped_pages"], calls["bulk_insert_embeddings"]) == (1, 1)
        languages = """
            SELECT DISTINCT l.lanname FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
            WHERE p.proname ~ '^bulk_'
        """
        assert await rows(connection, languages) == [("sql",)]
        assert await value(connection, "SELECT count(*) FROM page_embeddings") == sum(n % 7 for n in range(500))
        assert await pages.broken_pages(connection) == []

    async def test_flat_arrays_are_cut_where_each_page_ends(self, index: Index) -> None:
        links = {index.url(f"{n}"): [f"https://x.org/{n}/{m}" for m in range(n % 4)] for n in range(40)}

        await index.write(*(page(url, outlinks=out) for url, out in links.items()))

        known = await pages.known_by_url(index.connection, index.source.id, list(links))
        assert {url: list(found.outlinks) for url, found in known.items()} == links

    async def test_pages_seen_again_get_their_own_validators(self, index: Index) -> None:
        urls = [index.url(f"{n}") for n in range(9)]
        await index.write(*(page(url, "text", etag="old", outlinks=["https://x.org/old"]) for url in urls))
        known = await pages.known_by_url(index.connection, index.source.id, urls)
        new = {
            url: Validators(digest(url), url if n % 2 else None, None, [f"https://x.org/{m}" for m in range(n % 3)])
            for n, url in enumerate(urls[:6])
        }

        await index.seen(*(SeenPage(known[url].id, url, new.get(url)) for url in reversed(urls)))

        for url, found in (await pages.known_by_url(index.connection, index.source.id, urls)).items():
            wanted = new.get(url, Validators(None, "old", None, ["https://x.org/old"]))
            assert Validators(found.body_hash, found.etag, found.last_modified, list(found.outlinks)) == wanted
            assert found.last_seen_at > known[url].last_seen_at

    async def test_a_page_seen_again_keeps_content_manifest_and_embeddings(self, index: Index) -> None:
        query = """
            SELECT p.content, p.content_hash, p.chunk_hashes, p.last_changed_at, e.xmin::text
            FROM scraped_pages AS p JOIN page_embeddings AS e ON e.page_id = p.id
        """
        await index.write(page(index.url("a"), "one", "one"))
        before = await rows(index.connection, query)
        seen = await index.known(index.url("a"))

        await index.seen(SeenPage(seen.id, seen.url, Validators(b"new", "new", "new", ["https://x.org/"])))

        assert await rows(index.connection, query) == before


TEXTS = st.lists(st.sampled_from([f"text {n}" for n in range(8)]), max_size=6)
LINKS = st.lists(st.sampled_from([f"https://x.org/{n}" for n in range(4)]), max_size=4)
UPDATE = st.dictionaries(st.sampled_from("abcde"), st.tuples(TEXTS, LINKS, st.booleans()), max_size=5)
fresh_hosts = itertools.count()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(updates=st.lists(UPDATE, min_size=1, max_size=6))
async def test_after_any_updates_the_index_is_what_was_last_written(
    connection: Connection, model: Model, updates: list[dict[str, tuple[list[str], list[str], bool]]]
) -> None:
    source, _ = await sources.add(connection, f"https://host{next(fresh_hosts)}.org/")
    index = await Index.opened(connection, source, model)
    ids: dict[tuple[str, str], int] = {}
    last: dict[str, tuple[list[str], list[str]]] = {}
    for update in updates:
        written = []
        for name, (texts, links, embed_again) in update.items():
            held = [] if embed_again or name not in last else last[name][0]
            written.append(page(index.url(name), *texts, believed=held, outlinks=links))
        await index.write(*written)
        for name, (texts, links, _) in update.items():
            stored = await index.stored(index.url(name))
            assert {text: row.embedding for text, row in stored.items()} == {t: tuple(vector(t)) for t in texts}
            kept = set(texts) & set(last.get(name, ([], []))[0])
            assert {text: stored[text].id for text in kept} == {text: ids[name, text] for text in kept}
            ids |= {(name, text): row.id for text, row in stored.items()}
            last[name] = (texts, links)
    found = await rows(
        connection, "SELECT url, chunk_hashes, outlinks FROM scraped_pages WHERE source_id = %s", source.id
    )
    assert {url: (manifest, links) for url, manifest, links in found} == {
        index.url(name): ([digest(text) for text in texts], links) for name, (texts, links) in last.items()
    }
    assert await pages.broken_pages(connection) == []
