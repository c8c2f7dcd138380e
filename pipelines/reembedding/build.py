"""Building a model from the stored text, until it covers every page.

What is done is in the database and nowhere else: a build that is killed goes on where it was, and sends no text again
but those whose vectors it had not yet committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db import manifests
from db.errors import IncompleteWrite
from db.manifests import Entry
from db.page_rows import ChunkRow
from pipelines import index_model
from pipelines.chunker import Chunk, Chunker, distinct
from pipelines.providers import ProviderError
from pipelines.vectors import VectorSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from db.connection import Connection
    from db.manifests import PendingPage
    from db.models import Model
    from pipelines.embedder import Embedder
    from pipelines.runtime import Runtime
    from pipelines.vectors import Found

logger = logging.getLogger(__name__)

PAGES_AT_A_TIME = 200
REQUESTS_A_GROUP = 4
MOST_TOGETHER = 1024  # texts: several groups fit into the embedder's waiting room, and little is lost when one is


@dataclass(frozen=True, slots=True)
class CutPage:
    """A page with its chunks; `failure` says why it could not be cut."""

    page: PendingPage
    chunks: Sequence[Chunk]
    failure: str | None = None


@dataclass(slots=True)
class Progress:
    """What a build did so far: pages that it covered, that were refused, and that changed under its hands.

    `chunks` are those of covered pages, `embedded` the texts that were sent, with their `tokens`.
    """

    pages: int = 0
    refused: int = 0
    left: int = 0
    chunks: int = 0
    embedded: int = 0
    tokens: int = 0


class Build:
    """Brings a model that is being built to cover every page. A meter of what that costs.

    `told` hears of the progress after each group of pages. Setting `stop_reason` ends the build after the groups in
    hand.
    """

    def __init__(
        self, runtime: Runtime, model: Model, embedder: Embedder, told: Callable[[Progress], None] = lambda _: None
    ) -> None:
        self.progress = Progress()
        self.stop_reason: str | None = None
        self._runtime = runtime
        self._model = model
        self._told = told
        self._chunker = index_model.chunker_of(model)
        self._vectors = VectorSource(runtime, embedder, model.id, model.dimensions, self)
        # Several requests are written together, and there are texts for the next ones while a group is written.
        batch_size = runtime.config.embedding.batch_size
        self._group_size = max(batch_size, min(REQUESTS_A_GROUP * batch_size, MOST_TOGETHER))
        self._groups_at_a_time = max(2, runtime.config.embedding.concurrency)

    def count(self, name: str, by: int = 1) -> None:
        """Count what the provider was sent."""
        if name == "chunks/embedded":
            self.progress.embedded += by
        elif name == "tokens/embedded":
            self.progress.tokens += by

    async def run(self) -> int:
        """Cover pages until none is pending, or a pass brings nothing forward; return how many are pending still.

        Raises `ProviderError` or `DatabaseProblem`; what was done is kept, and the next build goes on.
        """
        while True:
            before = self.progress.pages + self.progress.refused
            await self._pass()
            pending = await self._runtime.use_connection(
                lambda connection: manifests.count_pending(connection, self._model.id)
            )
            if not pending or self.stop_reason or self.progress.pages + self.progress.refused == before:
                return pending

    async def _pass(self) -> None:
        """Go once over all pages by id. A failure ends it when the groups in hand have ended."""
        slots = asyncio.Semaphore(self._groups_at_a_time)
        tasks: set[asyncio.Task[None]] = set()
        failures: list[BaseException] = []

        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            slots.release()
            if not task.cancelled() and (error := task.exception()) is not None:
                failures.append(error)

        after = 0
        try:
            while found := await self._next(after):
                after = found[-1].id
                for group in groups(await asyncio.to_thread(cut_all, self._chunker, found), self._group_size):
                    await slots.acquire()
                    if failures or self.stop_reason:
                        slots.release()
                        return
                    task = asyncio.create_task(self._cover(group))
                    tasks.add(task)
                    task.add_done_callback(ended)
        finally:
            while tasks:
                await asyncio.wait(tasks)
            if failures:
                raise failures[0]

    async def _next(self, after: int) -> list[PendingPage]:
        return await self._runtime.use_connection(
            lambda connection: manifests.pending(connection, self._model.id, after=after, limit=PAGES_AT_A_TIME)
        )

    async def _cover(self, group: Sequence[CutPage]) -> None:
        own = await self._own_chunks(group)
        texts = {
            chunk.hash: chunk.sent for each in group for chunk in each.chunks if (each.page.id, chunk.hash) not in own
        }
        try:
            found = await self._vectors.get(texts)
        except ProviderError:
            await self._vectors.keep(texts)
            raise
        entries, refusals = [], []
        for each in group:
            refusal = each.failure or _refusal(each, found)
            if refusal is not None:
                refusals.append((each.page, refusal))
            else:
                entries.append((each.page, _entry(each, found, own)))
        try:
            held = await self._runtime.use_connection(lambda connection: self._write(connection, entries, refusals))
        except IncompleteWrite as error:  # a crawl wrote one of these pages meanwhile: the next pass sees it as it is
            logger.debug("left to the next pass: %s", error)
            held = set()
        progress = self.progress
        progress.pages += sum(page.id in held for page, _ in entries)
        progress.chunks += sum(len(entry.chunks) for page, entry in entries if page.id in held)
        progress.refused += sum(page.id in held for page, _ in refusals)
        progress.left += len(group) - len(held)
        self._told(progress)

    async def _own_chunks(self, group: Sequence[CutPage]) -> set[tuple[int, bytes]]:
        """Return the chunks that these pages have under the model from an earlier text."""
        tried = [each.page.id for each in group if each.page.was_tried]
        if not tried:
            return set()
        return await self._runtime.use_connection(
            lambda connection: manifests.own_chunks(connection, self._model.id, tried)
        )

    async def _write(
        self,
        connection: Connection,
        entries: Sequence[tuple[PendingPage, Entry]],
        refusals: Sequence[tuple[PendingPage, str]],
    ) -> set[int]:
        """Write pages that still have their text in one transaction, and return which those are."""
        async with connection.transaction():
            held = await manifests.hold_unchanged(connection, [page for page, _ in (*entries, *refusals)])
            for source_id in dict.fromkeys(page.source_id for page, _ in entries):
                of_source = [entry for page, entry in entries if page.source_id == source_id and page.id in held]
                if of_source:
                    await manifests.cover(connection, source_id, self._model.id, of_source)
            if refused := [(page, message) for page, message in refusals if page.id in held]:
                await manifests.refuse(connection, self._model.id, refused)
        return held


def cut_all(chunker: Chunker, pages: Sequence[PendingPage]) -> list[CutPage]:
    """Cut pages into chunks. Blocks for some milliseconds a page."""
    return [_cut(chunker, page) for page in pages]


def groups(pages: Sequence[CutPage], size: int) -> Iterator[list[CutPage]]:
    """Part pages, in their order, into groups of at least `size` distinct texts: what is embedded and written together.

    The last group may have fewer; a page is never parted.
    """
    group: list[CutPage] = []
    texts: Counter[bytes] = Counter()
    for each in pages:
        group.append(each)
        texts.update({chunk.hash for chunk in each.chunks})
        if len(texts) >= size:
            yield group
            group, texts = [], Counter()
    if group:
        yield group


def _cut(chunker: Chunker, page: PendingPage) -> CutPage:
    if page.manifest is not None:
        texts = dict(zip(page.hashes or (), page.texts or (), strict=True))
        return CutPage(page, [Chunk(digest, texts[digest], None, chunker.prefixes.passage) for digest in page.manifest])
    try:
        return CutPage(page, chunker.cut(page.content or "", page.title))
    except (ValueError, UnicodeError) as error:
        return CutPage(page, (), f"it cannot be cut: {error}")


def _refusal(each: CutPage, found: Found) -> str | None:
    return next((str(found.refused[chunk.hash]) for chunk in each.chunks if chunk.hash in found.refused), None)


def _entry(each: CutPage, found: Found, own: set[tuple[int, bytes]]) -> Entry:
    page = each.page
    rows = []
    for digest, chunk in distinct(each.chunks).items():
        vector, tokens = (None, None) if (page.id, digest) in own else found.vectors[digest]
        content = chunk.text if page.manifest is None else None  # the database has it, with heading and language
        rows.append(ChunkRow(digest, chunk.heading, content, tokens, vector))
    manifest = [chunk.hash for chunk in each.chunks]
    return Entry(page.id, page.url, page.language, page.content_hash, manifest, rows)
