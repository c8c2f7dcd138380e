"""Pages that wait for the provider's batches, without a crawl."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from scrapy.settings import Settings

from db import page_rows, page_writes, pending
from pipelines.addon import IndexAddon
from pipelines.batch_api.pages import to_json
from pipelines.config import Config
from pipelines.schedule import SLACK
from tests.support.batch_provider import BatchProvider, batch_provider
from tests.support.index import Index
from tests.support.postgres import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from db.connection import Connection
    from db.page_rows import PageRow


@contextmanager
def serving_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchProvider]:
    """Run a provider that the environment of the test points to."""
    with batch_provider() as running:
        for name, given in running.env.items():
            monkeypatch.setenv(name, given)
        yield running


def config(database_url: str, **given: object) -> Config:
    """Return what a process needs."""
    settings = Settings({"LCL_DATABASE_URL": database_url, **given})
    IndexAddon.update_pre_crawler_settings(settings)
    return Config.from_settings(settings)


async def park(index: Index, *parked: PageRow, known_hash: bytes | None = None) -> None:
    """Park pages as a crawl does, all of whose texts are new."""
    ((now,),) = await rows(index.connection, "SELECT now()")
    day = now - now.replace(hour=0)
    schedule = page_rows.Schedule(now, day, day, SLACK, lambda url: day)
    waiting = [
        pending.PendingPage(
            row.url,
            row.content_hash,
            known_hash,
            {chunk.hash: chunk.content for chunk in row.chunks},
            to_json(row, schedule),
        )
        for row in parked
    ]
    async with page_writes.write(index.connection, index.source.domain, index.fence):
        await pending.park(index.connection, index.source.id, index.model.id, waiting)


async def urls(connection: Connection) -> list[str]:
    """Return the URLs of the pages in the index."""
    return [url for (url,) in await rows(connection, "SELECT url FROM scraped_pages ORDER BY url")]
