"""Batches of texts at a provider's, from the choice of their texts to the taking of their results.

A batch's row is there before the provider hears of it, and its key goes along: whatever dies in between, the batch is
found again and no text is sent twice.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from db import usage
from db.sql import load
from db.usage import Refused, Reservation, Spent
from db.vectors import Vectors

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from db.connection import Connection
    from db.pages import Embedding

_SQL = load("batches")

PREPARING = "preparing"
ENDED = ("completed", "failed", "expired", "cancelled")
"""States in which the provider does nothing more for a batch."""

STATES = ("validating", "in_progress", "finalizing", *ENDED, "cancelling")
"""The states that the API documents."""


@dataclass(frozen=True)
class Batch:
    """A row of `embedding_batches`. `remote_id` is the provider's, None while it is not known to have the batch."""

    id: int
    model_id: int
    key: str
    remote_id: str | None
    input_file_id: str | None
    output_file_id: str | None
    error_file_id: str | None
    state: str
    texts: int
    completed: int
    failed: int
    tokens: int
    day: dt.date
    reserved: int
    created_at: dt.datetime
    submitted_at: dt.datetime | None
    completed_at: dt.datetime | None
    settled_at: dt.datetime | None
    error: str | None

    @property
    def has_ended(self) -> bool:
        """Whether the provider does nothing more for it."""
        return self.state in ENDED


@dataclass(frozen=True)
class Remote:
    """What the provider says of a batch. `error` is why it failed as a whole."""

    remote_id: str
    input_file_id: str
    output_file_id: str | None
    error_file_id: str | None
    state: str
    completed: int
    failed: int
    completed_at: dt.datetime | None
    error: str | None


@dataclass(frozen=True)
class TextRefusal:
    """Why a text of a batch has no vector. `kind` is that of its page's failure; its `tokens` may be paid for."""

    kind: str
    message: str
    tokens: int = 0


async def free_models(connection: Connection) -> list[int]:
    """Return the models, active or being built, with texts that no batch has."""
    return [row[0] for row in await (await connection.execute(_SQL["free_models"])).fetchall()]


async def claim(
    connection: Connection, model_id: int, *, max_texts: int, max_bytes: int, limit: int | None
) -> int | Refused | None:
    """Choose texts for a new batch, and return its id; None when no text waits for one.

    `limit` is that of the day's tokens: as many texts are taken as it has room for, and it is said why not one.
    """
    async with connection.transaction():
        values: dict[str, Any] = {"model_id": model_id, "texts": max_texts, "bytes": max_bytes}
        chosen = await (await connection.execute(_SQL["choose"], values)).fetchall()
        if not chosen:
            return None
        reservation: Reservation | None = None
        if limit is not None:
            sums = list(itertools.accumulate(tokens for _, tokens in chosen))
            answer = await usage.reserve(connection, model_id, sums[-1], limit)
            if isinstance(answer, Refused):
                left = limit - answer.spent - answer.reserved
                chosen = chosen[: sum(total <= left for total in sums)]
                if not chosen:
                    return answer
                answer = await usage.reserve(connection, model_id, sums[len(chosen) - 1], limit)
            if isinstance(answer, Refused):
                return answer
            reservation = answer
        values = {
            "model_id": model_id,
            "texts": len(chosen),
            "day": reservation and reservation.day,
            "reserved": reservation.tokens if reservation else 0,
        }
        row = await (await connection.execute(_SQL["open_batch"], values)).fetchone()
        assert row is not None  # noqa: S101 - INSERT ... RETURNING always answers
        batch_id = int(row[0])
        values = {"batch_id": batch_id, "model_id": model_id, "chunk_hashes": [digest for digest, _ in chosen]}
        await connection.execute(_SQL["claim"], values)
    return batch_id


async def texts(connection: Connection, batch_id: int, *, after: bytes, limit: int) -> list[tuple[bytes, str]]:
    """Return the next texts of a batch by chunk hash, in the order of the hashes."""
    values = {"batch_id": batch_id, "after": after, "limit": limit}
    return await (await connection.execute(_SQL["texts_of"], values)).fetchall()


async def note_file(connection: Connection, batch_id: int, file_id: str) -> None:
    """Remember the file that was uploaded for a batch."""
    await connection.execute(_SQL["note_file"], {"id": batch_id, "file_id": file_id})


async def note_remote(connection: Connection, batch_id: int, remote: Remote) -> None:
    """Remember what the provider says of a batch."""
    await connection.execute(_SQL["note_remote"], {"id": batch_id, **vars(remote)})


async def take(
    connection: Connection,
    batch: Batch,
    vectors: Mapping[bytes, tuple[Embedding, int]],
    refusals: Mapping[bytes, TextRefusal],
) -> int:
    """Take results of a batch, each by chunk hash, and count what they cost; return how many were news.

    Bears repetition: what was taken before is neither stored nor counted again.
    """
    async with connection.transaction():
        found = await _take(
            connection,
            "take_vectors",
            id=batch.id,
            chunk_hashes=list(vectors),
            embeddings=Vectors([vector for vector, _ in vectors.values()]),
            token_counts=[tokens for _, tokens in vectors.values()],
        )
        refused = await _take(
            connection,
            "take_refusals",
            id=batch.id,
            chunk_hashes=list(refusals),
            kinds=[each.kind for each in refusals.values()],
            refusals=[each.message for each in refusals.values()],
            token_counts=[each.tokens for each in refusals.values()],
        )
        count, tokens = found[0] + refused[0], found[1] + refused[1]
        if count:
            spent = Spent(requests=count, texts=count, tokens=tokens, batched=tokens)
            await usage.add(connection, batch.model_id, spent, Reservation(batch.day, 0))
            await connection.execute(_SQL["count_tokens"], {"id": batch.id, "tokens": tokens})
    return count


async def settle(connection: Connection, batch: Batch, *, state: str, attempts: int, error: str | None = None) -> int:
    """End a batch whose results are taken: texts that have none wait for another one; return how many.

    A text that was in vain in so many completed batches is given up; a batch that ended otherwise was no attempt.
    """
    async with connection.transaction():
        ended = await connection.execute(_SQL["settle"], {"id": batch.id, "state": state, "error": error})
        if not ended.rowcount:
            return 0
        if state == "completed":
            refusal = f"it was in {attempts} batches, and none had an answer to it"
            values = {"id": batch.id, "attempts": attempts, "refusal": refusal}
            await connection.execute(_SQL["give_up_texts"], values)
        freed = await connection.execute(_SQL["free_texts"], {"id": batch.id, "untried": int(state != "completed")})
        if batch.reserved:
            await usage.add(connection, batch.model_id, Spent(), Reservation(batch.day, batch.reserved))
    return freed.rowcount


async def unsettled(connection: Connection) -> list[Batch]:
    """Return the batches whose results are not taken yet, oldest first."""
    return await _batches(connection, "open")


async def recent(connection: Connection, *, limit: int) -> list[Batch]:
    """Return batches: those that are not settled, then the newest."""
    return await _batches(connection, "recent", limit=limit)


async def _take(connection: Connection, name: str, **values: Any) -> tuple[int, int]:
    if not values["chunk_hashes"]:
        return 0, 0
    row = await (await connection.execute(_SQL[name], values)).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always answers
    return row


async def _batches(connection: Connection, name: str, **values: Any) -> list[Batch]:
    async with connection.cursor(row_factory=class_row(Batch)) as cursor:
        await cursor.execute(_SQL[name], values)
        return await cursor.fetchall()
