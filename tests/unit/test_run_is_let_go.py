import gc
import weakref

import pytest
from scrapy.crawler import Crawler
from scrapy.settings import Settings

from lcl_spiders.base_spiders import WebsiteSpider
from pipelines import runtime as module
from pipelines.addon import DEFAULTS
from pipelines.arguments import RunArguments
from pipelines.config import Config
from pipelines.providers import ProviderSpec
from pipelines.run import Run
from pipelines.runtime import Runtime


def test_a_run_and_its_crawler_are_let_go_when_nobody_else_holds_them() -> None:
    settings = Settings(DEFAULTS)
    crawler = Crawler(WebsiteSpider, settings)
    run = Run(crawler, Config.from_settings(settings), RunArguments())
    assert Run.of(crawler) is run
    watched = weakref.ref(crawler), weakref.ref(run)

    del crawler, run
    gc.collect()
    gc.collect()  # the run is let go with its crawler, and then found to be in a cycle of its own

    assert [reference() for reference in watched] == [None, None]


def test_what_comes_for_a_run_whose_crawler_is_gone_is_not_counted() -> None:
    settings = Settings(DEFAULTS)
    crawler = Crawler(WebsiteSpider, settings)
    run = Run(crawler, Config.from_settings(settings), RunArguments())

    del crawler
    gc.collect()

    run.count("chunks/embedded", 3)  # an error would end the waiting of every other run


@pytest.mark.parametrize(("leases", "is_kept"), [(1, True), (2, False)])
async def test_a_model_that_is_loaded_while_a_worker_crawls_keeps_no_crawl(
    monkeypatch: pytest.MonkeyPatch, leases: int, is_kept: bool
) -> None:
    async def embedder_of(*_: object) -> None:
        return None

    frozen = []
    monkeypatch.setattr(module, "embedder_of", embedder_of)
    monkeypatch.setattr(module.gc, "freeze", lambda: frozen.append(True))
    module._stay.cache_clear()
    runtime = Runtime(Config.from_settings(Settings(DEFAULTS)), "", None)  # type: ignore[arg-type]  # no database is asked
    runtime.leases = leases
    await runtime.embedder(ProviderSpec("double"))
    assert bool(frozen) is is_kept
