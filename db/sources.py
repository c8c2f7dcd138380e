"""Sources: found by exact id, slug or domain, never by a pattern (A26)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.errors import AmbiguousSource, InvalidSource, SourceNotFound
from db.urls import canonical_url, domain_of, slug_of

if TYPE_CHECKING:
    from db.connection import Connection

REFRESH_INTERVAL = dt.timedelta(hours=24)
RESERVED_SLUGS = frozenset({"website", "feed", "listing", "source"})


@dataclass(frozen=True)
class Source:
    """A row of `scraper_sources`."""

    id: UUID
    slug: str
    start_url: str
    domain: str
    spider: str
    config: dict[str, Any]
    enabled: bool
    auto_disabled: bool
    confidence: float | None
    priority: int
    consecutive_failures: int
    backoff_level: int
    backoff_until: dt.datetime | None
    refresh_interval: dt.timedelta
    last_run_at: dt.datetime | None
    last_success_at: dt.datetime | None
    discovery: dict[str, Any] | None
    politeness: dict[str, Any] | None


COLUMNS = ", ".join(Source.__dataclass_fields__)


async def add(
    connection: Connection,
    url: str,
    *,
    slug: str | None = None,
    spider: str = "website",
    config: dict[str, Any] | None = None,
    enabled: bool = True,
    priority: int = 0,
    refresh_interval: dt.timedelta = REFRESH_INTERVAL,
) -> tuple[Source, bool]:
    """Store a source and return it with True, or the one that has this start URL already with False (B2).

    Raises `InvalidSource` for a bad URL or a slug that is reserved, ill-formed or another source's. A slug that was
    not asked for is made from the domain and numbered until it is free.
    """
    try:
        start_url = canonical_url(url)
    except ValueError as error:
        msg = f"{url!r} is no URL of a site: {error}. Give it whole, as in https://example.org/"
        raise InvalidSource(msg) from None
    if (known := await _one_or_none(connection, "start_url = %s", start_url)) is not None:
        return known, False
    for candidate in _slugs(slug, start_url):
        if candidate in RESERVED_SLUGS:
            if slug is None:
                continue
            msg = f"the slug {slug!r} is the name of a kind of spider; choose another with --slug"
            raise InvalidSource(msg)
        try:
            cursor = await connection.execute(
                """
                INSERT INTO scraper_sources
                    (slug, start_url, domain, spider, config, enabled, priority, refresh_interval)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING
                """,
                (
                    candidate,
                    start_url,
                    domain_of(start_url),
                    spider,
                    Jsonb(config or {}),
                    enabled,
                    priority,
                    refresh_interval,
                ),
            )
        except psycopg.errors.CheckViolation:
            msg = f"the slug {candidate!r} must be of lower case letters, digits and hyphens; choose one with --slug"
            raise InvalidSource(msg) from None
        if (stored := await _one_or_none(connection, "start_url = %s", start_url)) is not None:
            return stored, cursor.rowcount == 1
    msg = f"the slug {slug!r} belongs to another source; choose another with --slug"
    raise InvalidSource(msg)


def _slugs(asked: str | None, start_url: str) -> list[str]:
    if asked is not None:
        return [asked]
    made = slug_of(start_url)
    return [made, *(f"{made}-{number}" for number in range(2, 1000))]


async def get(connection: Connection, name: str) -> Source:
    """Return the source with this exact id, slug or domain.

    Raises `SourceNotFound`, or `AmbiguousSource` when several sources share the domain.
    """
    for where, value in (("id = %s", _uuid(name)), ("slug = %s", name)):
        if value is not None and (found := await _one_or_none(connection, where, value)) is not None:
            return found
    same_domain = await _select(connection, "WHERE domain = %s ORDER BY slug", (name.lower(),))
    if not same_domain:
        msg = f"no source is called {name!r}. `scrapy sources list` shows all; `scrapy sources add URL` adds one."
        raise SourceNotFound(msg)
    if len(same_domain) > 1:
        slugs = ", ".join(source.slug for source in same_domain)
        msg = f"the domain {name} has several sources: {slugs}. Name one by its slug."
        raise AmbiguousSource(msg)
    return same_domain[0]


def _uuid(name: str) -> str | None:
    try:
        return str(UUID(name))
    except ValueError:
        return None


async def list_all(connection: Connection) -> list[Source]:
    """Return every source in the order of their slugs."""
    return await _select(connection, "ORDER BY slug", ())


async def set_enabled(connection: Connection, source_id: UUID, *, enabled: bool) -> None:
    """Enable or disable a source. Enabling clears its failures and backoff, by the trigger (B3).

    Whoever does it has seen the source: it does not wait for review any more, and is not rejected.
    """
    await connection.execute(
        """
        UPDATE scraper_sources
        SET enabled = %s, discovery = discovery - 'rejected_at' || jsonb_build_object('reviewed_at', now())
        WHERE id = %s
        """,
        (enabled, source_id),
    )


async def record_politeness(connection: Connection, source_id: UUID, politeness: dict[str, Any]) -> None:
    """Store what a run learned of how its site wants to be asked (B13)."""
    await connection.execute("UPDATE scraper_sources SET politeness = %s WHERE id = %s", (Jsonb(politeness), source_id))


async def record_run(connection: Connection, source_id: UUID, *, success: bool | None) -> dt.datetime | None:
    """Note that a source ran, apply the backoff (B4), and return until when it now waits.

    `success=None`: the run failed through no fault of the source, which leaves its failures as they were.
    """
    async with connection.transaction():
        await connection.execute(
            """
            UPDATE scraper_sources
            SET last_run_at = now(),
                last_success_at = CASE WHEN %s THEN now() ELSE last_success_at END
            WHERE id = %s
            """,
            (success is True, source_id),
        )
        if success is None:
            return None
        cursor = await connection.execute("SELECT apply_exponential_backoff(%s, %s)", (source_id, success))
        row = await cursor.fetchone()
        return row[0] if row else None


async def _one_or_none(connection: Connection, where: str, value: str) -> Source | None:
    found = await _select(connection, f"WHERE {where}", (value,))
    return found[0] if found else None


async def _select(connection: Connection, tail: str, values: tuple[Any, ...]) -> list[Source]:
    async with connection.cursor(row_factory=class_row(Source)) as cursor:
        # `tail` is one of the literals above, never input.
        await cursor.execute(f"SELECT {COLUMNS} FROM scraper_sources {tail}", values)  # noqa: S608 - literals
        return await cursor.fetchall()
