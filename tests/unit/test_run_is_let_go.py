import gc
import weakref

from scrapy.crawler import Crawler
from scrapy.settings import Settings

from lcl_spiders.base_spiders import WebsiteSpider
from pipelines.addon import DEFAULTS
from pipelines.arguments import RunArguments
from pipelines.config import Config
from pipelines.run import Run


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
