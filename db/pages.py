"""Reading the index: pages, their chunks and vectors, failures that are due, and whether all of it is sound.

Rows come in batches, in psycopg's binary format. `db.page_writes` is the other half.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from db.sql import load

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from uuid import UUID

    import numpy as np
    import numpy.typing as npt

    from db.connection import Connection

    Embedding = npt.NDArray[np.float32]
    Place = tuple[dt.datetime | None, str]

_SQL = load("pages")
FIRST: Place = (None, "")


@dataclass(frozen=True, slots=True)
class Check:
    """How a page was last checked, from `page_checks`.

    `signal` decided the check; None when it was downloaded. `fetched_at`, `sitemap_lastmod` and `reader` (the version
    of what read the page) are those of the last download. The counts say what a check without one saves.
    """

    checks_since_fetch: int
    signal: str | None
    fetched_at: dt.datetime | None
    sitemap_lastmod: str | None
    reader: str | None
    body_bytes: int
    chunks: int
    tokens: int


@dataclass(frozen=True, slots=True)
class KnownPage:
    """What the index knows of a page, as far as a refresh needs it; `check` is None when nothing is known of that."""

    id: int
    url: str
    content_hash: bytes
    body_hash: bytes | None
    etag: str | None
    last_modified: str | None
    outlinks: tuple[str, ...]
    last_seen_at: dt.datetime
    duplicate_of: int | None = None
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a known page stands at the beginning of a run: what decides whether it is asked for, without its links.

    `is_free`: it was checked long enough ago to be asked for, if there is reason.
    """

    id: int
    url: str
    is_due: bool
    is_free: bool
    has_failed: bool
    check: Check | None


@dataclass(frozen=True, slots=True)
class Due:
    """Which pages a run asks for: seen at or before `seen_before`, with their next check by `due_by` (None: all pages).

    `longest`: no page waits longer for its next check, whatever was scheduled.
    """

    seen_before: dt.datetime
    due_by: dt.datetime | None
    longest: dt.timedelta


@dataclass(frozen=True, slots=True)
class Savings:
    """Pages that need no request, and what each rung below would have cost."""

    pages: int = 0
    body_bytes: int = 0
    chunks: int = 0
    tokens: int = 0

    @classmethod
    def of(cls, known: Sequence[KnownPage | Standing], *, has_body: bool = True) -> Savings:
        """Return what it saves not to download, cut and embed pages; without their bodies if they were downloaded."""
        checks = [page.check for page in known if page.check is not None]
        return cls(
            pages=len(known),
            body_bytes=sum(check.body_bytes for check in checks) if has_body else 0,
            chunks=sum(check.chunks for check in checks),
            tokens=sum(check.tokens for check in checks),
        )

    def __neg__(self) -> Savings:
        return Savings(-self.pages, -self.body_bytes, -self.chunks, -self.tokens)


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page with its text, as it was last written."""

    known: KnownPage
    title: str | None
    language: str | None
    content: str
    structured: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the index is there (A22)."""

    pages: int
    empty_pages: int
    chunks: int
    failed: int


async def known_by_url(connection: Connection, source_id: UUID, urls: Sequence[str]) -> dict[str, KnownPage]:
    """Return the pages of a source that have one of these URLs, by URL."""
    cursor = await connection.execute(
        _SQL["known_by_url"], {"source_id": source_id, "urls": list(urls)}, prepare=True, binary=True
    )
    return {page.url: page for page in map(_known, await cursor.fetchall())}


async def due(
    connection: Connection, source_id: UUID, *, due: Due, after: Place = FIRST, limit: int = 500
) -> tuple[list[KnownPage], Place]:
    """Return the next pages that are due, oldest attempt first, and the place from which to go on."""
    tried, url = after
    values = {"source_id": source_id, **asdict(due), "after_tried": tried, "after_url": url, "limit": limit}
    rows = await (await connection.execute(_SQL["due"], values, binary=True)).fetchall()
    found = [_known(row[:-1]) for row in rows]
    return found, (rows[-1][-1], found[-1].url) if rows else after


async def distrusted(connection: Connection, source_id: UUID, *, after: str, limit: int) -> list[KnownPage]:
    """Return the next pages whose last check rested on a signal that lied, in the order of their URLs."""
    values = {"source_id": source_id, "after": after, "limit": limit}
    cursor = await connection.execute(_SQL["distrusted"], values, binary=True)
    return [_known(row) for row in await cursor.fetchall()]


async def standing(connection: Connection, source_id: UUID, urls: Sequence[str], due: Due) -> dict[str, Standing]:
    """Return how the known ones of these pages stand, by URL."""
    values = {"source_id": source_id, "urls": list(urls), **asdict(due)}
    cursor = await connection.execute(_SQL["standing"], values, binary=True)
    return {standing.url: standing for standing in map(_standing, await cursor.fetchall())}


async def stored(
    connection: Connection, source_id: UUID, *, due: Due, started_at: dt.datetime, after: str, limit: int
) -> list[StoredPage]:
    """Return the next pages that a run which began at `started_at` leaves alone, with their text, by URL.

    Not duplicates, and from `after` on.
    """
    values = {"source_id": source_id, **asdict(due), "started_at": started_at, "after": after, "limit": limit}
    cursor = await connection.execute(_SQL["stored"], values, binary=True)
    return [_stored(row) for row in await cursor.fetchall()]


async def of_kinds(
    connection: Connection, source_id: UUID, *, kinds: Sequence[str], after: str, limit: int
) -> list[tuple[StoredPage, str]]:
    """Return the next pages that were recognised as one of these kinds, with their text and kind, by URL."""
    values = {"source_id": source_id, "kinds": list(kinds), "after": after, "limit": limit}
    cursor = await connection.execute(_SQL["of_kinds"], values, binary=True)
    return [(_stored(row[:-1]), row[-1]) for row in await cursor.fetchall()]


async def of_urls(connection: Connection, source_id: UUID, urls: Sequence[str]) -> list[StoredPage]:
    """Return the pages of a source that have one of these URLs, with their text, by URL."""
    cursor = await connection.execute(_SQL["of_urls"], {"source_id": source_id, "urls": list(urls)}, binary=True)
    return [_stored(row) for row in await cursor.fetchall()]


async def heirs(
    connection: Connection, source_id: UUID, *, changed_since: dt.datetime, gone: Sequence[str], after: str, limit: int
) -> list[tuple[StoredPage, str]]:
    """Return the next duplicates with a text of their own whose original changed or is `gone`, with its URL."""
    values = {
        "source_id": source_id,
        "changed_since": changed_since,
        "gone": list(gone),
        "after": after,
        "limit": limit,
    }
    cursor = await connection.execute(_SQL["heirs"], values, binary=True)
    return [(_stored(row[:-1]), row[-1]) for row in await cursor.fetchall()]


async def contents(connection: Connection, source_id: UUID, urls: Sequence[str]) -> dict[str, tuple[str | None, str]]:
    """Return title and text of the pages of a source that have one of these URLs, by URL."""
    cursor = await connection.execute(_SQL["contents"], {"source_id": source_id, "urls": list(urls)})
    return {url: (title, content) for url, title, content in await cursor.fetchall()}


def _known(row: tuple[Any, ...]) -> KnownPage:
    page_id, url, content_hash, body_hash, etag, modified, outlinks, last_seen_at, duplicate_of = row[:9]
    links, check = tuple(outlinks), _check(row[9:])
    return KnownPage(page_id, url, content_hash, body_hash, etag, modified, links, last_seen_at, duplicate_of, check)


def _standing(row: tuple[Any, ...]) -> Standing:
    page_id, url, is_due, is_free, has_failed = row[:5]
    return Standing(page_id, url, is_due, is_free, has_failed, _check(row[5:]))


def _check(row: tuple[Any, ...]) -> Check | None:
    is_checked, *rest = row
    return Check(*rest) if is_checked else None


def _stored(row: tuple[Any, ...]) -> StoredPage:
    return StoredPage(_known(row[:-4]), *row[-4:])


async def count_known(connection: Connection, source_id: UUID) -> int:
    """Return how many pages of a source are in the index."""
    return await _count(connection, _SQL["count_known"], source_id=source_id)


async def count_stale(connection: Connection, source_id: UUID, *, seen_before: dt.datetime) -> int:
    """Return how many pages were last seen before a time."""
    return await _count(connection, _SQL["count_stale"], source_id=source_id, seen_before=seen_before)


async def count_uncovered(connection: Connection, source_id: UUID) -> int:
    """Return how many pages of a source have chunks, and no embedding for the active model (A22)."""
    return await _count(connection, _SQL["count_uncovered"], source_id=source_id)


async def count_unasked(
    connection: Connection, source_id: UUID, *, due: Due, started_at: dt.datetime, gone: Sequence[str]
) -> int:
    """Return how many due pages a run that began at `started_at` did not come to; `gone` it found gone."""
    values = {"started_at": started_at, "gone": list(gone), **asdict(due)}
    return await _count(connection, _SQL["count_unasked"], source_id=source_id, **values)


async def _count(connection: Connection, query: Any, **values: Any) -> int:
    row = await (await connection.execute(query, values)).fetchone()
    return int(row[0]) if row else 0


async def fresh(connection: Connection, source_id: UUID, due: Due) -> Savings:
    """Return how many pages are not due, and what they save."""
    row = await (await connection.execute(_SQL["fresh"], {"source_id": source_id, **asdict(due)})).fetchone()
    return Savings(*map(int, row)) if row else Savings()


async def unknown_outlinks(
    connection: Connection, source_id: UUID, *, due: Due, page_ids: Sequence[int], prefixes: Sequence[str], limit: int
) -> list[str]:
    """Return links below one of `prefixes` that lead to pages not in the index, from pages that are not downloaded.

    These are the pages that are not due, and those of `page_ids`.
    """
    values = {"source_id": source_id, **asdict(due), "page_ids": list(page_ids)}
    cursor = await connection.execute(_SQL["unknown_outlinks"], {**values, "prefixes": list(prefixes), "limit": limit})
    return [row[0] for row in await cursor.fetchall()]


async def known_urls(connection: Connection, source_id: UUID, urls: Sequence[str]) -> set[str]:
    """Return which of these URLs are pages of the index."""
    values = {"source_id": source_id, "urls": list(urls)}
    return {row[0] for row in await (await connection.execute(_SQL["known_urls"], values)).fetchall()}


async def own_chunks(
    connection: Connection, source_id: UUID, model_id: int, urls: Sequence[str]
) -> dict[str, dict[bytes, int | None]]:
    """Return, for each of these pages that has any, the token counts of the chunks embedded for it, by their hash."""
    values = {"source_id": source_id, "model_id": model_id, "urls": list(urls)}
    cursor = await connection.execute(_SQL["own_chunks"], values, prepare=True, binary=True)
    chunks: dict[str, dict[bytes, int | None]] = {}
    for url, chunk_hash, token_count in await cursor.fetchall():
        chunks.setdefault(url, {})[chunk_hash] = token_count
    return chunks


async def reusable_vectors(
    connection: Connection, model_id: int, hashes: Sequence[bytes]
) -> dict[bytes, tuple[Embedding, int | None]]:
    """Return vector and token count of chunks already embedded anywhere in the database with this model (C2)."""
    values = {"model_id": model_id, "chunk_hashes": list(hashes)}
    cursor = await connection.execute(_SQL["reusable_vectors"], values, prepare=True, binary=True)
    return {chunk_hash: (vector.to_numpy(), tokens) for chunk_hash, vector, tokens in await cursor.fetchall()}


async def due_failures(connection: Connection, source_id: UUID, limit: int = 500) -> list[str]:
    """Return the failed pages whose next retry has come, longest waiting first."""
    cursor = await connection.execute(_SQL["due_failures"], {"source_id": source_id, "limit": limit})
    return [row[0] for row in await cursor.fetchall()]


async def broken_pages(connection: Connection, limit: int = 100) -> list[tuple[int, UUID, str]]:
    """Return (id, source, URL) of pages whose embeddings are not exactly their chunks: the invariant's SQL.

    Empty in a sound index.
    """
    cursor = await connection.execute(_SQL["broken_pages"], {"limit": limit})
    return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]


async def broken_covers(connection: Connection, limit: int = 100) -> list[tuple[int, UUID, str]]:
    """Return (id, source, URL) of pages whose embeddings under another model than the active are not its manifest's.

    Empty in a sound index, also while models are being built.
    """
    cursor = await connection.execute(_SQL["broken_covers"], {"limit": limit})
    return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]


async def coverage(connection: Connection) -> Coverage:
    """Return the counts of the whole index for the active model."""
    row = await (await connection.execute(_SQL["coverage"])).fetchone()
    return Coverage(*row) if row else Coverage(0, 0, 0, 0)
