"""Between embedding and upsert: pages embedded under the models that are being built beside the active one, too (C8).

A crawl is none the worse for them. A page that a second model has no vectors for is left to `scrapy reembed`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from itemadapter import ItemAdapter

from db import models, pages, pending
from db.errors import DatabaseProblem, one_line
from db.page_rows import ChunkRow, Cover
from pipelines import index_model
from pipelines.batching import Batcher
from pipelines.budget import Allowance
from pipelines.chunker import distinct
from pipelines.chunking import cut
from pipelines.embedder import Stopped
from pipelines.outcome import Outcome
from pipelines.providers import ProviderError
from pipelines.run import Run
from pipelines.vectors import VectorSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scrapy.crawler import Crawler

    from db.models import Model
    from pipelines.chunker import Chunk
    from pipelines.embedder import Embedder
    from pipelines.runtime import Runtime
    from pipelines.vectors import Found

logger = logging.getLogger(__name__)

CHECK_TIMEOUT = 30  # seconds
AWAY_LASTS = 60.0  # seconds
LINGER = 0.05
MAX_PAGES = 64


@dataclass(frozen=True, slots=True)
class _Page:
    url: str
    is_new: bool
    chunks: Mapping[bytes, Chunk]


class CoveringPipeline:
    """Sets `covers` of present pages: what the page is under each model that is being built."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._coverers: list[Coverer] | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Set `covers` of a page that is about to be written. Whatever fails here fails no page."""
        if not self._run.building:
            return item
        page = ItemAdapter(item)
        if page["outcome"] == Outcome.PRESENT and self._run.stop_reason is None:
            found = [await coverer.cover(page) for coverer in self._all()]
            page["covers"] = [cover for cover in found if cover is not None]
        return item

    async def close_spider(self) -> None:
        """End the flushes that still run."""
        for coverer in self._coverers or ():
            await coverer.close()

    def _all(self) -> list[Coverer]:
        if self._coverers is None:
            self._coverers = [Coverer(self._run, model, embedder) for model, embedder in self._run.building]
        return self._coverers


class Coverer:
    """Embeds one run's pages under one model beside the active one, until its provider fails."""

    def __init__(self, run: Run, model: Model, embedder: Embedder) -> None:
        self._run = run
        self._model = model
        self._is_off = False
        allowance = Allowance(_Beside(run), run.purse)
        self._vectors = VectorSource(run.runtime, embedder, model.id, model.dimensions, allowance)
        size = run.config.embedding.batch_size
        self._batcher: Batcher[_Page, Cover | str] = Batcher(
            self._cover, max_items=MAX_PAGES, max_weight=size, linger=LINGER, concurrency=2
        )

    async def cover(self, page: ItemAdapter) -> Cover | None:
        """Return a page as it is under the model, None when that has no vectors for it."""
        if self._is_off:
            return None
        try:
            chunks = page["chunks"]
            if self._model.chunker_version != self._run.model.chunker_version:
                chunks = await cut(index_model.chunker_of(self._model), page["content"], page["title"])
            manifest = [chunk.hash for chunk in chunks]
            if not manifest:
                return Cover(self._model.id, (), ())
            by_hash = distinct(chunks)
            cover = await self._batcher.submit(_Page(page["url"], page["known"] is None, by_hash), len(by_hash))
        except Stopped:
            return None
        except (ProviderError, DatabaseProblem, ValueError) as error:
            self._turn_off(error)
            return None
        if isinstance(cover, str):
            self._run.count(f"building/pages/{cover}")
            return None
        return Cover(cover.model_id, manifest, cover.chunks)

    async def close(self) -> None:
        """End the flushes that still run."""
        await self._batcher.close()

    def _turn_off(self, error: Exception) -> None:
        if self._is_off:
            return
        self._is_off = True
        warn_of(self._run, self._model, one_line(error))

    async def _cover(self, batch: Sequence[_Page]) -> list[Cover | str]:
        """Return each page as it is under the model, or why not: it is `refused`, or `waiting` for a batch at work."""
        own = await self._own_chunks([page.url for page in batch if not page.is_new])
        lacking = [
            {digest: chunk.sent for digest, chunk in page.chunks.items() if digest not in own.get(page.url, ())}
            for page in batch
        ]
        asked = await self._asked({digest for page in lacking for digest in page})
        texts = {digest: text for page in lacking if not asked & page.keys() for digest, text in page.items()}
        try:
            found = await self._vectors.get(texts)
        except ProviderError:
            await self._vectors.keep(texts)
            raise
        return [self._settled(page, found, lacks, asked) for page, lacks in zip(batch, lacking, strict=True)]

    def _settled(self, page: _Page, found: Found, lacks: Mapping[bytes, str], asked: set[bytes]) -> Cover | str:
        if asked & lacks.keys():
            return "waiting"
        if found.refused.keys() & lacks.keys():
            return "refused"
        return Cover(self._model.id, (), _rows(page, found, lacks))

    async def _asked(self, hashes: set[bytes]) -> set[bytes]:
        """Return the texts that a batch is embedding: at once they would be paid for twice."""
        if not hashes:
            return set()
        return await self._run.runtime.use_connection(
            lambda connection: pending.asked(connection, self._model.id, hashes)
        )

    async def _own_chunks(self, known: Sequence[str]) -> Mapping[str, Mapping[bytes, int | None]]:
        run = self._run
        if not known:
            return {}
        return await run.runtime.use_connection(
            lambda connection: pages.own_chunks(connection, run.source.id, self._model.id, known)
        )


class _Beside:
    """The meter of a second model: what it costs stands apart in the run's ledger."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def stop_reason(self) -> str | None:
        """Why no more requests are to be made."""
        return self._run.stop_reason or ("shutdown" if self._run.is_shutting_down else None)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of what is being built."""
        self._run.count(f"building/{name}", by)


async def prepare(run: Run, clock: Callable[[], float] = time.monotonic) -> list[tuple[Model, Embedder]]:
    """Return the models that are being built and whose providers answer, with their embedders.

    A provider that does not is told of, once a run; the next runs of the process do not wait for it for `AWAY_LASTS`.
    """
    _, building = await run.runtime.use_connection(models.in_use)
    away = _away.setdefault(run.runtime, {})
    ready = []
    for model in building:
        if model.id in away and clock() - away[model.id][0] < AWAY_LASTS:
            warn_of(run, model, away[model.id][1])
            continue
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                ready.append((model, await index_model.embedder_of(run.runtime, model)))
        except (ProviderError, DatabaseProblem, TimeoutError) as error:
            away[model.id] = clock(), one_line(error)  # without its trace, which holds the run
            warn_of(run, model, one_line(error))
    return ready


_away: WeakKeyDictionary[Runtime, dict[int, tuple[float, str]]] = WeakKeyDictionary()


def warn_of(run: Run, model: Model, why: str) -> None:
    """Say that a run goes on without a model that is being built."""
    run.count("building/unavailable")
    logger.warning(
        "%s: the run goes on without %s, which is being built beside the index's model (%s). Its pages are left to "
        "`scrapy reembed`",
        run.source.slug,
        model,
        why,
    )


def _rows(page: _Page, found: Found, lacks: Mapping[bytes, str]) -> list[ChunkRow]:
    rows = []
    for digest, chunk in page.chunks.items():
        vector, tokens = found.vectors[digest] if digest in lacks else (None, None)
        rows.append(ChunkRow(digest, chunk.heading, chunk.text, tokens, vector))
    return rows
