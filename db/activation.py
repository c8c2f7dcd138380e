"""The switch from one model to another, and what it leaves behind: in one transaction, or step by step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from db import indexes, models
from db.errors import ModelMismatch
from db.sql import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from db.connection import Connection
    from db.models import Model

    Told = Callable[[int, int], None]
    """Hears how many pages are done, of how many."""

_SQL = load("activation")

PAGES_AT_A_TIME = 500


class SwitchTooSlow(Exception):
    """The switch would have held up the commits of crawls for too long, and was taken back."""


@dataclass(frozen=True)
class Freed:
    """What a retired model no longer takes: rows whose space the table uses again, bytes given back to the disk."""

    embeddings: int
    pages: int
    index_bytes: int


async def activate(connection: Connection, model: Model, *, pause: float, leave_out: bool = False) -> int:
    """Make a model the active one if it covers every page, in one transaction; return how many it does not cover.

    The manifests change hands: the model's own become the pages' `chunk_hashes`, and those go to `page_manifests`, so
    that going back is the same switch. `leave_out`: pages with a text that the model's provider refuses do not count,
    and become failed pages, which are no part of the index.

    No page is committed meanwhile, for at most about `pause` seconds: raises `SwitchTooSlow` when that is not enough.
    Most is therefore done before, page by page, and the rest by `settle`. Raises `ModelMismatch` when the model is not
    being built. Takes a direct autocommit connection.
    """
    old = await models.active(connection)
    if old is not None:
        async for after, upto in _pages(connection):
            await _beside_commits(connection, "prepare_manifests", old=old.id, after=after, upto=upto)
    try:
        # The commit is outside of the time-out: of one that was cancelled nobody could say whether it took place.
        async with connection.transaction(), asyncio.timeout(pause):
            await connection.execute(_SQL["set_limits"], {"limit": f"{round(pause * 1000)}ms"})
            await models.lock_states(connection)
            return await _switch(connection, model, leave_out=leave_out)
    except (TimeoutError, psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
        msg = (
            f"the switch to {model} would hold up the commits of crawls for longer than {pause:.0f} s, and was taken "
            "back. Try again when no crawl is at work, or allow a longer pause"
        )
        raise SwitchTooSlow(msg) from error


async def _switch(connection: Connection, model: Model, *, leave_out: bool) -> int:
    now = {each.id: each for each in await models.every(connection)}
    old = next((each for each in now.values() if each.state == "active"), None)
    if old is None or model.id not in now or now[model.id].state != "building":
        msg = f"{model} is not being built: nothing was switched"
        raise ModelMismatch(msg)
    values = {"old": old.id, "new": model.id}
    (uncovered,) = await _one(connection, "count_uncovered", leave_out=leave_out, **values)
    if uncovered:
        return int(uncovered)
    if leave_out:
        await connection.execute(_SQL["leave_out"], values)
    for step in ("keep_manifests", "take_manifests", "leave", "enter"):
        await connection.execute(_SQL[step], values)
    return 0


async def count_pages(connection: Connection) -> int:
    """Return how many pages are stored."""
    (pages,) = await _one(connection, "count_pages")
    return int(pages)


async def settle(connection: Connection, model: Model, told: Told = lambda done, total: None) -> int:
    """Bring up to date what a switch to a model leaves behind; return how many pages' checks told something else.

    The pages' checks tell its chunks and tokens, from which it is reckoned what a rung of the ladder saves; and its
    manifests go. In small transactions, beside crawls; bears repetition, and does nothing for a model that is not the
    active one.
    """
    changed = 0
    async for after, upto in _pages(connection, told):
        values = {"model_id": model.id, "after": after, "upto": upto}
        changed += await _beside_commits(connection, "recount", **values)
        await _beside_commits(connection, "drop_manifests", **values)
    return changed


async def free(connection: Connection, model: Model, told: Told = lambda done, total: None) -> Freed:
    """Delete what is stored of a retired model, in small transactions; the next call goes on with what is left.

    Its search indexes go first, since each row deleted would be deleted from them, too. `told` hears how many pages
    were looked at, of how many. Takes a direct autocommit connection.
    """
    index_bytes = await indexes.drop(connection, model)
    embeddings = pages = 0
    async for after, upto in _pages(connection, told):
        freed = await _one(connection, "free", model_id=model.id, after=after, upto=upto)
        embeddings, pages = embeddings + freed[0], pages + freed[1]
    for waiting in ("free_parked", "free_texts"):
        values = {"model_id": model.id, "limit": PAGES_AT_A_TIME}
        while (await connection.execute(_SQL[waiting], values)).rowcount:
            pass
    # Until then the space is nobody's; autovacuum would come to it, too, but later.
    await connection.execute("VACUUM (ANALYZE) page_embeddings, page_manifests, pending_pages, pending_texts")
    return Freed(embeddings, pages, index_bytes)


async def _beside_commits(connection: Connection, name: str, **values: Any) -> int:
    """Run a statement as pages are committed, in a transaction during which no state changes; return its row count."""
    async with connection.transaction():
        await models.share_states(connection)
        return (await connection.execute(_SQL[name], values)).rowcount


async def _pages(connection: Connection, told: Told = lambda done, total: None) -> AsyncIterator[tuple[int, int]]:
    """Yield the bounds of some hundred pages' ids after the other; `told` hears how many of how many are done."""
    total = await count_pages(connection)
    after = done = 0
    while True:
        upto, looked_at = await _one(connection, "next_pages", after=after, limit=PAGES_AT_A_TIME)
        if upto is None:
            return
        yield after, upto
        after, done = upto, done + looked_at
        told(done, max(done, total))


async def _one(connection: Connection, name: str, **values: Any) -> tuple[Any, ...]:
    row = await (await connection.execute(_SQL[name], values)).fetchone()
    assert row is not None  # noqa: S101 - these queries always answer a row
    return row
