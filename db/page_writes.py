"""Writing the index: pages with their embeddings, failures and tombstones.

Rows go in as typed arrays in psycopg's binary format. Who writes does so inside `write`, which opens the transaction,
holds the run's fence, and says which models have a part in the index.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from db import manifests
from db.errors import FenceLost, IncompleteWrite
from db.manifests import Entry
from db.models import STATES_LOCK, Roles
from db.page_rows import PageRow, SeenPage
from db.sql import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.page_rows import Departure, DuplicatePage, Failure, Schedule

_SQL = load("page_writes")


@asynccontextmanager
async def write(connection: Connection, domain: str, fence: int) -> AsyncIterator[Roles]:
    """Open a transaction that holds the run's fence; whatever is written inside lands whole or not at all.

    Yields the models' roles, which stay as they are until the end. Raises `FenceLost` when another run has taken the
    domain.
    """
    async with connection.transaction():
        # A statement of its own: one that waits for the lock would go on to read the states from before the wait.
        await connection.execute(_SQL["lock_states"], {"key": STATES_LOCK})
        row = await (await connection.execute(_SQL["lock_fence"], {"domain": domain, "fence": fence})).fetchone()
        if row is None:
            msg = f"another run has taken the domain {domain} (fence {fence} is old): nothing more is written"
            raise FenceLost(msg)
        yield Roles(row[0], frozenset(row[1]))


async def replace_pages(
    connection: Connection, source_id: UUID, model_id: int, pages: Iterable[PageRow]
) -> dict[str, int]:
    """Write pages and make their embeddings equal to their chunks, inside a `write` transaction; return ids by URL.

    URLs must be unique within the batch, and twins of these pages must have been made room for (`make_way`). Raises
    `IncompleteWrite` when a page would not end up with exactly its chunks, or these are not the chunks of its manifest
    (A16); the transaction must then roll back.
    """
    batch = sorted(pages, key=lambda page: page.url)
    if not batch:
        return {}
    ids = await _upsert_pages(connection, source_id, batch)
    entries = [
        Entry(ids[page.url], page.url, page.language, page.content_hash, page.manifest, page.chunks) for page in batch
    ]
    await manifests.replace_embeddings(connection, source_id, model_id, entries)
    await _welcome(connection, source_id, [page.url for page in batch])
    return ids


async def cover_pages(
    connection: Connection, source_id: UUID, model_id: int, pages: Iterable[PageRow], ids: Mapping[str, int]
) -> int:
    """Write what `replace_pages` wrote under a model that is being built, too; return how many of the pages it covers.

    Of a batch that would be incomplete nothing is kept: its pages are left to whoever builds the model.
    """
    entries = [
        Entry(ids[page.url], page.url, page.language, page.content_hash, cover.manifest, cover.chunks)
        for page in sorted(pages, key=lambda page: page.url)
        for cover in page.covers
        if cover.model_id == model_id
    ]
    if not entries:
        return 0
    try:
        async with connection.transaction():
            await manifests.cover(connection, source_id, model_id, entries)
    except IncompleteWrite:
        return 0
    return len(entries)


async def twins(connection: Connection, source_id: UUID, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, str]]:
    """Return id and URL of the pages that are indexed with these content hashes, by hash."""
    values = {"source_id": source_id, "content_hashes": list(hashes)}
    cursor = await connection.execute(_SQL["twins"], values, prepare=True, binary=True)
    return {content_hash: (page_id, url) for content_hash, page_id, url in await cursor.fetchall()}


async def write_duplicates(
    connection: Connection, source_id: UUID, duplicates: Sequence[DuplicatePage]
) -> dict[str, int]:
    """Write pages that are indexed under another URL, inside a `write` transaction; return their ids by URL.

    Twins of a page that becomes a duplicate itself are handed its text first.
    """
    original = {each.row.url: each.original for each in duplicates}
    await make_way(connection, source_id, dict.fromkeys(original))
    ids = await _upsert_pages(connection, source_id, sorted((d.row for d in duplicates), key=lambda row: row.url))
    page_ids = list(ids.values())
    originals = [original[url] for url in ids]
    await connection.execute(_SQL["point_at_originals"], {"page_ids": page_ids, "originals": originals})
    await connection.execute(_SQL["drop_embeddings"], {"page_ids": page_ids})
    await _welcome(connection, source_id, list(ids))
    return ids


async def make_way(connection: Connection, source_id: UUID, leaving: Mapping[str, bytes | None]) -> None:
    """Let duplicates survive pages that are about to lose their text, inside a `write` transaction.

    `leaving` maps URLs to their next content hash, None for pages that will have no chunks; those that keep theirs are
    left alone. A twin with the same text takes the place of its original, chunks and all. Any other duplicate becomes
    due at once, to be read anew.
    """
    values = {"source_id": source_id, "urls": list(leaving), "content_hashes": list(leaving.values())}
    await connection.execute(_SQL["hand_over"], values)
    await connection.execute(_SQL["leave_heirs_due"], values)


async def _welcome(connection: Connection, source_id: UUID, urls: Sequence[str]) -> None:
    await clear_failures(connection, source_id, urls)
    await connection.execute(_SQL["clear_tombstones"], {"source_id": source_id, "urls": list(urls)})


async def _upsert_pages(connection: Connection, source_id: UUID, batch: Sequence[PageRow]) -> dict[str, int]:
    cursor = await connection.execute(
        _SQL["upsert_pages"],
        {
            "source_id": source_id,
            "urls": [page.url for page in batch],
            "titles": [page.title for page in batch],
            "languages": [page.language for page in batch],
            "contents": [page.content for page in batch],
            "content_hashes": [page.content_hash for page in batch],
            "body_hashes": [page.body_hash for page in batch],
            "etags": [page.etag for page in batch],
            "last_modifieds": [page.last_modified for page in batch],
            "outlinks": [link for page in batch for link in page.outlinks],
            "outlink_counts": [len(page.outlinks) for page in batch],
            "chunk_hashes": [chunk_hash for page in batch for chunk_hash in page.manifest],
            "chunk_counts": [len(page.manifest) for page in batch],
            "structured": [None if page.structured is None else Jsonb(page.structured) for page in batch],
            "seen_ats": [page.seen_at for page in batch],
        },
        binary=True,
    )
    return {url: page_id for page_id, url, _ in await cursor.fetchall()}


async def mark_seen(connection: Connection, source_id: UUID, pages: Sequence[SeenPage]) -> None:
    """Write the last-seen time of unchanged pages, and validators where they differ, inside a `write` transaction."""
    if same := sorted(page.id for page in pages if page.validators is None):
        await connection.execute(_SQL["touch"], {"page_ids": same})
    if other := sorted((page.id, page.validators) for page in pages if page.validators is not None):
        await connection.execute(
            _SQL["refresh_validators"],
            {
                "page_ids": [page_id for page_id, _ in other],
                "body_hashes": [v.body_hash for _, v in other],
                "etags": [v.etag for _, v in other],
                "last_modifieds": [v.last_modified for _, v in other],
                "outlinks": [link for _, v in other for link in v.outlinks],
                "outlink_counts": [len(v.outlinks) for _, v in other],
            },
        )
    await clear_failures(connection, source_id, [page.url for page in pages])


async def record_checks(
    connection: Connection,
    source_id: UUID,
    model_id: int,
    schedule: Schedule,
    *,
    written: Mapping[int, PageRow],
    seen: Sequence[SeenPage],
) -> None:
    """Remember that pages were checked, and when each is due again, inside a `write` transaction.

    `written`: pages that were written, by id; `seen`: those with the same text. An id must not be in both. A page that
    was written from what is stored was not checked.
    """
    if stored := sorted(page_id for page_id, row in written.items() if row.fetch is None):
        await connection.execute(_SQL["recount"], {"page_ids": stored, "model_id": model_id})
    checks: dict[int, PageRow | SeenPage] = {page_id: row for page_id, row in written.items() if row.fetch is not None}
    checks |= {page.id: page for page in seen}
    if not checks:
        return
    ids = sorted(checks)
    pages = [checks[page_id] for page_id in ids]
    fetches = [page.fetch for page in pages]
    recognitions = [fetch and fetch.recognised for fetch in fetches]
    await connection.execute(
        _SQL["record_checks"],
        {
            "source_id": source_id,
            "model_id": model_id,
            "started_at": schedule.started_at,
            "shortest": schedule.shortest,
            "longest": schedule.longest,
            "slack": schedule.slack,
            "page_ids": ids,
            "written": [isinstance(page, PageRow) for page in pages],
            "changed": [isinstance(page, PageRow) and page.is_changed for page in pages],
            "signals": [page.signal if isinstance(page, SeenPage) else None for page in pages],
            "checks_since_fetch": [fetch and fetch.audit_offset for fetch in fetches],
            "fetched_ats": [fetch and fetch.at for fetch in fetches],
            "lastmods": [fetch and fetch.lastmod for fetch in fetches],
            "readers": [fetch and fetch.reader for fetch in fetches],
            "body_bytes": [fetch and fetch.body_bytes for fetch in fetches],
            "kinds": [recognised and recognised.kind for recognised in recognitions],
            "evidences": [recognised and Jsonb(dict(recognised.evidence)) for recognised in recognitions],
            "patiences": [schedule.patience(page.url) for page in pages],
        },
        prepare=True,
    )


async def distrust(connection: Connection, source_id: UUID, signals: Sequence[str]) -> None:
    """Make every page due that was last judged by one of these signals, inside a `write` transaction."""
    await connection.execute(_SQL["distrust"], {"source_id": source_id, "signals": list(signals)})


async def bury(connection: Connection, source_id: UUID, job_id: UUID, pages: Sequence[Departure]) -> int:
    """Delete pages with their embeddings, leave tombstones, and return how many there were, inside `write`.

    A twin with the same text takes the place of its original.
    """
    await make_way(connection, source_id, dict.fromkeys(page.url for page in pages))
    cursor = await connection.execute(
        _SQL["bury"],
        {
            "source_id": source_id,
            "job_id": job_id,
            "urls": [page.url for page in pages],
            "reasons": [page.reason for page in pages],
            "http_statuses": [page.http_status for page in pages],
        },
    )
    return cursor.rowcount


async def record_failures(connection: Connection, source_id: UUID, failures: Sequence[Failure]) -> None:
    """Store failed pages; a page that failed before gains an attempt and waits longer."""
    latest = {failure.url: failure for failure in failures}
    await connection.execute(
        _SQL["record_failures"],
        {
            "source_id": source_id,
            "urls": list(latest),
            "kinds": [failure.kind for failure in latest.values()],
            "http_statuses": [failure.http_status for failure in latest.values()],
            "messages": [failure.message for failure in latest.values()],
            "retry_afters": [failure.retry_after for failure in latest.values()],
        },
    )


async def clear_failures(connection: Connection, source_id: UUID, urls: Sequence[str]) -> None:
    """Forget the failures of pages that were read again."""
    await connection.execute(_SQL["clear_failures"], {"source_id": source_id, "urls": list(urls)})
