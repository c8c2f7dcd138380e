"""Runs whose provider takes its time to answer: nothing else is blamed for it, and the domain stays theirs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

from scrapy.crawler import Crawler
from scrapy.settings import Settings

from db import locks
from db.locks import DomainLock
from lcl_spiders.base_spiders import WebsiteSpider
from lcl_spiders.extensions import run as module
from lcl_spiders.extensions.run import RunExtension
from pipelines.addon import DEFAULTS
from tests.support.postgres import until_true

if TYPE_CHECKING:
    import pytest

    from db.connection import Connection


def extension() -> RunExtension:
    return RunExtension.from_crawler(Crawler(WebsiteSpider, Settings(DEFAULTS)))


async def test_a_provider_that_uses_its_time_out_is_not_taken_for_a_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OPEN_TIMEOUT", 0.0)
    opening = extension()
    is_open = asyncio.Event()

    async def answers_late(_: object) -> None:
        await asyncio.sleep(0.01)  # longer than what else there is to do
        is_open.set()

    monkeypatch.setattr(opening, "_open", answers_late)
    await opening.spider_opened(WebsiteSpider(url="https://example.org/"))
    assert is_open.is_set()


async def test_the_session_of_the_lock_is_kept_alive_while_a_provider_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, connection: Connection, database_url: str
) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT", 0.0)
    opening = extension()
    opening._lock = lock = DomainLock(database_url, "example.org")
    assert await lock.acquire()
    try:
        async with opening._domain_held():
            await until_true(
                connection,
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE query = 'SELECT 1' AND datname = current_database()",
            )
        assert await lock.raise_fence(uuid4()) == 1
    finally:
        await lock.release()
