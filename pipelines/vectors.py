"""Where the vectors of chunks come from: this run's cache, the database, and only then the provider (C2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cachetools import LRUCache

from db import pages, pending
from pipelines.budget import Allowance, within
from pipelines.providers import ProviderError, ProviderMisconfigured, ProviderRefused
from pipelines.waiting import byte_length, estimated_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from db.pages import Embedding
    from pipelines.embedder import Answer, Embedder, Meter
    from pipelines.runtime import Runtime

    Vector = tuple[Embedding, int | None]

CACHE_BYTES = 16 * 1024 * 1024  # by bytes, since a vector has 1 kB or 16
ENTRY_BYTES = 400  # what an entry takes beside its numbers: hash, array, tuple, the cache's own
REMEMBERED_REFUSALS = 10_000


@dataclass
class Found:
    """What came of asking for the vectors of some texts, all by chunk hash.

    `vectors` come with their token counts, None where the provider tells none. `embedded` are those of them that had
    to be embedded for this call. `refused` are the texts that have no vector, each with the reason.
    """

    vectors: dict[bytes, Vector] = field(default_factory=dict)
    embedded: set[bytes] = field(default_factory=set)
    refused: dict[bytes, ProviderRefused] = field(default_factory=dict)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self.vectors or digest in self.refused


class VectorSource:
    """Finds or makes the vectors of texts under one model, for one run. A text that is refused is not sent again.

    `reuse` False does not ask the database. What is embedded is counted on `meter`, which may be an `Allowance` that
    sets a limit to it, and the size of the cache there as `cache/vector_bytes`.
    """

    def __init__(
        self,
        runtime: Runtime,
        embedder: Embedder,
        model_id: int,
        dimensions: int,
        meter: Meter,
        *,
        reuse: bool = True,
    ) -> None:
        self._runtime = runtime
        self._embedder = embedder
        self._model_id = model_id
        self._dimensions = dimensions
        self._meter = meter if isinstance(meter, Allowance) else Allowance(meter)
        self._undelivered: set[bytes] = set()
        self._reuse = reuse
        self._recent: LRUCache[bytes, Vector] = LRUCache(CACHE_BYTES, getsizeof=_size)
        self._refused: LRUCache[bytes, ProviderRefused] = LRUCache(REMEMBERED_REFUSALS)

    async def get(self, texts: Mapping[bytes, str]) -> Found:
        """Return the vectors of texts given by chunk hash; a text that is refused costs no other its vector.

        Raises `ProviderError` (`Stopped` when the meter has stopped, `TokenLimitReached`), or `DatabaseUnavailable`.
        The vectors that had come before a `ProviderError` are remembered.
        """
        found = await self.find(texts)
        missing = {digest: text for digest, text in texts.items() if digest not in found}
        if missing:
            await self._embed(missing, found)
        return found

    async def keep(self, texts: Mapping[bytes, str]) -> None:
        """Store the vectors that had come of texts for which `get` has failed, since they are paid for.

        `find` has them then in every process. Raises `DatabaseUnavailable`.
        """
        if not self._undelivered.isdisjoint(texts):
            found = await self.find(texts)
            await self.store({digest: (texts[digest], found.vectors[digest]) for digest in found.embedded})

    async def store(self, paid: Mapping[bytes, tuple[str, Vector]]) -> None:
        """Store vectors, each with its text, of which no page can be made now. Raises `DatabaseUnavailable`."""
        if paid:
            await self._runtime.use_connection(pending.tidy)
            await self._runtime.use_connection(lambda connection: pending.keep(connection, self._model_id, paid))

    async def find(self, texts: Mapping[bytes, str]) -> Found:
        """Return the vectors that are there already, and what was refused before. Raises `DatabaseUnavailable`."""
        found = Found()
        missing = self._recall(texts, found)
        if missing and self._reuse:
            found.vectors |= await self._runtime.use_connection(
                lambda connection: pages.reusable_vectors(connection, self._model_id, missing)
            )
            # Another batch of this run may have got some of them meanwhile.
            self._recall([digest for digest in missing if digest not in found.vectors], found)
        return found

    def _recall(self, digests: Iterable[bytes], found: Found) -> list[bytes]:
        """Add what this run knows already, and return what it does not."""
        missing = []
        for digest in digests:
            if (refusal := self._refused.get(digest)) is not None:
                found.refused[digest] = refusal
            elif (vector := self._recent.get(digest)) is not None:
                found.vectors[digest] = vector
                if digest in self._undelivered:
                    self._undelivered.discard(digest)
                    found.embedded.add(digest)
            else:
                missing.append(digest)
        return missing

    async def _embed(self, texts: Mapping[bytes, str], found: Found) -> None:
        digests, sizes = list(texts), [estimated_tokens(byte_length(text)) for text in texts.values()]
        fitting = within(sizes, self._meter.left)
        with self._meter.request(sum(sizes[:fitting])):
            answers = await self._embedder.embed_each([texts[digest] for digest in digests[:fitting]], self._meter)
        end = self._take(digests[:fitting], answers, found)
        if end is None and fitting < len(digests):
            end = self._meter.refusal(sum(sizes[fitting:]))
        if end is not None:
            self._undelivered |= found.embedded
            raise end

    def _take(
        self, digests: Sequence[bytes], answers: Sequence[Answer | ProviderError], found: Found
    ) -> ProviderError | None:
        """Add the answers to what was found and to what is remembered; return why some texts have none."""
        end: ProviderError | None = None
        before = self._recent.currsize
        for digest, answer in zip(digests, answers, strict=True):
            if isinstance(answer, ProviderRefused):
                found.refused[digest] = self._refused[digest] = answer
                continue
            if isinstance(answer, ProviderError):
                end = answer
                continue
            if answer.vector.shape != (self._dimensions,):
                msg = f"the index's model has {self._dimensions} dimensions, and the provider's {len(answer.vector)}"
                raise ProviderMisconfigured(msg)
            found.vectors[digest] = answer.vector, answer.tokens
            # A copy: a row of an answer would keep the whole of it in memory.
            self._recent[digest] = answer.vector.copy(), answer.tokens
            if answer.is_own:
                found.embedded.add(digest)
        self._meter.count("cache/vector_bytes", round(self._recent.currsize - before))
        return end


def _size(vector: Vector) -> int:
    return vector[0].nbytes + ENTRY_BYTES
