"""Parked pages whose texts have their vectors, brought into the index by the same commit as every page (A1).

Source by source, under the domain's lock and a fence of its own, as a run writes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from db import models, page_writes, pages, pending, sources
from db.errors import FenceLost, ModelChanged, SourceNotFound
from db.locks import DomainLock
from db.page_rows import Failure, Schedule
from pipelines.batch_api.pages import checks_of, chunk_texts, to_row
from pipelines.index_model import chunker_of
from pipelines.tasks import end
from pipelines.trust import Trust
from pipelines.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.models import Model
    from db.pending import ReadyPage
    from db.sources import Source
    from pipelines.batch_api.pages import Vectors
    from pipelines.runtime import Runtime

logger = logging.getLogger(__name__)

AT_A_TIME = 64  # pages in one transaction, as in a crawl


@dataclass
class Applied:
    """What became of parked pages, by kind, and the sources that a run holds, whose pages wait for the next call.

    `indexed`; `duplicate` of another page; `failed`, with a refused text; `outdated`: something newer is in the index;
    `other_model`: parked under one that is no longer the active one, so that the next crawl embeds them anew (vectors
    that came are kept for whoever builds that one); a model that is being built does not cover a page that is written;
    `incomplete`: a vector that they were to reuse is gone, so that they wait for the next batch.
    """

    pages: Counter[str] = field(default_factory=Counter)
    busy: list[str] = field(default_factory=list)


@dataclass
class Author:
    """On whose behalf the pages of one source are written; takes the place that a `Run` has in a crawl."""

    source: Source
    model: Model
    fence: int
    job_id: UUID
    runtime: Runtime
    trust: Trust
    schedule: Schedule
    is_limited: bool = True

    def count(self, name: str, by: int = 1) -> None:
        """Count nothing: `Applied` tells what was written."""


async def apply(runtime: Runtime) -> Applied:
    """Write every parked page for which no text is awaited any more. Raises `DatabaseProblem`.

    Whatever ends it, a page is in the index whole or parked still.
    """
    done = Applied()
    for source_id in await runtime.use_connection(pending.ready_sources):
        try:
            source = await runtime.use_connection(partial(sources.get, name=str(source_id)))
        except SourceNotFound:  # it was removed since, and its parked pages with it
            continue
        await _apply_source(runtime, source, done)
    await runtime.use_connection(pending.tidy)
    return done


async def _apply_source(runtime: Runtime, source: Source, done: Applied) -> None:
    lock = DomainLock(runtime.direct_url, source.domain)
    try:
        if not await lock.acquire():
            done.busy.append(source.slug)
            return
        job_id = uuid4()
        fence = await lock.raise_fence(job_id)
        watch = asyncio.get_running_loop().create_task(_hold(lock))
        try:
            while (model := await runtime.use_connection(models.active)) is not None:
                with suppress(ModelChanged):  # since it was read: the pages are looked at with the new one
                    await _write_source(runtime, source, model, fence, job_id, done)
                    break
        finally:
            await end(watch)
    except FenceLost:
        done.busy.append(source.slug)
    finally:
        await lock.release()


async def _hold(lock: DomainLock) -> None:
    why = await lock.watch()
    logger.warning("the lock of %s is lost: %s; its pages wait for the next call", lock.domain, why)


async def _write_source(
    runtime: Runtime, source: Source, model: Model, fence: int, job_id: UUID, done: Applied
) -> None:
    after = 0
    while True:
        batch = await runtime.use_connection(
            partial(pending.ready_pages, source_id=source.id, after=after, limit=AT_A_TIME)
        )
        await _settle(runtime, source, fence, [page for page in batch if _has_no_place(page, model, done)])
        wanted = [page for page in batch if page.model_id == model.id and not page.is_outdated and not page.refusal]
        vectors = await _vectors(runtime, source, model, wanted)
        whole = [page for page in wanted if not _missing(page, vectors)]
        for page in wanted:
            if missing := _missing(page, vectors):
                prefix = chunker_of(model).prefixes.passage
                sent = {digest: prefix + text for digest, text in missing.items()}
                await _park_again(runtime, source, fence, page, sent)
                done.pages["incomplete"] += 1
        # One schedule a transaction: pages of one run have the same.
        for schedule, group in _by_schedule(whole):
            author = Author(source, model, fence, job_id, runtime, Trust({}, 1), schedule)
            await _write(author, group, vectors, done)
        if len(batch) < AT_A_TIME:
            return
        after = batch[-1].id


def _has_no_place(page: ReadyPage, model: Model, done: Applied) -> bool:
    """Return whether a page cannot be written, and count why."""
    if page.model_id != model.id:
        done.pages["other_model"] += 1
    elif page.is_outdated:
        done.pages["outdated"] += 1
    elif page.refusal is not None:
        done.pages["failed"] += 1
    else:
        return False
    return True


async def _settle(runtime: Runtime, source: Source, fence: int, unwanted: Sequence[ReadyPage]) -> None:
    """Forget pages that are not written; those with a refused text are recorded as failed, if they still count."""
    failures = [
        Failure(page.url, page.kind or "embedding_refused", None, page.refusal)
        for page in unwanted
        if page.refusal is not None and not page.is_outdated
    ]

    async def transaction(connection: Connection) -> None:
        async with page_writes.write(connection, source.domain, fence):
            if failures:
                await page_writes.record_failures(connection, source.id, failures)
            await pending.forget(connection, source.id, [page.url for page in unwanted])

    if unwanted:
        await runtime.use_connection(transaction)


async def _park_again(
    runtime: Runtime, source: Source, fence: int, page: ReadyPage, missing: Mapping[bytes, str]
) -> None:
    async def transaction(connection: Connection) -> None:
        async with page_writes.write(connection, source.domain, fence):
            await pending.await_texts(connection, page, missing)

    await runtime.use_connection(transaction)


@dataclass
class _Vectors:
    """What pages are written with: chunks that they have, by URL, and vectors for the others, by chunk hash."""

    own: Mapping[str, Mapping[bytes, int | None]]
    found: Vectors


async def _vectors(runtime: Runtime, source: Source, model: Model, wanted: Sequence[ReadyPage]) -> _Vectors:
    if not wanted:
        return _Vectors({}, {})
    known = [page.url for page in wanted if page.known_hash is not None]
    own = await runtime.use_connection(lambda connection: pages.own_chunks(connection, source.id, model.id, known))
    lacking = {digest for page in wanted for digest in chunk_texts(page.page) if digest not in own.get(page.url, {})}
    found = await runtime.use_connection(
        lambda connection: pages.reusable_vectors(connection, model.id, sorted(lacking))
    )
    return _Vectors(own, found)


def _missing(page: ReadyPage, vectors: _Vectors) -> dict[bytes, str]:
    own = vectors.own.get(page.url, {})
    texts = chunk_texts(page.page).items()
    return {digest: text for digest, text in texts if digest not in own and digest not in vectors.found}


def _by_schedule(whole: Sequence[ReadyPage]) -> Iterator[tuple[Schedule, list[ReadyPage]]]:
    groups: dict[tuple[object, ...], list[ReadyPage]] = {}
    for page in whole:
        checks = checks_of(page.page)
        groups.setdefault((checks.started_at, checks.shortest, checks.longest, checks.slack), []).append(page)
    for group in groups.values():
        checks = checks_of(group[0].page)
        patience = {page.url: checks_of(page.page).patience for page in group}
        yield Schedule(checks.started_at, checks.shortest, checks.longest, checks.slack, patience.__getitem__), group


async def _write(author: Author, group: Sequence[ReadyPage], vectors: _Vectors, done: Applied) -> None:
    rows = []
    for page in group:
        own = vectors.own.get(page.url, {})
        new = {digest: vector for digest, vector in vectors.found.items() if digest not in own}
        rows.append(to_row(page.url, page.content_hash, page.page, new))
    ended = await Writer(author).write(rows)
    for result in ended:
        done.pages["failed" if result.failure else "duplicate" if result.twin_of else "indexed"] += 1
    bad = [page for page, result in zip(group, ended, strict=True) if result.failure]
    await _settle(author.runtime, author.source, author.fence, bad)
