"""Where the vectors of chunks come from: this run's cache, the database, and only then the provider (C2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cachetools import LRUCache

from db import pages
from pipelines.providers import ProviderRefused, ProviderUnavailable, UnusableVector, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db.pages import Embedding
    from pipelines.run import Run

    Vector = tuple[Embedding, int | None]

CACHED_VECTORS = 4096
UNUSABLE_IN_A_ROW = 3  # a provider of which this many texts in a row have no vector is ill, not they


class VectorSource:
    """Finds or makes the vector of each text, each text once in a run however many pages ask for it at a time.

    A vector comes with its token count, None where the provider does not tell it.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._recent: LRUCache[bytes, Vector] = LRUCache(CACHED_VECTORS)
        self._asked: dict[bytes, asyncio.Future[Vector]] = {}
        self._unusable_in_a_row = 0

    async def get(self, texts: Mapping[bytes, str]) -> tuple[dict[bytes, Vector], set[bytes]]:
        """Return the vectors by chunk hash, and which of them had to be embedded for this call.

        Raises `ProviderRefused` when a text has no vector, `ProviderUnavailable` or `DatabaseUnavailable`.
        """
        found = {digest: self._recent[digest] for digest in texts if digest in self._recent}
        elsewhere = {digest: self._asked[digest] for digest in texts if digest in self._asked and digest not in found}
        mine = {digest: text for digest, text in texts.items() if digest not in found and digest not in elsewhere}
        loop = asyncio.get_running_loop()
        self._asked |= {digest: loop.create_future() for digest in mine}
        try:
            embedded = await self._fetch(mine, found)
            for digest in mine:
                self._recent[digest] = found[digest]
                self._asked[digest].set_result(found[digest])
        finally:
            for digest in mine:
                future = self._asked.pop(digest)
                if not future.done():
                    # Whoever waits for it asks again; the error is for the page that asked first.
                    future.cancel()
        for digest, future in elsewhere.items():
            try:
                found[digest] = await asyncio.shield(future)
            except asyncio.CancelledError:
                if not future.cancelled():
                    raise
                again, made = await self.get({digest: texts[digest]})
                found |= again
                embedded |= made
        return found, embedded

    async def _fetch(self, texts: Mapping[bytes, str], found: dict[bytes, Vector]) -> set[bytes]:
        run = self._run
        stored: dict[bytes, Vector] = {}
        if texts and not run.arguments.reembed:
            stored = await run.runtime.use_connection(
                lambda connection: pages.reusable_vectors(connection, run.model.id, list(texts))
            )
        found |= stored
        new = [digest for digest in texts if digest not in stored]
        size = run.config.embedding_batch_size
        for at in range(0, len(new), size):
            await self._embed(new[at : at + size], texts, found)
        return set(new)

    async def _embed(self, digests: Sequence[bytes], texts: Mapping[bytes, str], found: dict[bytes, Vector]) -> None:
        """Embed a part; a refused one is halved until the text that is refused stands alone."""
        if self._run.stop_reason is not None:
            msg = "the run is stopping"
            raise ProviderUnavailable(msg)
        sent = [texts[digest] for digest in digests]
        try:
            answer = checked(await self._run.runtime.provider.embed(sent), sent, self._run.model.dimensions)
        except ProviderRefused as error:
            if len(digests) == 1:
                self._note(error)
                raise
            middle = len(digests) // 2
            refused = []
            for half in (digests[:middle], digests[middle:]):
                try:
                    await self._embed(half, texts, found)
                except ProviderRefused as refusal:
                    refused.append(refusal)
            if refused:
                raise refused[0] from None
            return
        self._unusable_in_a_row = 0
        counts: Sequence[int | None] = answer.token_counts or [None] * len(digests)
        for digest, vector, count in zip(digests, answer.vectors, counts, strict=True):
            found[digest] = self._recent[digest] = (vector, count)
        self._run.count("chunks/embedded", len(digests))
        self._run.count("tokens/embedded", answer.total_tokens)

    def _note(self, error: ProviderRefused) -> None:
        if isinstance(error, UnusableVector):
            self._unusable_in_a_row += 1
            if self._unusable_in_a_row >= UNUSABLE_IN_A_ROW:
                msg = f"{error}, {self._unusable_in_a_row} times in a row"
                raise ProviderUnavailable(msg) from error
