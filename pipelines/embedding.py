"""Fourth pipeline: vectors for the chunks that a page does not have yet, in micro-batches across pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem

from db import pages
from db.errors import DatabaseProblem
from pipelines.batching import Batcher
from pipelines.budget import Allowance
from pipelines.chunker import distinct
from pipelines.embedder import Stopped
from pipelines.outcome import Outcome
from pipelines.providers import ProviderError, ProviderRefused
from pipelines.run import Run
from pipelines.vectors import Found, VectorSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scrapy.crawler import Crawler

    from pipelines.chunker import Chunk
    from pipelines.vectors import Vector

    Vectors = Mapping[bytes, Vector]

LINGER = 0.02  # for the question to the database; the embedder waits again, for texts of other runs


@dataclass(frozen=True, slots=True)
class _Page:
    url: str
    is_new: bool
    chunks: Mapping[bytes, Chunk]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A page of which some texts wait for a batch."""

    vectors: Vectors
    awaits: Mapping[bytes, str]


class _RunMeter:
    """Counts for a run, which wants nothing more when it stops by itself, nor when its crawl is ended from outside."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def stop_reason(self) -> str | None:
        """Why nothing more is wanted."""
        return self._run.stop_reason or ("shutdown" if self._run.is_shutting_down else None)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of the run."""
        self._run.count(name, by)


class EmbeddingPipeline:
    """Keeps the chunks that a page has, and gets vectors for the others."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._source: VectorSource | None = None
        embedding = run.config.embedding
        size = embedding.batch_size
        # Twice as many as there are requests at a time: a batch is answered with the last of its texts, and meanwhile
        # the next requests must have theirs.
        self._batcher: Batcher[_Page, Vectors | ProviderError | _Waiting] = Batcher(
            self._embed_batch, max_items=size, max_weight=size, linger=LINGER, concurrency=2 * embedding.concurrency
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
        chunks = distinct(page["chunks"])
        if not chunks:
            page["vectors"] = {}
            return item
        try:
            answer = await self._batcher.submit(_Page(page["url"], page["known"] is None, chunks), weight=len(chunks))
        except (ProviderError, DatabaseProblem) as error:
            raise self._end_run(page["url"], error) from error
        if isinstance(answer, ProviderRefused):
            page["outcome"], page["reason"], page["message"] = Outcome.FAILED, answer.kind, str(answer)
        elif isinstance(answer, ProviderError):
            raise self._end_run(page["url"], answer)
        elif isinstance(answer, _Waiting):
            page["outcome"], page["vectors"], page["awaits"] = Outcome.PENDING, answer.vectors, answer.awaits
        else:
            page["vectors"] = answer
            self._run.count("chunks/total", len(chunks))
        return item

    def _end_run(self, url: str, error: ProviderError | DatabaseProblem) -> DropItem:
        if not isinstance(error, Stopped):
            self._run.stop(error.reason, f"{error}. What is committed stays; the next run goes on.")
        return DropItem(f"{url} stays as it was: {error}", log_level="DEBUG")

    async def close_spider(self) -> None:
        """End the flushes that still run."""
        await self._batcher.close()

    async def _embed_batch(self, batch: Sequence[_Page]) -> list[Vectors | ProviderError | _Waiting]:
        try:
            return await self._vectors_of(batch, embed=not self._run.embeds_by_batch)
        except ProviderError as error:
            return await self._as_far_as_it_came(batch, error)

    async def _as_far_as_it_came(
        self, batch: Sequence[_Page], error: ProviderError
    ) -> list[Vectors | ProviderError | _Waiting]:
        """Return the vectors of the pages all of whose texts have one."""
        answers = await self._vectors_of(batch, embed=False)
        return [error if isinstance(answer, _Waiting) else answer for answer in answers]

    async def _vectors_of(
        self, batch: Sequence[_Page], *, embed: bool = True
    ) -> list[Vectors | ProviderError | _Waiting]:
        own = await self._own_chunks(batch)
        lacking = [
            {digest: chunk.sent for digest, chunk in page.chunks.items() if digest not in own.get(page.url, ())}
            for page in batch
        ]
        texts = {digest: text for page in lacking for digest, text in page.items()}
        found = await (self._vectors.get(texts) if embed else self._vectors.find(texts))
        refusals = [
            next((found.refused[digest] for digest in page if digest in found.refused), None) for page in lacking
        ]
        awaits = [{digest: text for digest, text in page.items() if digest not in found} for page in lacking]
        whole = [at for at, refusal in enumerate(refusals) if refusal is None and not awaits[at]]
        self._count([batch[at] for at in whole], own, [lacking[at] for at in whole], found)
        # What is paid for and can be part of no page now, because another text of the page has no vector.
        rest = found.embedded.difference(*(lacking[at] for at in whole))
        await self._vectors.store({digest: (texts[digest], found.vectors[digest]) for digest in rest})
        vectors = [{digest: found.vectors[digest] for digest in page if digest in found.vectors} for page in lacking]
        return [
            refusal or (_Waiting(ready, waited) if waited else ready)
            for refusal, ready, waited in zip(refusals, vectors, awaits, strict=True)
        ]

    @property
    def _vectors(self) -> VectorSource:
        """The run's source of vectors, made when the first page needs it: the run is open by then."""
        if self._source is None:
            run = self._run
            self._source = VectorSource(
                run.runtime,
                run.embedder,
                run.model.id,
                run.model.dimensions,
                Allowance(_RunMeter(run), run.purse),
                reuse=not run.arguments.reembed,
            )
        return self._source

    async def _own_chunks(self, batch: Sequence[_Page]) -> dict[str, dict[bytes, int | None]]:
        run = self._run
        known = [page.url for page in batch if not page.is_new]
        if not known or run.arguments.reembed:
            return {}
        return await run.runtime.use_connection(
            lambda connection: pages.own_chunks(connection, run.source.id, run.model.id, known)
        )

    def _count(
        self,
        batch: Sequence[_Page],
        own: Mapping[str, Mapping[bytes, int | None]],
        lacking: Sequence[Mapping[bytes, str]],
        found: Found,
    ) -> None:
        """Count what was saved: a chunk is kept, or reused, or was embedded for exactly one of the pages."""
        kept = [
            (page.url, digest)
            for page, lacks in zip(batch, lacking, strict=True)
            for digest in page.chunks
            if digest not in lacks
        ]
        lacked = Counter(digest for page in lacking for digest in page)
        reused = list((lacked - Counter(found.embedded)).elements())
        self._run.count("chunks/kept", len(kept))
        self._run.count("chunks/reused", len(reused))
        saved = [own[url][digest] for url, digest in kept] + [found.vectors[digest][1] for digest in reused]
        self._run.count("tokens/saved", sum(count or 0 for count in saved))
