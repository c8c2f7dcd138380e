"""`scrapy inspect`: what would be indexed of one page, what would be left out, and why."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.exceptions import UsageError
from scrapy.settings import SETTINGS_PRIORITIES

from db import boilerplate, sources
from db.errors import InvalidSource, one_line
from db.urls import canonical_url
from lcl_spiders.base_spiders.answers import charset
from lcl_spiders.base_spiders.boilerplate import NOTHING, Boilerplate
from lcl_spiders.console import CommandFailed, IndexCommand, plain_table
from lcl_spiders.extraction import ExtractionError, ExtractionOptions
from lcl_spiders.source_config import SourceConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scrapy.http import Response
    from scrapy.settings import BaseSettings

    from lcl_spiders.extraction.extract import Reading
    from lcl_spiders.extraction.report import LeftOut

CMDLINE = SETTINGS_PRIORITIES["cmdline"]
FILE_URL = "https://example.org/"
SAMPLE = 100


class Command(IndexCommand):
    """Read one page as a crawl would, without a database."""

    _asked: tuple[str, argparse.Namespace] | None = None
    _config: Mapping[str, Any] = {}
    _known: Boilerplate = NOTHING

    def syntax(self) -> str:
        return "[options] <url or file>"

    def short_desc(self) -> str:
        return "Show what would be indexed of a page, what is left out, and why"

    def long_desc(self) -> str:
        return (
            "Read one page as a crawl would: its kind and the evidence for it, the text that would be indexed, what is "
            "left out and why, and which ways of extraction were tried. Nothing is stored and no database is needed. "
            "The options are those of a source with the same names: try them here, and keep what helps. With --source, "
            "a page is read as that source's are, without what was learned to be boilerplate there, unless it is the "
            "one that keeps it.\n"
            "\n"
            "  scrapy inspect https://example.org/agenda\n"
            "  scrapy inspect saved.html --url https://example.org/agenda\n"
            "  scrapy inspect https://example.org/agenda --exclude-css .sponsors --json | jq -r .content\n"
            "  scrapy inspect https://example.org/agenda --source example\n"
            "  scrapy sources set example exclude_css=.sponsors\n"
            "\n"
            "Exit code: 0 when there is something to index, 1 when there is not, or when the page was not had.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--url", metavar="URL", help=f"the URL of a file, for its links (default {FILE_URL})")
        parser.add_argument("--extractor", metavar="NAME", help="auto, trafilatura, resiliparse or full")
        parser.add_argument("--content-css", action="append", metavar="CSS", help="elements that hold the main text")
        parser.add_argument("--exclude-css", action="append", metavar="CSS", help="elements that are left out")
        parser.add_argument("--title-css", metavar="CSS", help="the element that holds the title")
        parser.add_argument("--links", metavar="WHICH", help="links that are kept in the text: cards, all or none")
        parser.add_argument("--source", metavar="NAME", help="read it as this source's pages, by slug, domain or id")

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        asked_for_log = opts.logfile or opts.loglevel or self.project_settings.getpriority("LOG_LEVEL") == CMDLINE
        if not asked_for_log and "LCL_LOG_LEVEL" not in os.environ:
            self.project_settings.set("LOG_LEVEL", "ERROR", priority="cmdline")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Read a file at once; download a page in a crawl with a loop of its own, and read it then."""
        super().run(args, opts)
        if self._asked is None:
            return
        try:
            body, url, encoding = self._download(self._asked[0])
            self.exitcode = self._show(body, url, encoding, opts)
        except CommandFailed as error:
            self.complain(str(error))
            self.exitcode = 1

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        if len(words) != 1:
            msg = "name one page: a URL or a file"
            raise UsageError(msg, print_help=False)
        if opts.source:
            await self._look_up(opts.source)
        self._options(opts)
        if "://" not in words[0]:
            return self._show(_read(words[0]), _url(opts.url or FILE_URL), None, opts)
        if opts.url:
            msg = "--url is for a file; the page has its own"
            raise UsageError(msg, print_help=False)
        self._asked = _url(words[0]), opts
        return 0

    async def _look_up(self, name: str) -> None:
        async with self.database() as connection:
            source = await sources.get(connection, name)
            self._config = source.config
            if source.config.get("boilerplate") != "kept":
                self._known = Boilerplate(await boilerplate.learned(connection, source.id))

    def _download(self, url: str) -> tuple[bytes, str, str | None]:
        process = AsyncCrawlerProcess(self.project_settings)
        crawler = process.create_crawler(OnePage)
        process.crawl(crawler, url=url)
        process.start()
        spider = crawler.spider
        if not isinstance(spider, OnePage) or spider.response is None:
            why = spider.failure if isinstance(spider, OnePage) else None
            msg = f"{url} was not had: {why or 'the download did not start; see the log with -L INFO'}"
            raise CommandFailed(msg)
        response = spider.response
        if response.status != 200:
            self.complain(f"{response.url} answers {response.status}; a crawl would not index what it says")
        return response.body, response.url, charset(response)

    def _show(self, body: bytes, url: str, encoding: str | None, opts: argparse.Namespace) -> int:
        # They bring the extractors: every other command is imported along with this one.
        from lcl_spiders.extraction import extract, report  # noqa: PLC0415 - see above

        try:
            reading = extract.read_page(body, url, encoding, self._options(opts))
        except ExtractionError as error:
            msg = f"{url} cannot be read ({error.kind}): {error}"
            raise CommandFailed(msg) from None
        reading = replace(reading, page=self._known.without(reading.page, _url(url)))
        if self.as_json:
            self.print_json(report.as_json(reading, url))
        else:
            self._print(reading, url, report.left_out(reading))
        try:
            extract.refuse_empty(reading)
        except ExtractionError as error:
            self.complain(f"{url} ({error.kind}): {error}")
        return 0 if reading.page.content else 1

    def _options(self, opts: argparse.Namespace) -> ExtractionOptions:
        """Return the options as a source would have them. Raises `CommandFailed` for one that it could not have."""
        given = {
            name: getattr(opts, name) for name in ("extractor", "content_css", "exclude_css", "title_css", "links")
        }
        chosen = {name: value for name, value in given.items() if value}
        try:
            return ExtractionOptions.of(SourceConfig.parse({**self._config, **chosen}))
        except InvalidSource as error:
            raise CommandFailed(str(error)) from None

    def _print(self, reading: Reading, url: str, left_out: list[LeftOut]) -> None:
        page = reading.page
        facts = {
            "url": url,
            "title": page.title,
            "kind": page.kind,
            "evidence": ", ".join(f"{name} {value}" for name, value in page.evidence.items()),
            "tried": "; ".join(page.tried),
            "found by": page.extractor,
            "language": page.language,
            "author": page.author,
            "published": page.published,
            "modified": page.modified,
            "description": page.description,
            "canonical": page.canonical,
            "robots": ", ".join(name for name in ("noindex", "nofollow") if getattr(page, name)),
            "links": f"{len(page.outlinks):,}",
            "indexed": f"{len(page.content):,} characters",
            "keeps": "; ".join(map(_kept, page.kept)),
        }
        table = plain_table("", "")
        table.show_header = False
        for name, value in facts.items():
            if value:
                table.add_row(Text(name, "dim"), Text(str(value)))
        self.console.print(table)
        self.console.rule("would be indexed", align="left")
        self.console.print(Text(page.content or "nothing"), soft_wrap=True)
        self.console.rule("left out", align="left")
        table = plain_table("why", "characters", "text", right=["characters"])
        for each in left_out:
            shown = each.text if len(each.text) <= SAMPLE else f"{each.text[:SAMPLE]} …"
            table.add_row(each.reason, f"{each.chars:,}", Text(shown))
        self.console.print(table if left_out else "nothing that is known of")


class OnePage(Spider):
    """Downloads one page under the project's rules: robots.txt, redirects, decompression, sizes and time-outs."""

    name = "inspect"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.response: Response | None = None
        self.failure: str | None = None

    @classmethod
    def update_settings(cls, settings: BaseSettings) -> None:
        """Leave out what belongs to the crawl of a source."""
        super().update_settings(settings)
        own = {
            "ADDONS": {**settings.getdict("ADDONS"), "pipelines.IndexAddon": None},
            "AUTOTHROTTLE_ENABLED": False,
            "RETRY_TIMES": 0,
            "LCL_PROGRESS": False,
        }
        settings.setdict(own, priority="spider")

    async def start(self) -> AsyncIterator[Request]:
        """Ask for the page, whatever its status."""
        yield Request(self._url, callback=self.keep, errback=self.lose, dont_filter=True)

    def keep(self, response: Response) -> None:
        """Keep the answer."""
        self.response = response

    def lose(self, failure: Any) -> None:
        """Keep the reason why there is none, or the answer with which it came."""
        response = getattr(failure.value, "response", None)
        if response is not None:
            self.response = response
        self.failure = one_line(failure.value)


def _kept(unit: str) -> str:
    text = " ".join(unit.split())
    shown = text if len(text) <= SAMPLE else f"{text[:SAMPLE]} …"
    return f'"{shown}", which is left out of the other pages of its kind'


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        msg = f"{name} cannot be read: {error.strerror or error}. A URL begins with https://"
        raise CommandFailed(msg) from None


def _url(given: str) -> str:
    try:
        return canonical_url(given)
    except ValueError as error:
        msg = f"{error}. Give it whole, as in https://example.org/"
        raise CommandFailed(msg) from None
