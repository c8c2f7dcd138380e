"""Fourth pipeline: vectors for the chunks that the index does not have yet, in micro-batches across pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from cachetools import LRUCache
from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem

from db import pages
from db.errors import DatabaseProblem
from pipelines.batching import Batcher
from pipelines.outcome import Outcome
from pipelines.providers import ProviderError, ProviderRefused, checked
from pipelines.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scrapy.crawler import Crawler

    from db.pages import Embedding
    from pipelines.chunker import Chunk

    Vectors = Mapping[bytes, tuple[Embedding, int | None]]

LINGER = 0.1
CACHED_VECTORS = 4096


@dataclass(frozen=True, slots=True)
class _Page:
    url: str
    is_new: bool
    chunks: Mapping[bytes, Chunk]


class EmbeddingPipeline:
    """Asks the page, then this run's cache, then the database, and only then the provider (C2)."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._recent: LRUCache[bytes, tuple[Embedding, int | None]] = LRUCache(CACHED_VECTORS)
        size = run.config.embedding_batch_size
        self._batcher: Batcher[_Page, Vectors | ProviderRefused] = Batcher(
            self._embed_batch, max_items=size, max_weight=size, linger=LINGER, concurrency=2
        )

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl."""
        return cls(Run.of(crawler))

    async def process_item(self, item: Any) -> Any:
        """Set `vectors` of a present page. A refused text fails its page; a provider that is down ends the run."""
        page = ItemAdapter(item)
        if page["outcome"] != Outcome.PRESENT:
            return item
        distinct = {chunk.hash: chunk for chunk in reversed(page["chunks"])}
        self._run.count("chunks/total", len(distinct))
        if not distinct:
            page["vectors"] = {}
            return item
        member = _Page(page["url"], page["known"] is None, distinct)
        try:
            answer = await self._batcher.submit(member, weight=len(distinct))
        except ProviderError as error:
            raise self._end_run("provider_unavailable", page["url"], error) from error
        except DatabaseProblem as error:
            raise self._end_run(error.reason, page["url"], error) from error
        if isinstance(answer, ProviderRefused):
            page["outcome"], page["reason"], page["message"] = Outcome.FAILED, "embedding_refused", str(answer)
        else:
            page["vectors"] = answer
        return item

    def _end_run(self, reason: str, url: str, error: Exception) -> DropItem:
        self._run.stop(reason, f"{error}. What is committed stays; the next run goes on.")
        return DropItem(f"{url} stays as it was: {error}", log_level="DEBUG")

    async def close_spider(self) -> None:
        """End the flushes that still run."""
        await self._batcher.close()

    async def _embed_batch(self, batch: Sequence[_Page]) -> list[Vectors | ProviderRefused]:
        try:
            return list(await self._vectors(batch))
        except ProviderRefused as error:
            if len(batch) == 1:
                return [error]
        return [answer for page in batch for answer in await self._embed_batch([page])]

    async def _vectors(self, batch: Sequence[_Page]) -> list[Vectors]:
        own = await self._own_chunks(batch)
        lacking = [
            {digest: chunk.text for digest, chunk in page.chunks.items() if digest not in own.get(page.url, ())}
            for page in batch
        ]
        texts = {digest: text for page in lacking for digest, text in page.items()}
        found = await self._reuse(list(texts))
        await self._embed({digest: text for digest, text in texts.items() if digest not in found}, found)
        self._run.count("chunks/kept", sum(len(page.chunks) for page in batch) - sum(map(len, lacking)))
        return [{digest: found[digest] for digest in page} for page in lacking]

    async def _own_chunks(self, batch: Sequence[_Page]) -> dict[str, set[bytes]]:
        known = [page.url for page in batch if not page.is_new]
        if not known or self._run.arguments.reembed:
            return {}
        run = self._run
        return await run.runtime.use_connection(
            lambda connection: pages.own_chunks(connection, run.source.id, run.model.id, known)
        )

    async def _reuse(self, digests: Sequence[bytes]) -> dict[bytes, tuple[Embedding, int | None]]:
        found = {digest: self._recent[digest] for digest in digests if digest in self._recent}
        unseen = [digest for digest in digests if digest not in found]
        if unseen and not self._run.arguments.reembed:
            run = self._run
            found |= await run.runtime.use_connection(
                lambda connection: pages.reusable_vectors(connection, run.model.id, unseen)
            )
        self._run.count("chunks/reused", len(found))
        self._run.count("tokens/saved", sum(count or 0 for _, count in found.values()))
        return found

    async def _embed(self, texts: Mapping[bytes, str], found: dict[bytes, tuple[Embedding, int | None]]) -> None:
        digests = list(texts)
        size = self._run.config.embedding_batch_size
        for at in range(0, len(digests), size):
            part = digests[at : at + size]
            sent = [texts[digest] for digest in part]
            answer = checked(await self._run.runtime.provider.embed(sent), sent, self._run.model.dimensions)
            counts: Sequence[int | None] = answer.token_counts or [None] * len(part)
            for digest, vector, count in zip(part, answer.vectors, counts, strict=True):
                found[digest] = self._recent[digest] = (vector, count)
            self._run.count("chunks/embedded", len(part))
            self._run.count("tokens/embedded", answer.total_tokens)
