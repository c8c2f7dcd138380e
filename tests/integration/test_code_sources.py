"""A source that needs code: a spider in a module, its row, its settings, and what it makes of pages."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb
from scrapy.settings import Settings

from db import sources
from lcl_spiders.local_site import LocalSite
from lcl_spiders.spiderloader import SourceSpiderLoader
from lcl_spiders.spiders.town_agenda import TownAgendaSpider
from tests.support.crawl import stats
from tests.support.postgres import rows, value
from tests.support.scrapy import ROOT, Completed, run_scrapy

if TYPE_CHECKING:
    from pathlib import Path

AGENDA = ROOT / "lcl_spiders" / "spiders" / "pages"


@pytest.fixture
def town() -> dict[str, str]:
    """The site of the worked example."""
    listing = (AGENDA / "town_agenda.html").read_text()
    return {"/agenda": listing, "/agenda/jazz-at-the-old-mill": (AGENDA / "town_agenda_event.html").read_text()}


async def test_a_spider_in_code_is_crawled_under_the_slug_of_its_source(database_url, connection, town):
    with LocalSite(town) as site:
        added = run_scrapy(
            *("sources", "add", site.url("/agenda"), "--spider", "town_agenda", "--slug", "town"),
            *("--set", 'content_css=["article.event", ".agenda"]', "--set", "min_check_interval=0"),
            database_url=database_url,
        )
        assert added.code == 0, added.stderr
        crawled = run_scrapy("crawl", "town", database_url=database_url)
        assert crawled.code == 0, crawled.stderr

        found = {
            url.removeprefix(f"http://{site.domain}"): (title, content)
            for url, title, content in await rows(connection, "SELECT url, title, content FROM scraped_pages")
        }
        assert found["/agenda/jazz-at-the-old-mill"][0] == "Jazz at the Old Mill"
        assert "2026-12-04 20:30" in found["/agenda/jazz-at-the-old-mill"][1]
        assert "Repair café" in found["/agenda"][1]
        assert not [url for url, (_, content) in found.items() if "Tonight" in content or "Share this" in content]

        for path, page in town.items():
            site[path] = page.replace("Tonight", "Yesterday")
        again = run_scrapy("crawl", "town", database_url=database_url)
        assert again.code == 0, again.stderr
        assert ((await stats(connection))["pages/changed"], (await stats(connection))["pages/unchanged"]) == (0, 2)

        exclude = Jsonb({"exclude_css": [".card p", ".share"]})
        await connection.execute("UPDATE scraper_sources SET config = config || %s", (exclude,))
        otherwise = run_scrapy("crawl", "town", database_url=database_url)
        assert otherwise.code == 0, otherwise.stderr
    assert "pages/same_body" not in await stats(connection), "every page is read again, whatever its body"
    assert (await stats(connection))["pages/changed"] == 1
    listing = await value(connection, "SELECT content FROM scraped_pages WHERE url = %s", site.url("/agenda"))
    assert "Winter market" in listing
    assert "mulled wine" not in listing


PICKY = """
    from lcl_spiders.base_spiders import WebsiteSpider
    from lcl_spiders.source_config import SourceConfig

    class PickySpider(WebsiteSpider):
        name = "picky"
        start_url = {start_url!r}
        config = SourceConfig(content_css=[".nowhere"])

        def read_page(self, response):
            if response.url.endswith("/odd"):
                raise LookupError("no price on this page")
            return super().read_page(response)
"""


def write_module(folder: Path, text: str) -> dict[str, str]:
    """Write a module of spiders and return the environment in which it can be imported."""
    (folder / "picky_spiders.py").write_text(dedent(text))
    return {"PYTHONPATH": str(folder)}


async def test_a_spider_in_code_registers_its_own_site_and_its_mistakes_cost_a_page(database_url, connection, tmp_path):
    pages = {
        "/": "<title>Start</title><p>The first page of all, with some words.</p><a href=/odd>odd</a><a href=/two>2</a>",
        "/odd": "<title>Odd</title><p>A page that the spider cannot read.</p>",
        "/two": "<title>Two</title><p>The second page of all, with other words.</p>",
    }
    with LocalSite(pages) as site:
        env = write_module(tmp_path, PICKY.format(start_url=site.url("/")))

        def crawl(name: str) -> Completed:
            modules = {"SPIDER_MODULES": "picky_spiders"}
            return run_scrapy("crawl", name, database_url=database_url, env=env, settings=modules)

        done = crawl("picky")
        assert done.code == 0, done.stderr
        source = await sources.get(connection, site.domain)
        assert (source.spider, source.start_url) == ("picky", site.url("/"))
        assert await rows(connection, "SELECT url, kind, message FROM failed_pages") == [
            (site.url("/odd"), "spider_error", "read_page: LookupError: no price on this page")
        ]
        assert await value(connection, "SELECT count(*) FROM scraped_pages") == 2
        assert (await stats(connection))["extracted/selector_missed"] == 2

        assert crawl("picky").code == 0
        assert await value(connection, "SELECT count(*) FROM scraper_sources") == 1

        await connection.execute("UPDATE scraper_sources SET spider = 'website'")
        refused = crawl("picky")
    assert refused.code == 1
    assert f"known as the source {source.slug}, which is crawled as website" in refused.stderr


async def test_settings_of_the_row_go_over_those_in_code(database_url, connection):
    given = {"title_css": "h2", "max_pages": 5}
    await sources.add(connection, "https://example.org/x", slug="town", spider="town_agenda", config=given)
    settings = Settings({"SPIDER_MODULES": ["lcl_spiders.spiders"], "LCL_DATABASE_URL": database_url})
    loaded = SourceSpiderLoader(settings).load("town")
    assert issubclass(loaded, TownAgendaSpider)
    assert loaded.start_url == "https://example.org/x"
    assert (loaded.config.title_css, loaded.config.max_pages) == ("h2", 5)
    assert loaded.config.exclude_css == TownAgendaSpider.config.exclude_css
