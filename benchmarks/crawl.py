"""`make bench`: first crawl and refreshes of two documentation sites against raw Scrapy following the same links.

`wall` and `of raw` are of whole commands, start of Python included, `crawl` of the time from the first request to the
end; the embedded database runs beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks import documents, measure
from db import embedded, schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.measure import Measured

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {
    "AUTOTHROTTLE_ENABLED": "false",
    "CONCURRENT_REQUESTS": "16",
    "CONCURRENT_REQUESTS_PER_DOMAIN": "16",
    "LOG_LEVEL": "WARNING",
}
NOTHING = {"LCL_TRUST_AFTER": "1000000"}
VALIDATORS = {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "1000000"}  # the price of audits is one page in ten
LASTMOD = "2024-05-01T12:00:00Z"


@dataclass
class Row:
    """One line of the table; the counters are those of the run's record."""

    what: str
    pages: int
    measured: list[Measured]
    stats: dict[str, Any]
    durations: list[float]

    @property
    def crawl(self) -> float:
        """Seconds from the first request to the end, without the start of Python and of the embedding model."""
        return statistics.median(self.durations)

    @property
    def wall(self) -> float:
        return statistics.median(m.wall for m in self.measured)

    @property
    def cpu(self) -> float:
        return statistics.median(m.cpu for m in self.measured)

    @property
    def peak(self) -> float:
        return max(m.peak for m in self.measured)


class Bench:
    """One site, served from a copy of its folder, crawled into a database of its own."""

    def __init__(self, site: documents.Site, runs: int, work: Path) -> None:
        self.site = site
        self.runs = runs
        self.folder = work / site.package
        shutil.copytree(documents.folder_of(site), self.folder, ignore_dangling_symlinks=True)
        self.home = work / f"{site.package}-home"
        self.url = embedded.start(self.home / "postgres")
        schema.upgrade(self.url)
        self._edition = -1

    def rows(self) -> Iterator[Row]:
        """Run everything and yield a row for each kind of run."""
        with _served(self.folder) as base:
            start, port = base + self.site.start.lstrip("/"), int(base.rstrip("/").rpartition(":")[2])
            raw = [self._command([sys.executable, "-m", "benchmarks.raw", start]) for _ in range(self.runs)]
            told = [re.findall(r"pages (\d+) seconds ([\d.]+)", each.output)[0] for each in raw]
            yield Row("raw Scrapy", int(told[0][0]), raw, {}, [float(seconds) for _, seconds in told])
            first = []
            for _ in range(self.runs):
                self._empty()
                first.append(self._crawl(start))
            yield self._row("first crawl", first)
            yield self._row("refresh, nothing changed", [self._crawl(start) for _ in range(self.runs)])
        yield self._edited(start, port, "refresh, {} pages edited", NOTHING)
        with _served(self.folder, port):
            for _ in range(2):  # to earn the trust
                self._crawl(start, VALIDATORS)
            yield self._row(
                "refresh, every page answers 304", [self._crawl(start, VALIDATORS) for _ in range(self.runs)]
            )
        yield self._edited(start, port, "refresh, {} pages edited, others answer 304", VALIDATORS)
        write_sitemap(self.folder, base)
        with _served(self.folder, port):
            for _ in range(2):
                self._crawl(start, VALIDATORS, "force_rescrape=true")
            yield self._row(
                "refresh, the sitemap says that nothing changed",
                [self._crawl(start, VALIDATORS) for _ in range(self.runs)],
            )

    def _edited(self, start: str, port: int, what: str, believed: Mapping[str, str]) -> Row:
        changed = []
        for _ in range(self.runs):
            self._edition += 1
            edited = edit(self.folder, self._edition)
            with _served(self.folder, port):
                changed.append(self._crawl(start, believed))
        return self._row(what.format(edited), changed)

    def _row(self, what: str, measured: list[Measured]) -> Row:
        stats = self._query("SELECT stats FROM scrape_jobs ORDER BY started_at DESC LIMIT 1")
        started, ended = (
            self._query(f"SELECT array_agg(extract(epoch FROM {time}_at)::float ORDER BY started_at) FROM scrape_jobs")  # noqa: S608 - literals
            for time in ("started", "completed")
        )
        durations = [end - start for start, end in zip(started, ended, strict=True)]
        return Row(what, self._pages(), measured, stats, durations[-len(measured) :])

    def _crawl(self, start: str, believed: Mapping[str, str] = NOTHING, *arguments: str) -> Measured:
        settings = [part for name, value in (SETTINGS | dict(believed)).items() for part in ("-s", f"{name}={value}")]
        spargs = [part for argument in (f"url={start}", *arguments) for part in ("-a", argument)]
        return self._command([sys.executable, "-m", "scrapy", "crawl", *settings, "website", *spargs])

    def _command(self, command: list[str]) -> Measured:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("LCL_", "DATABASE_URL"))},
            "LCL_DATABASE_URL": self.url,
            "LCL_RECRAWL_AFTER": "0",
            "LCL_ALLOW_PRIVATE_NETWORKS": "true",
        }
        return measure.run(command, env, ROOT, self._pages)

    def _empty(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("TRUNCATE scraper_sources, embedding_models, domain_fences CASCADE")
            connection.execute("CHECKPOINT")

    def _pages(self) -> int:
        return int(self._query("SELECT count(*) FROM scraped_pages"))

    def _query(self, query: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        return row[0] if row else None


def edit(folder: Path, number: int) -> int:
    """Change one paragraph in every hundredth page of a folder, other ones for each number; return how many."""
    files = sorted(folder.rglob("*.html"))
    chosen = [path for path in files[number::100] if b"<p>" in path.read_bytes()]
    for path in chosen:
        head, mark, tail = path.read_bytes().rpartition(b"<p>")
        path.write_bytes(head + mark + f"Edition {number} says something new here. ".encode() + tail)
    return len(chosen)


def write_sitemap(folder: Path, base: str) -> None:
    """Give a folder that is served at `base` a sitemap of its pages, and a robots.txt that names it."""
    paths = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*.html"))]
    entries = "".join(f"<url><loc>{base}{path}</loc><lastmod>{LASTMOD}</lastmod></url>" for path in paths)
    (folder / "sitemap.xml").write_text(f"<urlset>{entries}</urlset>")
    (folder / "robots.txt").write_text(f"User-agent: *\nSitemap: {base}sitemap.xml\n")


@contextmanager
def _served(folder: Path, port: int = 0) -> Iterator[str]:
    command = [sys.executable, "-m", "lcl_spiders.local_site", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def print_table(site: documents.Site, rows: list[Row]) -> None:
    """Print one site's figures; `of raw` compares pages per second."""
    table = Table(title=f"{site.name}: medians of {len(rows[0].measured)} runs, peak the largest")
    for heading in (
        "run",
        "pages",
        "wall s",
        "pages/s",
        "of raw",
        "crawl s",
        "crawl of raw",
        "requests",
        "cpu s",
        "peak MB",
        "MB at 200",
        "texts embedded",
    ):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    raw = rows[0].pages / rows[0].wall
    for row in rows:
        rate = row.pages / row.wall
        early = row.measured[-1].memory_at(200) if row.what == "first crawl" else None
        table.add_row(
            row.what,
            str(row.pages),
            f"{row.wall:.2f}",
            f"{rate:.0f}",
            f"{rate / raw:.2f}",
            f"{row.crawl:.2f}",
            f"{row.pages / row.crawl / (rows[0].pages / rows[0].crawl):.2f}",
            f"{row.stats.get('requests/sent', 0) + row.stats.get('requests/other', 0):,}" if row.stats else "",
            f"{row.cpu:.1f}",
            f"{row.peak:.0f}",
            f"{early:.0f}" if early else "",
            str(row.stats.get("chunks/embedded", 0)) if row.stats else "",
        )
    Console(width=160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawl", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each kind (default: %(default)s)")
    parser.add_argument("--site", choices=[site.package for site in documents.SITES], help="only this one")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for site in documents.SITES:
        if arguments.site in (None, site.package):
            with tempfile.TemporaryDirectory(prefix="lclb") as work:
                rows = list(Bench(site, arguments.runs, Path(work)).rows())
            print_table(site, rows)
            figures[site.package] = {
                row.what: {"pages": row.pages, "wall": row.wall, "cpu": row.cpu, "peak": row.peak, "stats": row.stats}
                for row in rows
            }
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
