"""A large index: recall of the approximate search against an exact one, filtered or not, and latency.

The text is real: windows of the documentation that overlap by half, as long as makes so many as are wanted. The pages
are dealt to sites at random, each of which gets a share of them: a filter by source has a known selectivity.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import psutil
from pgvector import Vector

from benchmarks import documents, search_queries
from benchmarks.search_index import Written, open_index
from benchmarks.search_vectors import WordLlama
from db.search import EVERYTHING, Filters, search_pages
from pipelines.chunker import Chunk
from pipelines.providers.local import DIMENSIONS, MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from benchmarks.search_index import Index

ROOT = Path(__file__).resolve().parent.parent
SHARES = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001, "rest": 1.0}
SHORTEST = 100  # characters of a window
QUERIES, ROUNDS = 200, 3
EQUAL = 1e-3
"""Distances that differ by less are equal in half precision, and the chunks as good as each other."""

NAMED = "SELECT unnest(proconfig) FROM pg_proc WHERE proname = 'search_pages'"


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one search: medians of the rounds' p50 and p95, and what it cost the database's processor."""

    p50: float
    p95: float
    cpu: float | None = None


@dataclass(frozen=True)
class Filtered:
    """What a filter leaves, how much of the ten best pages in it is found, and how long that takes."""

    chunks: int
    recall: float
    latency: Latency


@dataclass(frozen=True)
class Figures:
    """`chunk_recall` is of the index alone, with the settings of `search_pages`; recall of pages is in `by_filter`."""

    chunks: int
    build_seconds: float
    index_bytes: int
    chunk_recall: float
    by_filter: dict[str, Filtered]
    over_http: Latency


class Large:
    """An index of windows, its vectors in memory beside it."""

    def __init__(self, index: Index, url: str) -> None:
        self.index = index
        self.url = url

    async def measure(self, chunks: int) -> Figures:
        """Fill the index and take all figures."""
        seconds = await self._fill(chunks)
        size = (await self._rows("SELECT pg_relation_size('page_embeddings_vector_1_idx')"))[0][0]
        by_filter = {"none": await self._filtered(EVERYTHING, self.pages > 0)}
        for slug, source_id in await self._rows("SELECT slug, id FROM scraper_sources ORDER BY slug"):
            share = slug.removesuffix("-test")
            if share != "rest":
                filters = {f"source, {share}": Filters(source_ids=[source_id])}
                if share in {"half", "hundredth"}:
                    filters[f"path, {share}"] = Filters(path_prefix=f"/{share}/")
                for name, each in filters.items():
                    by_filter[name] = await self._filtered(each, self.slugs == slug)
        return Figures(
            chunks=len(self.vectors),
            build_seconds=seconds,
            index_bytes=size,
            chunk_recall=await self._chunk_recall(),
            by_filter=dict(sorted(by_filter.items(), key=lambda item: -item[1].chunks)),
            over_http=self._over_http(),
        )

    async def _fill(self, chunks: int) -> float:
        """Write about so many chunks, and return how many seconds it took to build the search indexes."""
        embedder, rng = WordLlama(), random.Random(1)
        model = await self.index.add_model("local", MODEL, DIMENSIONS)
        sites = [search_queries.pages_of(site) for site in documents.SITES]
        window = 2 * sum(len(page.content) for pages in sites for page in pages) // chunks
        dealt: dict[str, list[Written]] = defaultdict(list)
        for page in (page for pages in sites for page in pages):
            for edition in range(2):
                found = _windows(page, window, edition * window // 2)
                if found:
                    share = _deal(rng)
                    url = f"https://{share}.test/{share}/{edition}/{page.url.split('/', 3)[3]}"
                    dealt[share].append(Written(url, page.title, page.language, found))
        for written in dealt.values():
            texts = [chunk.text for page in written for chunk in page.chunks]
            await self.index.write(model, written, await embedder.passages(texts))
        began = time.perf_counter()
        await self.index.finish(model)
        seconds = time.perf_counter() - began
        await self._remember()
        asked = sorted(
            {
                query.text
                for site, pages in zip(documents.SITES, sites, strict=True)
                for query in search_queries.with_titles(site, pages)[1]
            }
        )
        texts = random.Random(2).sample(asked, QUERIES)
        self.queries = list(zip(texts, await embedder.queries(texts), strict=True))
        return seconds

    async def _remember(self) -> None:
        rows = await self._rows(
            "SELECT e.id, e.page_id, s.slug, e.embedding FROM page_embeddings AS e "
            "JOIN scraper_sources AS s ON s.id = e.source_id ORDER BY e.id"
        )
        self.ids, self.pages = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        self.slugs = np.array([row[2] for row in rows])
        self.vectors = np.array([row[3].to_numpy() for row in rows], dtype=np.float32)

    async def _chunk_recall(self) -> float:
        """Return how many of the ten nearest chunks the index finds, with the settings that `search_pages` has."""
        connection, found = self.index.connection, []
        async with connection.transaction():
            for (setting,) in await self._rows(NAMED):
                await connection.execute("SELECT set_config(%s, %s, true)", setting.split("=", 1))
            for _, vector in self.queries:
                nearest = await connection.execute(
                    f"SELECT id FROM page_embeddings WHERE model_id = 1 ORDER BY embedding::halfvec({DIMENSIONS}) <=> "  # noqa: S608 - a number
                    f"%s::halfvec({DIMENSIONS}) LIMIT 100".encode(),
                    (Vector(vector),),
                )
                ids = [row[0] for row in await nearest.fetchall()]
                distances = -(self.vectors @ vector)
                ours = np.sort(distances[np.searchsorted(self.ids, ids)])[:10]
                found.append(np.mean(ours <= np.partition(distances, 9)[9] + EQUAL))
        return float(np.mean(found))

    async def _filtered(self, filters: Filters, left: npt.NDArray[np.bool_]) -> Filtered:
        recalls = []
        pages, vectors = self.pages[left], self.vectors[left]
        for _, vector in self.queries:
            hits = await search_pages(self.index.connection, None, vector, filters=filters)
            best = _best(pages, -(vectors @ vector))
            ranked = sorted(best.values())
            edge = ranked[min(10, len(ranked)) - 1] + EQUAL
            recalls.append(sum(best[hit.page_id] <= edge for hit in hits) / min(10, len(ranked)))
        return Filtered(int(left.sum()), float(np.mean(recalls)), await self._latency(filters))

    async def _latency(self, filters: Filters) -> Latency:
        connection = self.index.connection
        backend = psutil.Process(connection.info.backend_pid)
        rounds, before = [], _cpu(backend)
        for _ in range(ROUNDS):
            times = []
            for text, vector in self.queries:
                began = time.perf_counter()
                await search_pages(connection, text, vector, filters=filters)
                times.append(time.perf_counter() - began)
            rounds.append(times)
        return _latency(rounds, (_cpu(backend) - before) / (ROUNDS * QUERIES))

    def _over_http(self) -> Latency:
        with _served(self.url) as address:
            connection = HTTPConnection(urlsplit(address).netloc, timeout=60)

            def ask(text: str) -> None:
                connection.request("GET", f"/search?{urlencode({'q': text})}")
                answer = connection.getresponse()
                body = answer.read()
                assert answer.status == 200, body

            return _latency([[_timed(ask, text) for text, _ in self.queries] for _ in range(ROUNDS)])

    async def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return await (await self.index.connection.execute(query.encode())).fetchall()


async def measure(url: str, chunks: int) -> Figures:
    """Return the figures of an index of about so many chunks, in an empty database."""
    async with open_index(url) as index:
        return await Large(index, url).measure(chunks)


def _windows(page: search_queries.Page, window: int, offset: int) -> list[Chunk]:
    texts = (page.content[at : at + window] for at in range(offset, len(page.content), window))
    distinct = dict.fromkeys(text for text in texts if len(text) >= SHORTEST)
    return [Chunk(hashlib.sha256(text.encode()).digest(), text, page.title) for text in distinct]


def _deal(rng: random.Random) -> str:
    drawn = rng.random()
    for share, width in SHARES.items():
        if drawn < width:
            return share
        drawn -= width
    raise AssertionError  # the last is as wide as all


def _best(pages: npt.NDArray[np.int64], distances: npt.NDArray[np.float32]) -> dict[int, float]:
    """Return the distance of each page's nearest chunk."""
    order = np.argsort(distances)
    ids, first = np.unique(pages[order], return_index=True)
    return dict(zip(ids.tolist(), distances[order][first].tolist(), strict=True))


def _latency(rounds: Sequence[Sequence[float]], cpu: float | None = None) -> Latency:
    p50, p95 = (float(np.median([np.quantile(times, q) for times in rounds])) * 1000 for q in (0.5, 0.95))
    return Latency(p50, p95, cpu * 1000 if cpu is not None else None)


def _timed(action: Callable[[str], None], text: str) -> float:
    began = time.perf_counter()
    action(text)
    return time.perf_counter() - began


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _served(url: str) -> Iterator[str]:
    """Run `scrapy serve` over an index, and yield its URL."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LCL_", "DATABASE_URL"))}
    server = subprocess.Popen(
        [sys.executable, "-m", "scrapy", "serve", "--port", "0"],
        cwd=ROOT,
        env={**env, "LCL_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
    finally:
        server.terminate()
        server.wait()
