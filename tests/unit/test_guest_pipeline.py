"""The pipeline of other projects' items, where something goes wrong that nobody foresaw."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem
from scrapy.statscollectors import MemoryStatsCollector

from lcl_spiders.guests.pipeline import GuestPipeline
from lcl_spiders.guests.run import GuestRunExtension
from pipelines.addon import DEFAULTS
from pipelines.arguments import RunArguments
from pipelines.config import Config
from pipelines.run import Run


class Thorny(dict[str, Any]):
    """An item that cannot be read."""

    def __getitem__(self, name: str) -> Any:
        msg = "a bug of the item's own"
        raise RuntimeError(msg)


def opened() -> tuple[GuestPipeline, Run]:
    crawler = Crawler(type("Town", (Spider,), {"name": "town"}), dict(DEFAULTS))
    crawler.stats = MemoryStatsCollector(crawler)
    run = Run(crawler, Config.from_settings(crawler.settings), RunArguments())
    run.source, run.known_pages = SimpleNamespace(slug="town"), 0  # type: ignore[assignment]  # what of a source it needs
    crawler.extensions = SimpleNamespace(middlewares=[GuestRunExtension(crawler, run)])  # type: ignore[assignment]  # as Scrapy makes it
    pipeline = GuestPipeline.from_crawler(crawler)
    pipeline.crawler = crawler  # type: ignore[attr-defined]  # held, which a run does not
    return pipeline, run


async def test_an_item_that_cannot_be_read_comes_out_and_is_counted() -> None:
    pipeline, run = opened()
    item = Thorny(url="https://example.org/", content="text")
    assert await pipeline.process_item(item) is item
    assert (run.counter("pages/failed"), run.counter("items/pages")) == (1, 0)


async def test_an_error_in_a_pipeline_of_the_index_fails_the_page_and_keeps_the_item(monkeypatch: Any) -> None:
    pipeline, run = opened()
    item = {"url": "https://example.org/", "content": "text"}

    async def broken(page: Any) -> Any:
        msg = "a bug of the index's own"
        raise RuntimeError(msg)

    monkeypatch.setattr(pipeline._stages, "process_item_async", broken)
    assert await pipeline.process_item(item) is item
    assert (run.counter("pages/failed"), run.counter("items/pages")) == (1, 1)


async def test_what_the_index_drops_its_project_keeps(monkeypatch: Any) -> None:
    pipeline, run = opened()
    item = {"url": "https://example.org/", "content": "text"}

    async def dropping(page: Any) -> Any:
        msg = "met before"
        raise DropItem(msg)

    monkeypatch.setattr(pipeline._stages, "process_item_async", dropping)
    assert await pipeline.process_item(item) is item
    assert run.counter("pages/failed") == 0
