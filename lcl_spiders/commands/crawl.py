"""`scrapy crawl`: Scrapy's own, with sources as spiders and an honest exit code."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from scrapy.commands import BaseRunSpiderCommand
from scrapy.exceptions import UsageError
from scrapy.settings import SETTINGS_PRIORITIES
from scrapy.spiderloader import SpiderLoader

from db import sources
from db.connection import connect
from db.errors import AmbiguousSource, DatabaseProblem, InvalidSource, SourceNotFound
from lcl_spiders import ledger
from lcl_spiders.base_spiders import KINDS
from lcl_spiders.console import PIPED_WIDTH
from lcl_spiders.extensions.run import RunExtension
from lcl_spiders.extensions.summary import summarise
from lcl_spiders.extensions.verdict import LIMITED
from lcl_spiders.extraction.config import ExtractionConfig
from lcl_spiders.rendering.config import RenderingConfig
from lcl_spiders.spiderloader import ANY_SOURCE
from pipelines.arguments import RunArguments
from pipelines.config import Config
from pipelines.runtime import prepare_database

if TYPE_CHECKING:
    from db.connection import Connection

logger = logging.getLogger(__name__)

GC_THRESHOLD = (20_000, 10, 10)
CMDLINE = SETTINGS_PRIORITIES["cmdline"]


class Command(BaseRunSpiderCommand):
    """Crawl one source."""

    requires_project = True

    def syntax(self) -> str:
        """Return how the command is called."""
        return "[options] <source>"

    def short_desc(self) -> str:
        """Return what the command does, in a line."""
        return "Crawl a source and bring its pages in the index up to date"

    def long_desc(self) -> str:
        """Return what the command does and how."""
        return (
            "Crawl a source by its slug, domain or id (`scrapy sources list` shows them). "
            "`scrapy crawl website -a url=https://example.org/` registers a site and crawls it; so does feed for the "
            "pages that a feed or a sitemap lists, and listing for an agenda, a shop's list or a directory. "
            "`scrapy crawl <spider in code>` does so with the spider's own start URL. "
            "Arguments, each as -a NAME=VALUE: force_rescrape=true asks for every page, however lately it was "
            "checked; reembed=true embeds every page again; allow_mass_delete=true lets a run delete more than half "
            "of a source, or find far fewer pages than usual; max_pages=N bounds the page requests of this run. "
            "At the end it prints the ledger: what the run spent, and what each rung of the refresh saved. "
            "Exit code: 0 when the source could be read, 75 when another run holds its domain, 1 otherwise."
        )

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Show progress instead of a log to a person at a terminal who asked for no log."""
        super().process_options(args, opts)
        assert self.settings is not None  # noqa: S101 - set by Scrapy
        asked_for_log = opts.logfile or opts.loglevel or self.settings.getpriority("LOG_LEVEL") == CMDLINE
        if sys.stderr.isatty() and not asked_for_log and "LCL_LOG_LEVEL" not in os.environ:
            self.settings.set("LCL_PROGRESS", True, priority="cmdline")
            self.settings.set("LOG_LEVEL", "WARNING", priority="cmdline")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Crawl, and set the exit code from the run's verdict."""
        if len(args) != 1:
            msg = "name one source; `scrapy sources list` shows them"
            raise UsageError(msg, print_help=False)
        assert self.settings is not None  # noqa: S101 - set by Scrapy
        arguments = dict(opts.spargs)
        try:
            price = ledger.price(self.settings)
            RunArguments.parse({name: value for name, value in arguments.items() if name not in ("url", "slug")})
            # A loop of its own: asyncio.run would unset the one that the reactor uses.
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                slug = runner.run(self._find(args[0], arguments))
        except (DatabaseProblem, InvalidSource, SourceNotFound, AmbiguousSource, ValueError) as error:
            self._refuse(str(error))
            return
        assert self.crawler_process is not None  # noqa: S101 - Scrapy makes it before it calls run
        try:
            crawler = self._create_crawler(slug)
        except (InvalidSource, KeyError) as error:
            wrong = f"there is no kind of spider called {error}" if isinstance(error, KeyError) else error
            self._refuse(f"the source {slug} cannot be crawled as it is stored: {wrong}")
            return
        # A crawl makes many short-lived objects and few cycles: collecting less often spares 15% of its CPU time.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        self.crawler_process.crawl(crawler, **arguments)
        self.crawler_process.start()
        if self.crawler_process.bootstrap_failed:
            self.exitcode = 1
            return
        extension = crawler.get_extension(RunExtension)
        if extension is None or extension.verdict is None:
            self.exitcode = 1
            return
        verdict = extension.verdict
        self.exitcode = verdict.exit_code
        if verdict.status == "succeeded":
            print(f"{slug}: {summarise(extension.run.counters(), price)}")
            if verdict.reason == LIMITED:
                print(f"{slug}: the page limit left pages out; raise the source's max_pages to reach them")
        else:
            sys.stderr.write(f"scrapy crawl: {slug}: {verdict.status} ({verdict.reason}): {verdict.message}\n")
        if lines := ledger.rows(extension.run.counters(), price):
            width = None if sys.stdout.isatty() else PIPED_WIDTH
            Console(markup=False, highlight=False, emoji=False, width=width).print(ledger.as_table(lines, price))

    def _refuse(self, message: str) -> None:
        """Say why there is no crawl; also in the log where that is a file: all that scrapyd shows of a job."""
        sys.stderr.write(f"scrapy crawl: {message}\n")
        assert self.settings is not None  # noqa: S101 - set by Scrapy
        if self.settings.get("LOG_FILE"):
            logger.error(message)
        self.exitcode = 1

    async def _find(self, name: str, arguments: dict[str, str]) -> str:
        """Return the slug to crawl, registering the site of `KIND -a url=…`; takes url and slug out."""
        assert self.settings is not None  # noqa: S101 - set by Scrapy
        config = Config.from_settings(self.settings)
        ExtractionConfig.from_settings(self.settings)
        RenderingConfig.from_settings(self.settings)
        url = await prepare_database(config)
        async with connect(url) as connection:
            if name in KINDS:
                site = arguments.pop("url", None)
                if not site:
                    msg = f"{name} is a kind of source: say which site with -a url=https://…"
                    raise InvalidSource(msg)
                source, _ = await sources.add(connection, site, spider=name)
                if source.spider != name and source.spider in KINDS:
                    msg = (
                        f"{source.start_url} is known already, as the {source.spider} {source.slug}. Crawl it as that: "
                        f"scrapy crawl {source.slug}"
                    )
                    raise InvalidSource(msg)
                return source.slug
            if name == ANY_SOURCE:
                name = arguments.pop("slug", "")
                if not name:
                    msg = "say which source with -a slug=…"
                    raise InvalidSource(msg)
            if "url" in arguments or "slug" in arguments:
                msg = f"url= goes with `scrapy crawl {'|'.join(KINDS)}`, slug= with `scrapy crawl source`"
                raise InvalidSource(msg)
            try:
                return (await sources.get(connection, name)).slug
            except SourceNotFound:
                if name not in self._in_code():
                    raise
                return await self._registered(connection, name)

    def _in_code(self) -> list[str]:
        assert self.settings is not None  # noqa: S101 - set by Scrapy
        return SpiderLoader.from_settings(self.settings).list()

    async def _registered(self, connection: Connection, name: str) -> str:
        """Return the slug of the source that a spider in code has by its own start URL, registering it at first."""
        assert self.crawler_process is not None  # noqa: S101 - Scrapy makes it before it calls run
        start_url = getattr(self.crawler_process.spider_loader.load(name), "start_url", "")
        if not start_url:
            msg = f"the spider {name} has no start_url of its own: scrapy sources add https://… --spider {name}"
            raise InvalidSource(msg)
        source, _ = await sources.add(connection, start_url, spider=name)
        if source.spider != name:
            msg = (
                f"{source.start_url} is known as the source {source.slug}, which is crawled as {source.spider}. "
                f"Nothing was done; crawl it by its slug, or give it the spider {name}"
            )
            raise InvalidSource(msg)
        return source.slug
