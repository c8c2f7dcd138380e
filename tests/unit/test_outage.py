"""An outage of the provider holds the crawls of a worker up together."""

from __future__ import annotations

import asyncio

import pytest

from db.errors import DatabaseUnavailable
from lcl_spiders.fleet import outage as module
from lcl_spiders.fleet.outage import Outage
from pipelines.providers import ProviderMisconfigured, ProviderUnavailable
from tests.support.embedding import turns

AWAY = ProviderUnavailable("down")


class Provider:
    """Answers checks with what is planned, then well; holds them while `gate` is closed."""

    def __init__(self, *planned: Exception) -> None:
        self.planned = list(planned)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def check(self) -> None:
        self.asked += 1
        await self.gate.wait()
        if self.planned:
            raise self.planned.pop(0)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)


@pytest.fixture
def stopping() -> asyncio.Event:
    return asyncio.Event()


async def test_without_an_outage_nobody_is_asked(stopping: asyncio.Event) -> None:
    provider = Provider()
    assert await Outage(provider.check).over(stopping) is None
    assert provider.asked == 0


async def test_a_crawl_begins_as_soon_as_the_provider_answers_again(stopping: asyncio.Event) -> None:
    provider = Provider(AWAY, AWAY, AWAY)
    outage = Outage(provider.check)
    outage.begin()
    assert await outage.over(stopping) is None
    assert provider.asked == 4
    assert await outage.over(stopping) is None
    assert provider.asked == 4


async def test_what_lasts_too_long_is_told_to_all_who_wait(
    stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_FOR", -1.0)
    provider = Provider(AWAY, AWAY)
    outage = Outage(provider.check)
    outage.begin()
    assert [await outage.over(stopping) for _ in range(8)] == ["down"] * 8
    assert provider.asked == 1
    monkeypatch.setattr(module, "TOLD_FOR", -1.0)
    assert await outage.over(stopping) == "down"
    assert await outage.over(stopping) is None


async def test_what_no_waiting_can_help_is_told_at_once(stopping: asyncio.Event) -> None:
    outage = Outage(Provider(ProviderMisconfigured("no key")).check)
    outage.begin()
    assert await outage.over(stopping) == "no key"


async def test_a_database_that_is_away_is_left_to_the_crawl_to_find(stopping: asyncio.Event) -> None:
    outage = Outage(Provider(DatabaseUnavailable("away")).check)
    outage.begin()
    assert await outage.over(stopping) is None


async def test_a_worker_that_is_stopped_waits_no_longer(stopping: asyncio.Event) -> None:
    provider = Provider()
    provider.gate.clear()
    outage = Outage(provider.check)
    outage.begin()
    waiting = asyncio.create_task(outage.over(stopping))
    await turns()
    stopping.set()
    assert await waiting is None
