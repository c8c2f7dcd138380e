"""Hybrid search through `search_pages`: C10."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from db import search, sources
from db.connection import Connection, connect
from db.models import Model
from db.page_rows import ChunkRow
from db.search import Filters, Hit
from db.sources import Source
from tests.support.index import Index, digest, page

if TYPE_CHECKING:
    from db.pages import Embedding


def towards(*axes: float) -> Embedding:
    """Return a vector of the test model's four dimensions."""
    return np.array([*axes, *[0.0] * (4 - len(axes))], np.float32)


def at(text: str, embedding: Embedding, heading: str | None = None) -> ChunkRow:
    return ChunkRow(digest(text), heading, text, None, embedding)


async def write(index: Index, name: str, *chunks: ChunkRow, language: str | None = "en") -> None:
    texts = [chunk.content for chunk in chunks]
    await index.write(page(index.url(name), *texts, title=name, language=language, chunks=chunks))


async def find(index: Index, query: str | None, embedding: Embedding | None = None, limit: int = 10) -> list[Hit]:
    return await search.search_pages(index.connection, query, embedding, limit=limit)


async def found(index: Index, query: str | None, embedding: Embedding | None = None) -> list[str | None]:
    return [hit.title for hit in await find(index, query, embedding)]


class TestFusion:
    async def test_a_page_found_by_both_ranks_above_those_found_by_one(self, index: Index) -> None:
        await write(index, "text only", at("gardens gardens gardens", towards(0, 0, 0, 1)))
        await write(index, "vector only", at("something else", towards(1, 0)))
        await write(index, "both", at("gardens and more words around them", towards(0.9, 0.1)))
        # More than the candidates of one side, so that what is far away is not found by its vector at all.
        await write(index, "filler", *(at(f"filler {n}", towards(0, 1, n / 1000)) for n in range(100)))

        hits = await search.search_pages(index.connection, "gardens", towards(1, 0))

        assert hits[0].title == "both"
        assert (hits[0].vector_rank, hits[0].text_rank) == (2, 2)
        assert hits[0].score == pytest.approx(0.5 / 12 + 1 / 12)

    async def test_scores_are_reciprocal_ranks_best_first(self, index: Index) -> None:
        for rank in range(1, 5):
            await write(index, f"{rank}", at(f"text {rank}", towards(1, rank / 10)))

        hits = await find(index, None, towards(1, 0))

        assert [(hit.title, hit.vector_rank, hit.text_rank) for hit in hits] == [(f"{n}", n, None) for n in range(1, 5)]
        assert [hit.score for hit in hits] == [pytest.approx(0.5 / (10 + n)) for n in range(1, 5)]

    async def test_a_page_is_found_once_with_its_best_chunk(self, index: Index) -> None:
        await write(
            index,
            "long",
            at("far", towards(0.2, 1)),
            at("near", towards(1, 0), heading="H"),
            at("middle", towards(1, 0.5)),
        )
        await write(index, "other", at("between", towards(1, 0.2)))

        hits = await find(index, None, towards(1, 0))

        assert [(hit.title, hit.content, hit.heading) for hit in hits] == [
            ("long", "near", "H"),
            ("other", "between", None),
        ]

    async def test_a_hit_tells_where_it_is_from(self, index: Index, source: Source) -> None:
        await write(index, "a", at("gardens", towards(1)))

        (hit,) = await find(index, "gardens", towards(1))

        assert (hit.source_id, hit.url, hit.language) == (source.id, index.url("a"), "en")
        assert hit.page_id == (await index.known(index.url("a"))).id

    async def test_no_more_pages_than_asked_for(self, index: Index) -> None:
        for n in range(5):
            await write(index, f"{n}", at(f"gardens {n}", towards(1, n)))

        assert len(await find(index, "gardens", towards(1), limit=3)) == 3

    async def test_only_the_asked_source_is_searched(self, index: Index, connection: Connection, model: Model) -> None:
        other_source, _ = await sources.add(connection, "https://other.org/")
        other = await Index.opened(connection, other_source, model)
        for each in (index, other):
            await write(each, each.source.slug, at("gardens", towards(1)))

        hits = await search.search_pages(
            connection, "gardens", towards(1), filters=Filters(source_ids=[other_source.id])
        )

        assert [hit.title for hit in hits] == ["other-org"]


class TestOneSide:
    async def test_text_alone(self, index: Index) -> None:
        await write(index, "a", at("gardens", towards(1)))
        await write(index, "b", at("something", towards(1)))

        (hit,) = await find(index, "gardens")

        assert (hit.title, hit.vector_rank, hit.text_rank) == ("a", None, 1)

    @pytest.mark.parametrize("query", [None, "", "   "])
    async def test_the_vector_alone(self, index: Index, query: str | None) -> None:
        await write(index, "a", at("gardens", towards(1)))

        (hit,) = await find(index, query, towards(1))

        assert (hit.title, hit.vector_rank, hit.text_rank) == ("a", 1, None)

    async def test_neither(self, index: Index) -> None:
        await write(index, "a", at("gardens", towards(1)))

        assert await find(index, None, None) == []

    async def test_the_first_search_of_a_session_may_be_of_any_kind(self, index: Index, database_url: str) -> None:
        """The vector extension is loaded by whatever needs it first."""
        await write(index, "a", at("gardens", towards(1)))
        for query, embedding in (("gardens", None), (None, towards(1))):
            async with connect(database_url) as session:
                assert len(await search.search_pages(session, query, embedding)) == 1


class TestText:
    async def test_pages_with_all_words_come_before_pages_with_some(self, index: Index) -> None:
        await write(index, "some", at("botanical botanical botanical", towards(1)))
        await write(index, "all", at("gardens, some of which are quite botanical", towards(1)))
        await write(index, "none", at("something", towards(1)))

        assert await found(index, "botanical gardens") == ["all", "some"]

    async def test_words_of_a_heading_count(self, index: Index) -> None:
        await write(index, "a", at("open daily", towards(1), heading="Visit > Gardens"))

        assert await found(index, "gardens") == ["a"]

    @pytest.mark.parametrize(
        ("language", "text", "query"),
        [
            ("nl", "de openingstijden van musea", "museum openingstijd"),
            ("de", "die Öffnungszeiten der Gärten", "Garten"),
            ("en", "visiting hours", "visited"),
            ("fr", "les heures d'ouverture des jardins", "jardin"),
            (None, "zzyzx", "ZZYZX"),
            ("ja", "zzyzx", "zzyzx"),
        ],
    )
    async def test_a_page_is_found_by_the_stems_of_its_language(
        self, index: Index, language: str | None, text: str, query: str
    ) -> None:
        await write(index, "a", at(text, towards(1)), language=language)

        assert await found(index, query) == ["a"]

    async def test_pages_of_several_languages_are_found_by_one_query(self, index: Index) -> None:
        await write(index, "en", at("the concerts", towards(1)), language="en")
        await write(index, "nl", at("de concerten", towards(1)), language="nl")
        await write(index, "none", at("concert", towards(1)), language=None)

        assert set(await found(index, "concert")) == {"en", "nl", "none"}

    async def test_a_page_that_got_a_language_later_is_found_by_its_stems(self, index: Index) -> None:
        await write(index, "a", at("concerten", towards(1)), language=None)
        assert await found(index, "concert") == []
        believed = ChunkRow(digest("concerten"), None, "concerten", None, None)

        await write(index, "a", believed, language="nl")

        assert await found(index, "concert") == ["a"]

    @pytest.mark.parametrize("query", ["the", "the and of", "de het een"])
    async def test_a_query_of_stop_words_finds_nothing_by_text(self, index: Index, query: str) -> None:
        await write(index, "en", at("the garden and the house", towards(1)), language="en")
        await write(index, "nl", at("de tuin en het huis", towards(1)), language="nl")
        assert [hit.text_rank for hit in await find(index, query, towards(1))] in ([None, None], [1, None], [None, 1])

    async def test_a_quoted_phrase_is_preferred(self, index: Index) -> None:
        await write(index, "apart", at("York is new, new and new", towards(1)))
        await write(index, "phrase", at("a day in New York", towards(1)))

        assert (await found(index, '"new york"'))[0] == "phrase"

    @pytest.mark.parametrize("embedding", [None, towards(1)], ids=["text", "both"])
    @pytest.mark.parametrize(
        "query",
        [
            '"guided tour" -children',
            "guided tours -CHILDREN",
            'tour -"with children"',
            "-children tour",
            "tour (-children)",
            '"guided tour" -children -"wind mill"',
        ],
    )
    async def test_what_is_excluded_is_not_found(self, index: Index, query: str, embedding: Embedding | None) -> None:
        await write(index, "en", at("a guided tour with children", towards(1)))
        await write(index, "nl", at("guided tour with children and child", towards(1)), language="nl")
        await write(index, "label", at("a guided tour with dogs", towards(1), heading="with children and a child"))
        await write(index, "loose", at("a tour of children, a child, guided with children", towards(1)))
        await write(index, "wanted", at("a guided tour", towards(0.9, 0.1)))

        assert await found(index, query, embedding) == ["wanted"]

    async def test_nothing_but_exclusions_searches_by_the_vector_alone(self, index: Index) -> None:
        await write(index, "with", at("gardens with dogs", towards(1)))
        await write(index, "without", at("gardens", towards(0.9, 0.1)))

        assert await found(index, "-dogs") == []
        assert await found(index, "-dogs", towards(1)) == ["without"]

    @pytest.mark.parametrize(
        "query", ["gardens - dogs", "gardens -- dogs", '"gardens -dogs"', "gardens-dogs", "gardens -"]
    )
    async def test_a_dash_elsewhere_excludes_nothing(self, index: Index, query: str) -> None:
        await write(index, "a", at("gardens dogs", towards(1)))

        assert await found(index, query) == ["a"]

    async def test_excluding_a_stop_word_changes_nothing(self, index: Index) -> None:
        await write(index, "a", at("the gardens", towards(1)))

        assert await found(index, "gardens -of") == ["a"]

    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(st.sampled_from("'\"&|!():*<->\\ aé0%$_;-,./@#\t\n日"), max_size=25) | st.text(max_size=40))
    @example("' & | ! ( ) :*")
    @example("a & | b")
    @example("!!")
    @example("it's <-> a:*B & !c")
    @example("https://example.org/a?b=c & d | me@example.org")
    @example("\\")
    @example('a -"b -c" (-d) --e -')
    async def test_no_query_is_an_error(self, index: Index, query: str) -> None:
        await index.connection.execute("INSERT INTO indexed_languages VALUES ('en'), ('nl') ON CONFLICT DO NOTHING")

        await find(index, query.replace("\0", "").encode(errors="ignore").decode())

    async def test_a_very_long_query_is_no_error(self, index: Index) -> None:
        await write(index, "a", at("gardens", towards(1)))

        assert await found(index, "gardens " + "word " * 20_000) == ["a"]


class TestHeadings:
    async def test_a_page_that_is_headed_so_comes_before_those_that_only_say_it(self, index: Index) -> None:
        for n in range(5):
            await write(index, f"says {n}", at(f"deleting data, deleting all data, {n}", towards(1)))
        await write(index, "headed", at("rows are removed", towards(0, 1), heading="Manual > Deleting Data"))

        hits = await find(index, "deleting data", towards(1))

        assert (hits[0].title, hits[0].heading_rank) == ("headed", 1)
        assert {hit.heading_rank for hit in hits[1:]} == {None}

    async def test_the_shortest_of_the_headings_with_all_words_comes_first(self, index: Index) -> None:
        for heading in ("SET SESSION AUTHORIZATION", "SET", "SET ROLE"):
            await write(index, heading, at(f"about {heading.lower()}", towards(1), heading=heading))

        hits = await find(index, "set")

        assert hits[0].title == "SET"
        assert {hit.title: hit.heading_rank for hit in hits} == {
            "SET": 1,
            "SET ROLE": 2,
            "SET SESSION AUTHORIZATION": 3,
        }

    async def test_a_heading_with_some_of_the_words_is_none_with_all(self, index: Index) -> None:
        await write(index, "a", at("deleting rows", towards(1), heading="Data"))

        (hit,) = await find(index, "deleting data")

        assert (hit.text_rank, hit.heading_rank) == (1, None)


class TestRareWords:
    async def test_a_rare_word_tells_more_than_a_common_one(self, index: Index, connection: Connection) -> None:
        await write(index, "common", *(at(f"the server starts, {n}", towards(1)) for n in range(300)))
        await write(index, "rare", at("a wandering albatross", towards(1)))
        await connection.execute("ANALYZE page_embeddings")

        assert await found(index, "server albatross") == ["rare", "common"]

    async def test_words_that_every_text_has_still_find_something(self, index: Index, connection: Connection) -> None:
        await write(index, "a", *(at(f"server {n}", towards(1)) for n in range(3000)))
        await connection.execute("ANALYZE page_embeddings")

        assert await found(index, "server") == ["a"]
        assert await found(index, "server zzyzx") == ["a"]


class TestModels:
    async def test_an_empty_index_finds_nothing(self, index: Index) -> None:
        assert await find(index, "gardens", towards(1)) == []

    async def test_a_database_without_a_model_finds_nothing(self, connection: Connection) -> None:
        assert await search.search_pages(connection, "gardens", towards(1)) == []

    @pytest.mark.parametrize("state", ["retired", "building"])
    async def test_only_the_active_model_is_searched(self, index: Index, connection: Connection, state: str) -> None:
        await write(index, "a", at("gardens", towards(1)))
        await connection.execute("UPDATE embedding_models SET state = %s::text", (state,))
        assert await find(index, "gardens", towards(1)) == []

        await connection.execute(
            "INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state) "
            "VALUES ('local', 'new', 2, '1', 'active')"
        )
        assert await find(index, "gardens", np.ones(2, np.float32)) == []

    async def test_a_query_of_another_dimension_is_refused(self, index: Index) -> None:
        await write(index, "a", at("gardens", towards(1)))

        with pytest.raises(psycopg.DataError, match="expected 4 dimensions, not 3"):
            await find(index, None, np.ones(3, np.float32))
