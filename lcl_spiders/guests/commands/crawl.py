"""`scrapy crawl` of a guest: Scrapy's own, whose exit code says how the run ended."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from scrapy.commands import crawl

from lcl_spiders.extensions.run import RunExtension
from lcl_spiders.extensions.summary import summarise
from lcl_spiders.guests.source import slug_of_name

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler


class Command(crawl.Command):
    """Run a spider by its name, or by the slug of its source."""

    _crawl: Crawler | None = None

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Crawl as Scrapy does; then exit with 0, 75 or 1 when a run was kept, and say what it did."""
        super().run(args, opts)
        assert self.crawler_process is not None  # noqa: S101 - Scrapy makes it before it calls run
        if self._crawl is None or self.crawler_process.bootstrap_failed:
            return
        extension = self._crawl.get_extension(RunExtension)
        if extension is None:  # no index is wanted
            return
        verdict = extension.verdict
        self.exitcode = verdict.exit_code if verdict is not None else 1
        if verdict is None or verdict.status != "succeeded":
            why = "no verdict" if verdict is None else f"{verdict.status} ({verdict.reason}): {verdict.message}"
            sys.stderr.write(f"scrapy crawl: {args[0]}: {why}\n")
        else:
            sys.stdout.write(f"{args[0]}: {summarise(extension.run.counters())}\n")

    def _create_crawler(self, spidercls: type[Spider] | str) -> Crawler:
        """Remember the crawler; take a source's slug, which messages name, for the spider's name."""
        assert self.crawler_process is not None  # noqa: S101 - see run
        names = self.crawler_process.spider_loader.list()
        if isinstance(spidercls, str) and spidercls not in names:
            spidercls = next((name for name in names if slug_of_name(name) == spidercls), spidercls)
        self._crawl = super()._create_crawler(spidercls)
        return self._crawl
