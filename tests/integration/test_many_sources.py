"""With many sources in the table, what is done with one of them reads no other's row (B8)."""

from typing import LiteralString

import pytest

from db import overview, source_edits, sources
from db.connection import Connection
from lcl_spiders.local_site import LocalSite
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy
from tests.support.site import small_town

MANY = 20_000


@pytest.fixture
async def many(connection: Connection) -> None:
    await connection.execute(
        """
        INSERT INTO scraper_sources (slug, start_url, domain)
        SELECT 'source-' || n, 'https://' || n || '.example/', n || '.example' FROM generate_series(1, %s) AS n
        """,
        (MANY,),
    )
    await connection.execute("ANALYZE scraper_sources")


async def rows_read(connection: Connection) -> int:
    """Return how many rows of `scraper_sources` were read by scanning it, once every other session has told."""
    others: LiteralString = """
        SELECT count(*)
        FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    """
    while await value(connection, others):  # they end by themselves; the server notices a moment later
        continue
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    read: LiteralString = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'scraper_sources'"
    return int(await value(connection, read))


@pytest.mark.usefixtures("many")
async def test_a_crawl_reads_no_other_source(connection: Connection, database_url: str) -> None:
    with LocalSite(small_town()) as site:
        source, _ = await sources.add(connection, site.url("/"))
        before = await rows_read(connection)
        for name in (source.slug, str(source.id), source.domain):
            done = run_scrapy("crawl", name, database_url=database_url)
            assert done.code == 0, done.stderr
        assert run_scrapy("crawl", "nobody", database_url=database_url).code == 1
    assert await rows_read(connection) == before


@pytest.mark.usefixtures("many")
async def test_one_page_of_the_list_reads_one_page_of_the_table(connection: Connection) -> None:
    before = await rows_read(connection)
    assert len(await overview.sources(connection, limit=100)) == 100
    one = await sources.get(connection, "source-77")
    assert [each.slug for each in await overview.sources(connection, source_id=one.id)] == ["source-77"]
    await sources.set_enabled(connection, one.id, enabled=False)
    await source_edits.update(connection, one.id, {"priority": 5})
    await sources.add(connection, "https://77.example/")
    assert await rows_read(connection) == before
    assert await rows(connection, "SELECT enabled, priority FROM scraper_sources WHERE slug = 'source-77'") == [
        (False, 5)
    ]
