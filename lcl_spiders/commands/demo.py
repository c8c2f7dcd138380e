"""`scrapy demo`: a small site is crawled, changes, and is crawled again, to show what each run costs."""

from __future__ import annotations

import argparse
import asyncio
import atexit
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scrapy.exceptions import UsageError

from db import jobs, pages
from db.connection import Address
from lcl_spiders import demo_site, ledger
from lcl_spiders.commands import status
from lcl_spiders.commands.search import snippet
from lcl_spiders.commands.status import CHUNKS, tally
from lcl_spiders.console import CommandFailed, IndexCommand, plain_table
from lcl_spiders.local_site import LocalSite
from pipelines import runtime
from pipelines.query import search

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.runtime import Runtime

CRAWL_TIMEOUT = 120
CRAWL_SETTINGS = {
    "LCL_ALLOW_PRIVATE_NETWORKS": "true",
    "LCL_RECRAWL_AFTER": "0",
    "AUTOTHROTTLE_ENABLED": "false",
    "LOG_LEVEL": "WARNING",
}

PAGES = {
    **{name: kinds for name, kinds in status.PAGES.items() if name != "not modified"},
    "unchanged": ("unchanged", "not_modified"),
}
"""What `scrapy status` calls the pages; whether an unchanged one answered 200 or 304 is the ledger's matter."""

NEXT = """
What next
  make crawl URL=https://example.org/          crawl a site of yours
  scrapy sources add https://example.org/      or only register it
  scrapy search "what you want to know"        ask the index
  scrapy status                                see what the runs did
  scrapy doctor                                check that all is well"""


class Question(NamedTuple):
    """A query whose answer is known: the page that must come first, and words of the passage."""

    query: str
    path: str
    words: str


MUSEUM = "until when is the museum open on Friday evening"
BEFORE = [Question(MUSEUM, demo_site.EDITED, "On Fridays it closes at five")]
AFTER = [
    Question(MUSEUM, demo_site.EDITED, "until half past nine in the evening"),
    Question("who can mend my broken toaster", demo_site.ADDED, "Bring a toaster"),
]


class Command(IndexCommand):
    """Crawl a local site twice, in a database that goes away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[dict[str, Any]] = []
        self.stats: dict[str, Any] = {}
        self.answers: list[dict[str, Any]] = []
        self.wrong: list[str] = []

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Crawl a local site that changes between two runs, and show what each cost"

    def long_desc(self) -> str:
        return (
            "Serve a small site on loopback, crawl it into a database of its own, change the site, crawl it again, and "
            "ask the index questions whose answers are known. Takes some seconds, needs no network and no key, and "
            "leaves nothing behind; your own database is not touched.\n"
            "\n"
            "  scrapy demo\n"
            "\n"
            "Exit code: 0 when everything was as expected, 1 otherwise.\n"
        )

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        if words:
            msg = "demo takes no names"
            raise UsageError(msg, print_help=False)
        self.console.quiet = self.as_json
        began = time.monotonic()
        home = Path(tempfile.mkdtemp(prefix="lcl-demo-"))
        # Registered before the server's own handler, so that it runs after it: the server stops, then its folder goes.
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        config = replace(
            self.config,
            database=Address(url=None, folder=home / "postgres"),
            lock_database_url=None,
            embedding=replace(self.config.embedding, provider="local", model=None, dimensions=None),
        )
        shared = await runtime.lease(config)
        try:
            with LocalSite() as site:
                await self._show(site, shared, home)
        finally:
            await runtime.give_back(shared)
        if self.as_json:
            self.print_json({"runs": self.runs, "searches": self.answers, "wrong": self.wrong})
        for problem in self.wrong:
            self.complain(f"not as expected: {problem}")
        if not self.wrong:
            self.say(f"\nAll as expected, in {time.monotonic() - began:.1f} s.")
            self.say(NEXT)
        return int(bool(self.wrong))

    async def _show(self, site: LocalSite, shared: Runtime, home: Path) -> None:
        first, second = demo_site.before(), demo_site.after()
        total = len(first) + 1  # and the guide
        self.say(f"Brinholt, a town of {total} pages, is at {site.url()}\n")
        _put(site, demo_site.as_files(first, site.url))
        await self._crawl(site, shared, home, "first", {"new": total})
        await self._ask(site, shared, BEFORE)
        self.say(
            f"\nThe site changes: a paragraph of {demo_site.EDITED} is rewritten, {demo_site.ADDED} is added, "
            f"{demo_site.REMOVED} is removed; {demo_site.GUIDE} lists the pages, so it changes too.\n"
        )
        _put(site, demo_site.as_files(second, site.url))
        expected = {"new": 1, "changed": 2, "unchanged": total - 3, "gone": 1}
        await self._crawl(site, shared, home, "second", expected)
        self._expect_few_embeddings()
        self.say("\nWhat the second run spent, and what each rung of the refresh saved:\n")
        self.console.print(ledger.as_table(ledger.rows(self.stats)))
        await self._ask(site, shared, AFTER)
        async with shared.pool.connection() as connection:
            if broken := await pages.broken_pages(connection):
                self.wrong.append(f"the embeddings of {broken[0][2]} are not its chunks")

    async def _crawl(self, site: LocalSite, shared: Runtime, home: Path, name: str, expected: dict[str, int]) -> None:
        began = time.monotonic()
        await _run_crawl(site.url(), home)
        took = time.monotonic() - began
        async with shared.pool.connection() as connection:
            run = (await jobs.recent(connection, limit=1))[0]
        found = tally(run.stats, "pages", PAGES)
        if found != {kind: expected.get(kind, 0) for kind in PAGES}:
            self.wrong.append(f"{name} run: pages {found} instead of {expected}")
        entry = {"run": name, "pages": found, "chunks": tally(run.stats, "chunks", CHUNKS)}
        self.runs.append({**entry, "requests": run.stats.get("requests/sent", 0), "seconds": round(took, 2)})
        self.console.print(_as_table(self.runs))
        self.stats = run.stats

    def _expect_few_embeddings(self) -> None:
        first, second = (entry["chunks"] for entry in self.runs)
        if not (second["kept"] and 0 < second["embedded"] < first["embedded"] / 2):
            self.wrong.append(f"the second run was not cheaper than the first: {second} after {first}")

    async def _ask(self, site: LocalSite, shared: Runtime, questions: list[Question]) -> None:
        for question in questions:
            results = await search(question.query, limit=1, config=shared.config)
            best = results[0] if results else None
            right = best is not None and best.url == site.url(question.path) and question.words in best.content
            self.answers.append({"query": question.query, "url": best and best.url, "right": right})
            self.say(f'\nscrapy search "{question.query}"')
            if best is not None:
                self.say(f"  {best.url}\n  {snippet(best.content, question.words, 160)}")
            if not right:
                self.wrong.append(f"{question.query!r} was not answered by {question.path} with {question.words!r}")


def _put(site: LocalSite, files: dict[str, str]) -> None:
    """Make a site have exactly these files."""
    for path in site.pages.keys() - files.keys():
        del site[path]
    for path, text in files.items():
        page = text if path.endswith((".xml", ".txt")) else text.encode()
        site[path] = page


async def _run_crawl(url: str, home: Path) -> None:
    """Crawl in a process of its own, with none of the operator's settings. Raises `CommandFailed`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LCL_") and name != "DATABASE_URL"}
    settings = [part for name, value in CRAWL_SETTINGS.items() for part in ("-s", f"{name}={value}")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scrapy", "crawl", "website", "-a", f"url={url}", *settings),
        env={**ours, "LCL_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), CRAWL_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        msg = f"the crawl of {url} did not end within {CRAWL_TIMEOUT} s"
        raise CommandFailed(msg) from None
    if process.returncode:
        sys.stderr.write(output.decode(errors="replace"))
        msg = f"the crawl of {url} ended with exit code {process.returncode}"
        raise CommandFailed(msg)


def _as_table(runs: list[dict[str, Any]]) -> Table:
    kinds = ("new", "changed", "unchanged", "gone")
    headers = (
        "\nrun",
        *(f"pages\n{kind}" for kind in kinds),
        *(f"chunks\n{kind}" for kind in CHUNKS),
        "\nrequests",
        "\nseconds",
    )
    table = plain_table(*headers, right=headers[1:])
    for entry in runs:
        figures = [entry["pages"][kind] for kind in kinds] + [entry["chunks"][kind] for kind in CHUNKS]
        table.add_row(entry["run"], *map(str, figures), str(entry["requests"]), f"{entry['seconds']:.1f}")
    return table
