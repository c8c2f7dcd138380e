"""Crawls of a project that is not this one: spiders that yield what a test tells them to, several in one process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import attrs
from itemadapter import ItemAdapter
from scrapy import Field, Item, Request, Spider, signals
from scrapy.crawler import AsyncCrawlerProcess, Crawler
from scrapy.exceptions import CloseSpider, DropItem
from scrapy.http import Response

from tests.support.scrapy import ROOT, environment

SITE = "https://town.example/"
PROJECT = {"ADDONS": {"pipelines.IndexAddon": 500}, "LOG_LEVEL": "WARNING", "TELNETCONSOLE_ENABLED": False}


@dataclass
class DataclassPage:
    url: str
    content: str | None = None
    title: str | None = None
    price: int = 0


@attrs.define
class AttrsPage:
    url: str
    content: str
    rating: float = 0.5


class ScrapyPage(Item):
    url = Field()
    content = Field()
    author = Field()


@dataclass
class Product:
    url: str
    name: str


CLASSES = {each.__name__: each for each in (dict, DataclassPage, AttrsPage, ScrapyPage, Product)}


def page(path: str, text: str, **more: Any) -> dict[str, Any]:
    """Return the fields of an item about a page of the site."""
    return {"url": SITE + path, "content": text, **more}


@dataclass
class Crawl:
    """One crawl: what its spider yields, by the names of their classes, and how it is run.

    `ends` is the reason for which the spider closes itself.
    """

    items: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    spider: str = "teller"
    ends: str | None = None

    def of(self, *items: dict[str, Any], kind: str = "dict") -> Crawl:
        """Return the crawl with these items of one class added."""
        return replace(self, items=[*self.items, *((kind, item) for item in items)])


@dataclass(frozen=True)
class Told:
    """How a crawl ended: the verdict's words (None without an index), the counters, and the items that came out."""

    status: str | None
    reason: str | None
    message: str | None
    exit_code: int | None
    counters: dict[str, int]
    items: list[tuple[str, dict[str, Any]]]
    untouched: bool
    """Whether each item came out as the object that went in, with the fields that it had."""


class Teller(Spider):
    """Yields what its crawl says, out of an answer that needs no network. Knows nothing of an index."""

    name = "teller"
    start_urls = [SITE]

    async def start(self) -> Any:
        yield Request("data:,", self.tell)

    def tell(self, response: Response) -> Any:
        self.yielded: dict[int, tuple[Any, dict[str, Any]]] = {}
        crawl: Crawl = self.settings["CRAWL"]
        for kind, fields in crawl.items:
            item = CLASSES[kind](**fields)
            self.yielded[id(item)] = item, dict(ItemAdapter(item))
            yield item
        if crawl.ends is not None:
            raise CloseSpider(crawl.ends)


class TownNews(Teller):
    """Another spider of the project, on the same site."""

    name = "town_news"
    start_urls = [SITE + "news/"]


class Nowhere(Teller):
    """A spider that does not say where its site is."""

    name = "nowhere"
    start_urls = []


SPIDERS = {each.name: each for each in (Teller, TownNews, Nowhere)}


class Picky:
    """A pipeline of the project's own: completes an item, or drops it."""

    def process_item(self, item: Any) -> Any:
        adapter = ItemAdapter(item)
        if adapter.get("content") == "unwanted":
            raise DropItem(adapter["url"])
        if adapter.get("content") == "broken":
            msg = "a bug of the project's own"
            raise RuntimeError(msg)
        return item


def tell(database_url: str | None, *crawls: Crawl) -> tuple[list[Told], str]:
    """Run crawls one after the other in a process of their own; return how each ended, and the log."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.guests"],
        input=json.dumps([asdict(crawl) for crawl in crawls]),
        cwd=ROOT,
        env=environment(database_url),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [Told(**each) for each in json.loads(done.stdout)]
    return [replace(each, items=[(kind, fields) for kind, fields in each.items]) for each in told], done.stderr


def _main() -> None:
    crawls = [Crawl(**each) for each in json.load(sys.stdin)]
    process = AsyncCrawlerProcess(PROJECT)
    told: list[Told] = []
    process.crawl(_Conductor, crawls=crawls, told=told)
    process.start()
    print(json.dumps([asdict(each) for each in told]))


class _Conductor(Spider):
    """Runs the crawls inside its own, so that they have an event loop and a reactor and come one after the other."""

    name = "conductor"
    custom_settings = {"ADDONS": {}}
    crawls: list[Crawl]
    told: list[Told]

    async def start(self) -> Any:
        for crawl in self.crawls:
            self.told.append(await _run(crawl))
        return
        yield


async def _run(crawl: Crawl) -> Told:
    from lcl_spiders.extensions.run import RunExtension

    crawler = Crawler(SPIDERS[crawl.spider], {**PROJECT, **crawl.settings})
    crawler.settings.set("CRAWL", crawl)
    scraped: list[Any] = []

    def keep(item: Any) -> None:
        scraped.append(item)

    crawler.signals.connect(keep, signal=signals.item_scraped)
    try:
        await crawler.crawl_async(**crawl.arguments)
    except ValueError as error:
        return Told(None, "refused", str(error), 1, {}, [], untouched=True)
    yielded: dict[int, tuple[Any, dict[str, Any]]] = getattr(crawler.spider, "yielded", {})
    untouched = all(yielded.get(id(item), (None, {}))[1] == dict(ItemAdapter(item)) for item in scraped)
    items = [(type(item).__name__, dict(ItemAdapter(item))) for item in scraped]
    extension = crawler.get_extension(RunExtension)
    verdict = extension.verdict if extension is not None else None
    if extension is None or verdict is None:
        return Told(None, None, None, None, {}, items, untouched)
    counters = extension.run.counters()
    return Told(verdict.status, verdict.reason, verdict.message, verdict.exit_code, counters, items, untouched)


if __name__ == "__main__":
    _main()
