"""Filters of `search_pages`, and the model that its caller names: C10, C8."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

import numpy as np
import pytest

from db import page_writes, search, sources
from db.connection import Connection
from db.models import Model
from db.search import Filters
from db.sources import Source
from tests.support.index import Index, chunk, page
from tests.support.postgres import value

ANYWHERE = np.array([1, 0, 0, 0], np.float32)
MONDAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)

PAGES = {
    "docs/a": ("en", MONDAY - dt.timedelta(days=1)),
    "docs/b": ("nl", MONDAY),
    "docs": ("en", MONDAY + dt.timedelta(days=1)),
    "other?page=/docs/": (None, MONDAY + dt.timedelta(days=2)),
    "100%25_sure/": ("nl", MONDAY + dt.timedelta(days=3)),
}


@pytest.fixture
async def both(index: Index, connection: Connection, model: Model) -> tuple[Index, Index]:
    """Two sources with the same five pages, of two languages, changed on five days."""
    second, _ = await sources.add(connection, "https://second.org/")
    indexes = (index, await Index.opened(connection, second, model))
    for each in indexes:
        for name, (language, changed_at) in PAGES.items():
            chunks = [chunk(f"gardens of {name}", embedding=ANYWHERE)]
            await each.write(page(each.url(name), chunks[0].content, language=language, chunks=chunks))
            await connection.execute(
                "UPDATE scraped_pages SET last_changed_at = %s WHERE url = %s", (changed_at, each.url(name))
            )
    return indexes


async def found(connection: Connection, filters: Filters) -> set[str]:
    """Return the URLs that are found, which are the same by words, by the vector, and by both."""
    answers = [
        {hit.url for hit in await search.search_pages(connection, query, vector, limit=50, filters=filters)}
        for query, vector in (("gardens", None), (None, ANYWHERE), ("gardens", ANYWHERE))
    ]
    assert answers[0] == answers[1] == answers[2]
    return answers[0]


def urls(indexes: tuple[Index, ...], *names: str) -> set[str]:
    return {each.url(name) for each in indexes for name in names}


async def test_without_filters_everything_is_found(connection: Connection, both: tuple[Index, Index]) -> None:
    assert await found(connection, Filters()) == urls(both, *PAGES)


async def test_sources(connection: Connection, both: tuple[Index, Index]) -> None:
    first, second = both
    assert await found(connection, Filters(source_ids=[second.source.id])) == urls((second,), *PAGES)
    assert await found(connection, Filters(source_ids=[first.source.id, second.source.id])) == urls(both, *PAGES)
    assert await found(connection, Filters(source_ids=[uuid4()])) == set()


@pytest.mark.parametrize(
    ("languages", "names"),
    [
        (["en"], ["docs/a", "docs"]),
        (["en", "nl"], ["docs/a", "docs", "docs/b", "100%25_sure/"]),
        (["fi"], []),
    ],
)
async def test_languages(
    connection: Connection, both: tuple[Index, Index], languages: list[str], names: list[str]
) -> None:
    assert await found(connection, Filters(languages=languages)) == urls(both, *names)


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("/", list(PAGES)),
        ("/docs/", ["docs/a", "docs/b"]),
        ("/docs", ["docs/a", "docs/b", "docs"]),
        ("/docs/a", ["docs/a"]),
        ("/DOCS/", []),
        ("docs/", []),
        ("/d%", []),
        ("/doc_", []),
        ("/100%25_", ["100%25_sure/"]),
        ("/docs/" + "x" * 3000, []),
    ],
)
async def test_the_beginning_of_the_path(
    connection: Connection, both: tuple[Index, Index], prefix: str, names: list[str]
) -> None:
    assert await found(connection, Filters(path_prefix=prefix)) == urls(both, *names)


@pytest.mark.parametrize(("days", "names"), [(-9, list(PAGES)), (2, ["other?page=/docs/", "100%25_sure/"]), (9, [])])
async def test_changed_since(connection: Connection, both: tuple[Index, Index], days: int, names: list[str]) -> None:
    since = MONDAY + dt.timedelta(days=days)

    assert await found(connection, Filters(changed_since=since)) == urls(both, *names)


async def test_all_filters_must_hold(connection: Connection, both: tuple[Index, Index]) -> None:
    filters = Filters(source_ids=[both[1].source.id], languages=["nl", "en"], path_prefix="/docs", changed_since=MONDAY)

    assert await found(connection, filters) == urls(both[1:], "docs/b", "docs")


@pytest.mark.parametrize("nothing", [Filters(source_ids=[]), Filters(languages=[])])
async def test_an_empty_choice_lets_nothing_through(
    connection: Connection, both: tuple[Index, Index], nothing: Filters
) -> None:
    assert await found(connection, nothing) == set()


async def test_what_is_excluded_is_not_found_among_what_is_filtered(
    connection: Connection, both: tuple[Index, Index]
) -> None:
    filters = Filters(path_prefix="/docs")

    hits = await search.search_pages(connection, "gardens -docs/a", ANYWHERE, filters=filters)

    assert {hit.url for hit in hits} == urls(both, "docs/b", "docs")


async def test_a_url_longer_than_an_index_entry_is_stored_and_found(index: Index, connection: Connection) -> None:
    name = "deep/" + "x/" * 600
    await index.write(page(index.url(name), "gardens", chunks=[chunk("gardens", embedding=ANYWHERE)]))

    assert await found(connection, Filters(path_prefix="/deep/" + "x/" * 500)) == {index.url(name)}


class TestModels:
    @pytest.fixture
    async def building(self, connection: Connection, index: Index, source: Source) -> int:
        """A second model of two dimensions, which has another text of the one page."""
        await index.write(page(index.url("a"), "gardens", chunks=[chunk("gardens", embedding=ANYWHERE)]))
        model_id: int = await value(
            connection,
            "INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state) "
            "VALUES ('local', 'new', 2, '1', 'building') RETURNING id",
        )
        second = chunk("gardens and parks", embedding=np.array([0, 1], np.float32))
        async with page_writes.write(connection, source.domain, index.fence):
            await connection.execute(
                """
                INSERT INTO page_embeddings (page_id, source_id, model_id, chunk_hash, content, embedding)
                SELECT id, source_id, %s, %s, %s, '[0, 1]' FROM scraped_pages
                """,
                (model_id, second.hash, second.content),
            )
        return model_id

    async def test_the_named_model_is_searched_whichever_is_active(
        self, connection: Connection, model: Model, building: int
    ) -> None:
        """Whoever embedded a query names the model, which may have been replaced since."""
        for state in ("active", "retired"):
            await connection.execute("UPDATE embedding_models SET state = %s::text WHERE id = %s", (state, model.id))
            (old,) = await search.search_pages(connection, "gardens", ANYWHERE, model_id=model.id)
            (new,) = await search.search_pages(connection, "gardens", np.array([0, 1], np.float32), model_id=building)
            assert (old.content, new.content) == ("gardens", "gardens and parks")

    async def test_a_model_that_is_not_there_finds_nothing(self, connection: Connection, building: int) -> None:
        assert await search.search_pages(connection, "gardens", None, model_id=building + 1) == []
