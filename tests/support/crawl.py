"""Crawls of a local site as an operator runs them, and what they left in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.postgres import rows
from tests.support.scrapy import Completed, run_scrapy

if TYPE_CHECKING:
    from db.connection import Connection
    from lcl_spiders.local_site import LocalSite


def crawl(site: LocalSite, database_url: str, *arguments: str, **options: Any) -> Completed:
    """Crawl a site with spider arguments and return how the command ended."""
    spargs = [part for argument in arguments for part in ("-a", argument)]
    return run_scrapy("crawl", "website", "-a", f"url={site.url('/')}", *spargs, database_url=database_url, **options)


def succeeded(site: LocalSite, database_url: str, *arguments: str, **options: Any) -> None:
    """Crawl a site, which must succeed."""
    done = crawl(site, database_url, *arguments, **options)
    assert done.code == 0, done.stderr


async def last_job(connection: Connection) -> dict[str, Any]:
    """Return the newest run's record."""
    found = await rows(
        connection,
        "SELECT status, finish_reason, error, args, stats FROM scrape_jobs ORDER BY queued_at DESC LIMIT 1",
    )
    return dict(zip(("status", "reason", "error", "args", "stats"), found[0], strict=True))


async def stats(connection: Connection) -> dict[str, Any]:
    """Return the newest run's counters."""
    found: dict[str, Any] = (await last_job(connection))["stats"]
    return found


async def paths(connection: Connection, site: LocalSite) -> set[str]:
    """Return the paths of the pages in the index, duplicates among them."""
    return {
        url.removeprefix(f"http://{site.domain}") for (url,) in await rows(connection, "SELECT url FROM scraped_pages")
    }


async def snapshot(connection: Connection) -> tuple[Any, Any]:
    """Return everything of the index but the last-seen times; ctid and xmin tell a row that was rewritten."""
    chunks = await rows(connection, "SELECT id, ctid::text, xmin::text, chunk_hash FROM page_embeddings ORDER BY id")
    stored = await rows(
        connection,
        "SELECT id, url, title, content_hash, body_hash, etag, outlinks, chunk_hashes, last_changed_at "
        "FROM scraped_pages ORDER BY id",
    )
    return chunks, stored


def statuses(site: LocalSite) -> dict[str, list[int]]:
    """Return what each path was answered with since the site's log was reset."""
    found: dict[str, list[int]] = {}
    for request in site.requests:
        found.setdefault(request.path, []).append(request.status)
    return found


async def contents(connection: Connection) -> list[tuple[Any, ...]]:
    """Return what the index says of each page: URL, hashes of its text and of its chunks, and what is embedded."""
    return await rows(
        connection,
        """
        SELECT p.url, p.content_hash, p.chunk_hashes, e.embedded
        FROM scraped_pages AS p
        CROSS JOIN LATERAL (
            SELECT array_agg(chunk_hash ORDER BY chunk_hash) AS embedded FROM page_embeddings WHERE page_id = p.id
        ) AS e
        ORDER BY p.url
        """,
    )


async def tombstones(connection: Connection, site: LocalSite) -> list[tuple[str, str]]:
    """Return the paths of the pages that have left the index, each with the reason."""
    found = await rows(connection, "SELECT url, reason FROM page_tombstones ORDER BY url")
    return [(url.removeprefix(f"http://{site.domain}"), reason) for url, reason in found]
