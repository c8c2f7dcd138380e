"""What the upsert pipeline writes, as short, fenced, verified transactions (A1, A5, A7)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import psycopg

from db import boilerplate, page_writes, pending, signals
from db.boilerplate import Sample, place
from db.errors import IncompleteWrite, ModelChanged, one_line
from db.page_rows import Cover, DuplicatePage, Failure, PageRow, ParkedPage, SeenPage
from db.pending import PendingPage
from pipelines.batch_api.pages import to_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.models import Model, Roles
    from db.page_rows import Departure, Schedule
    from db.sources import Source
    from pipelines.runtime import Runtime
    from pipelines.trust import Trust

    Write = PageRow | DuplicatePage | ParkedPage | SeenPage | Failure | tuple[SeenPage, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """How a write ended: `failure` when it could not be made, `twin_of` when its text is indexed under that URL."""

    failure: Failure | None = None
    twin_of: str | None = None


@dataclass(slots=True)
class _Written:
    """What one transaction wrote: rows by page id, URLs of twins with their originals', and how many were covered."""

    pages: dict[int, PageRow] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)
    covered: int = 0


class Author(Protocol):
    """On whose behalf is written: whoever holds the domain's lock and its newest fence. A `Run` is one."""

    source: Source
    model: Model
    fence: int
    job_id: UUID
    runtime: Runtime
    trust: Trust

    @property
    def schedule(self) -> Schedule:
        """When the pages that are written are due again."""

    @property
    def is_limited(self) -> bool:
        """Whether not all of the source was to be seen."""

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""


class Writer:
    """Writes batches of one run."""

    def __init__(self, run: Author) -> None:
        self._run = run

    async def write(self, batch: Sequence[Write]) -> list[Done]:
        """Write a batch in one transaction; when it fails, page by page, so that one cannot sink its neighbours.

        Raises `FenceLost`, `ModelChanged` and `DatabaseProblem`; a page that cannot be written is recorded as failed.
        """
        try:
            twins = await self._commit(batch)
        except (psycopg.DatabaseError, IncompleteWrite) as error:
            if len(batch) > 1:
                return [done for write in batch for done in await self.write([write])]
            if not batch[0]:
                return [Done()]  # it only carried lies, which the next batch will
            if isinstance(batch[0], tuple):
                raise
            url = batch[0].row.url if isinstance(batch[0], DuplicatePage) else batch[0].url
            failure = Failure(url, "write_failed", None, one_line(error))
            if isinstance(batch[0], PageRow):
                await self._keep(batch[0])
            if not isinstance(batch[0], Failure):
                await self._commit([failure])
            return [Done(failure)]
        return [Done(twin_of=twins.get(write.url)) if isinstance(write, PageRow) else Done() for write in batch]

    async def _keep(self, row: PageRow) -> None:
        """Keep the vectors of a page that cannot be written: they are paid for, and it will be tried again."""
        paid = {
            chunk.hash: (chunk.content, (chunk.embedding, chunk.token_count))
            for chunk in row.chunks
            if chunk.content is not None and chunk.embedding is not None
        }
        with suppress(psycopg.DatabaseError):  # a text that no table takes may be what is wrong with the page
            await self._run.runtime.use_connection(partial(pending.keep, model_id=self._run.model.id, vectors=paid))

    async def _commit(self, batch: Sequence[Write]) -> dict[str, str]:
        """Write a batch and return, for each page whose text another one has, that page's URL."""
        run = self._run
        lies = run.trust.unrecorded_lies()

        async def transaction(connection: Connection) -> _Written:
            async with page_writes.write(connection, run.source.domain, run.fence) as roles:
                written = await self._write_pages(connection, batch, roles)
                seen = [page for write in batch for page in _seen(write)]
                if seen:
                    await page_writes.mark_seen(connection, run.source.id, seen)
                await page_writes.record_checks(
                    connection,
                    run.source.id,
                    roles.active or run.model.id,
                    run.schedule,
                    written=written.pages,
                    seen=seen,
                )
                if samples := [*_samples(written.pages, seen)]:
                    await boilerplate.record_samples(connection, run.source.id, samples)
                if failed := [write for write in batch if isinstance(write, Failure)]:
                    await page_writes.record_failures(connection, run.source.id, failed)
                await self._park(connection, batch, roles)
                await self._record_lies(connection, lies, seen)
            return written

        written = await run.runtime.use_connection(transaction)
        run.trust.recorded(lies)
        run.count("building/pages/covered", written.covered)
        return written.twins

    async def _park(self, connection: Connection, batch: Sequence[Write], roles: Roles) -> None:
        """Park pages whose texts are awaited, and forget what was parked of those about which this is newer word.

        Raises `ModelChanged` when their vectors would be of a model that is no longer the index's.
        """
        run = self._run
        newer = [page.url for write in batch for page in _seen(write)]
        newer += [write.url for write in batch if isinstance(write, PageRow)]
        newer += [write.row.url for write in batch if isinstance(write, DuplicatePage)]
        if newer:
            await pending.forget(connection, run.source.id, newer)
        parked = [write for write in batch if isinstance(write, ParkedPage)]
        if parked:
            for page in parked:
                under(page.row, run.model.id, roles)
            pages = [_as_pending(page, run.schedule) for page in parked]
            await pending.park(connection, run.source.id, run.model.id, pages)
            await page_writes.clear_failures(connection, run.source.id, [page.url for page in pages])

    async def _write_pages(self, connection: Connection, batch: Sequence[Write], roles: Roles) -> _Written:
        source_id, model_id = self._run.source.id, self._run.model.id
        rows = [under(write, model_id, roles) for write in batch if isinstance(write, PageRow)]
        duplicates = [write for write in batch if isinstance(write, DuplicatePage)]
        if rows:
            await page_writes.make_way(connection, source_id, {row.url: row.content_hash for row in rows})
        hashes = [row.content_hash for row in rows if row.manifest]
        indexed = await page_writes.twins(connection, source_id, hashes) if hashes else {}
        leaving = {each.row.url for each in duplicates}
        own, twins = part_twins(rows, {digest: url for digest, (_, url) in indexed.items() if url not in leaving})
        ids = await page_writes.replace_pages(connection, source_id, roles.active or model_id, own)
        covered = [
            await page_writes.cover_pages(connection, source_id, beside, own, ids) for beside in sorted(roles.building)
        ]
        originals = {url: page_id for page_id, url in indexed.values()} | ids
        duplicates += [DuplicatePage(row, originals[url]) for row, url in twins]
        if duplicates:
            ids |= await page_writes.write_duplicates(connection, source_id, duplicates)
        written = {row.url: row for row in [*rows, *(each.row for each in duplicates)]}
        return _Written(
            {page_id: written[url] for url, page_id in ids.items()}, {row.url: url for row, url in twins}, sum(covered)
        )

    async def _record_lies(self, connection: Connection, lies: Mapping[str, str], seen: Sequence[SeenPage]) -> None:
        """Record lies with the change that showed them, and make due what was, or is being, taken on a liar's word."""
        trust, source_id = self._run.trust, self._run.source.id
        if lies:
            await signals.add_lies(connection, source_id, lies)
        liars = lies.keys() | {page.signal for page in seen if page.signal is not None and trust.has_lied(page.signal)}
        if liars:
            await page_writes.distrust(connection, source_id, sorted(liars))

    async def bury(self, departures: Sequence[Departure], answered: Collection[str]) -> int:
        """Delete pages and return how many there were; `answered` are URLs whose failures are settled."""
        run = self._run

        async def transaction(connection: Connection) -> int:
            async with page_writes.write(connection, run.source.domain, run.fence):
                buried = await page_writes.bury(connection, run.source.id, run.job_id, departures)
                await page_writes.clear_failures(connection, run.source.id, list(answered))
                await pending.forget(connection, run.source.id, list(answered))
            return buried

        return await run.runtime.use_connection(transaction)

    async def record_agreement(self) -> None:
        """Note that the run came to its end, for the signals that were compared in it and did not lie.

        A run that saw a part of its source only, be it one page, earns nobody's trust.
        """
        run = self._run
        agreed = [] if run.is_limited else run.trust.agreed()

        async def transaction(connection: Connection) -> None:
            async with page_writes.write(connection, run.source.domain, run.fence):
                await signals.add_agreed_runs(connection, run.source.id, agreed)

        if agreed:
            await run.runtime.use_connection(transaction)


def under(row: PageRow, own: int, roles: Roles) -> PageRow:
    """Return a page as it is written while `roles` hold, made by a run whose own model was the active one.

    Where another is active by now, which was being built when the run began, the two change places. Raises
    `ModelChanged` when the run has no vectors of the active one.
    """
    if roles.active in (None, own):
        return row
    now = next((cover for cover in row.covers if cover.model_id == roles.active), None)
    if now is None:
        msg = (
            f"{row.url}: another embedding model was made the index's during the run, which has no vectors of it. What "
            "is committed stays; the next run goes on with the new model"
        )
        raise ModelChanged(msg)
    others = [cover for cover in row.covers if cover is not now]
    return replace(
        row, manifest=now.manifest, chunks=now.chunks, covers=[*others, Cover(own, row.manifest, row.chunks)]
    )


def part_twins(rows: Sequence[PageRow], indexed: dict[bytes, str]) -> tuple[list[PageRow], list[tuple[PageRow, str]]]:
    """Part rows into those to index and twins, each with its original's URL. A page without chunks has no twin.

    `indexed` maps content hashes to the URLs that they are indexed under. Among new pages the one with the shortest
    URL is the original.
    """
    # A page that is about to get another text is nobody's original by its old one.
    leaving = {row.url: row.content_hash for row in rows}
    originals = {digest: url for digest, url in indexed.items() if leaving.get(url, digest) == digest}
    for row in sorted(rows, key=lambda row: (len(row.url), row.url)):
        if row.manifest:
            originals.setdefault(row.content_hash, row.url)
    own, twins = [], []
    for row in rows:
        original = originals[row.content_hash] if row.manifest else row.url
        if original == row.url:
            own.append(row)
        else:
            twins.append((replace(row, chunks=(), manifest=(), covers=()), original))
    return own, twins


def _seen(write: Write) -> tuple[SeenPage, ...]:
    if isinstance(write, SeenPage):
        return (write,)
    return write if isinstance(write, tuple) else ()


def _samples(written: Mapping[int, PageRow], seen: Sequence[SeenPage]) -> Iterator[Sample]:
    """Yield the pages that are in the source's sample, with what was read of them."""
    pages: dict[int, PageRow | SeenPage] = {**written, **{page.id: page for page in seen}}
    for page_id, page in pages.items():
        fetch = page.fetch
        if fetch is not None and fetch.recognised is not None and fetch.recognised.units is not None:
            reader, recognised = fetch.reader or "", fetch.recognised
            yield Sample(page_id, place(page.url), recognised.kind, reader, fetch.recognised.units)


def _as_pending(page: ParkedPage, schedule: Schedule) -> PendingPage:
    return PendingPage(page.url, page.row.content_hash, page.known_hash, page.awaits, to_json(page.row, schedule))
