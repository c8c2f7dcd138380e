"""`make bench-refresh`: ten refreshes of a site that edits, removes, breaks, redirects, lies and comes back.

The crawler is a black box: `scrapy crawl` as a process, then the rows of the database against the site's truth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

import lxml.html
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks import documents, measure
from benchmarks.mutating_site import UNREADABLE
from benchmarks.mutation_script import Script
from benchmarks.score import CHUNK_SIZE, EMPTY, Index, Score, Trust, Truth, compare, read_index
from db import embedded, schema
from db.connection import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

ROOT = Path(__file__).resolve().parent.parent
TRUST = Trust(after=3, audit_every=10)
DENSITY = 4
SPARE = 4 * DENSITY
MIN_PAGES = 100  # for all that the script needs at once
MIN_REFRESHES, MAX_REFRESHES = 5, 50  # the site's clock starts 60 days ago
TAIL = 2000  # characters of what a crawl printed
MOST_EMBEDDED = 1.1  # times the fewest possible
SETTINGS = {
    "AUTOTHROTTLE_ENABLED": "false",
    "CONCURRENT_REQUESTS": "16",
    "CONCURRENT_REQUESTS_PER_DOMAIN": "16",
    "DOWNLOAD_TIMEOUT": "3",
    "LOG_LEVEL": "WARNING",
    "RETRY_TIMES": "1",
}
_LAST_JOB = "SELECT id, status, finish_reason, stats FROM scrape_jobs ORDER BY queued_at DESC LIMIT 1"


class Crawled(NamedTuple):
    """How a crawl's process ended: exit code, what it printed, seconds, and the peak of its process tree in MB."""

    code: int
    output: str
    wall: float = 0.0
    peak: float = 0.0


class Job(NamedTuple):
    """What the run recorded of itself in `scrape_jobs`."""

    id: UUID | None
    status: str
    reason: str | None
    stats: dict[str, Any]


@dataclass(frozen=True)
class Round:
    """One crawl, scored. `ending` is exit code and recorded reason; `must_fail` the reasons that would be right."""

    refresh: int
    changes: int
    pages: int
    score: Score
    crawled: Crawled
    ending: str
    is_right: bool
    must_fail: frozenset[str]
    stats: dict[str, Any]

    def stat(self, name: str) -> int:
        """Return a counter of the run's record."""
        return int(self.stats.get(name, 0))


@dataclass(frozen=True)
class Figure:
    """One figure to reach: `value` at most `limit`."""

    name: str
    value: float
    limit: float

    @property
    def is_reached(self) -> bool:
        return self.value <= self.limit


def environment(trust: Trust) -> dict[str, str]:
    """Return the environment in which the crawls must run for the truth to hold."""
    return {
        "LCL_ALLOW_PRIVATE_NETWORKS": "true",
        "LCL_CHUNK_SIZE": str(CHUNK_SIZE),
        "LCL_RECRAWL_AFTER": "0",
        "LCL_TRUST_AFTER": str(trust.after),
        "LCL_TRUST_AUDIT_EVERY": str(trust.audit_every),
    }


def play(script: Script, database_url: str, trust: Trust, crawl: Callable[[str], Crawled]) -> Iterator[Round]:
    """Play a script, crawl after each of its refreshes with `crawl` (given the start URL), and yield the scores.

    Blocks; the database must hold no other site.
    """
    local = script.site.local
    before = EMPTY
    last_job: UUID | None = None
    with local:
        for refresh in range(script.refreshes + 1):
            truth = script.advance(refresh)
            local.reset()
            crawled = crawl(local.url(script.site.start))
            sent = {request.path for request in local.requests if request.status == 200}
            if script.site.event in UNREADABLE:
                sent = set()
            after, job = asyncio.run(_read(database_url, local.url().rstrip("/")))
            if job.id == last_job:
                job = Job(last_job, "no job", None, {})
            last_job = job.id
            yield Round(
                refresh=refresh,
                changes=sum(change.refresh == refresh for change in script.changes),
                pages=len(truth.pages),
                score=compare(truth, before, after, sent, trust),
                crawled=crawled,
                ending=f"{crawled.code} {job.reason or job.status}",
                is_right=_ended_rightly(truth, crawled.code, job),
                must_fail=truth.failures,
                stats=job.stats,
            )
            before = after


async def _read(database_url: str, base: str) -> tuple[Index, Job]:
    async with connect(database_url) as connection:
        job = await (await connection.execute(_LAST_JOB)).fetchone()
        return await read_index(connection, base), Job(*job) if job else Job(None, "no job", None, {})


def _ended_rightly(truth: Truth, code: int, job: Job) -> bool:
    if not truth.failures:
        return (code, job.status) == (0, "succeeded")
    return (code, job.status) == (1, "failed") and job.reason in truth.failures


def figures(rounds: Sequence[Round]) -> list[Figure]:
    """Return what must be reached: nothing wrong after any crawl, and hardly more embedded by refreshes than needed."""
    scores = [each.score for each in rounds]
    embedded = sum(each.stat("chunks/embedded") for each in rounds[1:])
    fewest = sum(each.score.fewest for each in rounds[1:])
    return [
        Figure("stale pages that nothing excuses", sum(len(score.stale) for score in scores), 0),
        Figure("false deletions", sum(len(score.false_deletions) for score in scores), 0),
        Figure("missing pages", sum(len(score.missing) for score in scores), 0),
        Figure("zombies", sum(len(score.zombies) for score in scores), 0),
        Figure("wrong chunk sets", sum(len(score.wrong_chunks) for score in scores), 0),
        Figure("pages whose embeddings are not their chunks", sum(len(score.orphans) for score in scores), 0),
        Figure("runs that ended otherwise than they must", sum(not each.is_right for each in rounds), 0),
        Figure("texts embedded, times the fewest possible", round(embedded / max(fewest, 1), 3), MOST_EMBEDDED),
    ]


def problems(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield a line for each thing that is wrong."""
    for each in rounds:
        for name in ("stale", "false_deletions", "missing", "zombies", "wrong_chunks", "orphans"):
            if paths := getattr(each.score, name):
                yield f"refresh {each.refresh}: {len(paths)} {name.replace('_', ' ')}: {', '.join(sorted(paths))}"
        if not each.is_right:
            expected = f"one of {', '.join(sorted(each.must_fail))}" if each.must_fail else "success"
            yield f"refresh {each.refresh}: ended with {each.ending}, must end with {expected}"


def sample(folder: Path, start: str, count: int, spare: int, rng: Random) -> tuple[dict[str, str], list[str]]:
    """Return `count` pages of a folder by path, connected by links from `start` on, and `spare` more from behind them.

    Links to other pages are no links any more.
    """
    trees: dict[str, lxml.html.HtmlElement] = {}
    waiting, met = [start], {start}
    while waiting and len(trees) < count + spare:
        path = waiting.pop(rng.randrange(len(waiting)))
        trees[path] = lxml.html.document_fromstring((folder / path.lstrip("/")).read_bytes())
        for target in (urljoin(path, href).partition("#")[0] for href in trees[path].xpath("//a/@href")):
            if target.startswith("/") and target.endswith(".html") and target not in met:
                met.add(target)
                if (folder / target.lstrip("/")).is_file():
                    waiting.append(target)
    chosen = set(list(trees)[:count])
    for path, tree in trees.items():
        for link in tree.xpath("//a[@href]"):
            target, mark, fragment = urljoin(path, link.get("href")).partition("#")
            if target in chosen:
                link.set("href", target + mark + fragment)
            else:
                del link.attrib["href"]
    texts = {path: str(lxml.html.tostring(tree, encoding="unicode")) for path, tree in trees.items()}
    return {path: texts[path] for path in texts if path in chosen}, [
        texts[path] for path in texts if path not in chosen
    ]


def crawler(database_url: str) -> Callable[[str], Crawled]:
    """Return a function that crawls a start URL as an operator does, measured."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LCL_", "DATABASE_URL"))}
    env = {**inherited, **environment(TRUST), "LCL_DATABASE_URL": database_url}
    settings = [part for name, value in SETTINGS.items() for part in ("-s", f"{name}={value}")]

    def crawl(start: str) -> Crawled:
        command = [sys.executable, "-m", "scrapy", "crawl", *settings, "website", "-a", f"url={start}"]
        done = measure.run(command, env, ROOT, may_fail=True)
        return Crawled(done.code, done.output[-TAIL:], done.wall, done.peak)

    return crawl


def print_rounds(title: str, rounds: Sequence[Round]) -> None:
    """Print a line for each crawl and one with the sums of the refreshes, then by name what was excused or wrong."""
    table = Table(title=title, show_footer=True, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for heading, value, is_summed in _COLUMNS:
        footer = str(sum(int(str(value(each))) for each in rounds[1:])) if is_summed else ""
        table.add_column(heading, justify="left" if heading == "ended" else "right", footer=footer, no_wrap=True)
    for each in rounds:
        table.add_row(*(str(value(each)) for _, value, _ in _COLUMNS))
    console = Console(width=180, highlight=False)
    console.print(table)
    for each in rounds:
        for path, why in sorted(each.score.excused.items()):
            console.print(f"refresh {each.refresh}: {path} is stale and excused: {why}", markup=False)
    for line in problems(rounds):
        console.print(line, style="red", markup=False)


_COLUMNS: tuple[tuple[str, Callable[[Round], object], bool], ...] = (
    ("refresh", lambda each: each.refresh, False),
    ("changes", lambda each: each.changes, True),
    ("pages", lambda each: each.pages, False),
    ("stale", lambda each: len(each.score.stale), True),
    ("excused", lambda each: len(each.score.excused), True),
    ("false\ndeletions", lambda each: len(each.score.false_deletions), True),
    ("missing", lambda each: len(each.score.missing), True),
    ("zombies", lambda each: len(each.score.zombies), True),
    ("wrong\nchunks", lambda each: len(each.score.wrong_chunks), True),
    ("orphans", lambda each: len(each.score.orphans), True),
    ("embedded", lambda each: each.stat("chunks/embedded"), True),
    ("fewest", lambda each: each.score.fewest, True),
    ("page\nrequests", lambda each: each.stat("requests/sent"), True),
    ("other\nrequests", lambda each: each.stat("requests/other"), True),
    ("kB", lambda each: each.stat("bytes/downloaded") // 1000, True),
    ("wall s", lambda each: f"{each.crawled.wall:.1f}", False),
    ("peak MB", lambda each: f"{each.crawled.peak:.0f}", False),
    ("ended", lambda each: each.ending + ("" if each.is_right else " (wrong)"), False),
)


def print_figures(reached: Sequence[Figure]) -> None:
    """Print each figure beside what it must be."""
    table = Table("figure", "value", "at most", "")
    for figure in reached:
        verdict = "[green]reached[/green]" if figure.is_reached else "[red]missed[/red]"
        table.add_row(figure.name, f"{figure.value:g}", f"{figure.limit:g}", verdict)
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh", description=__doc__)
    parser.add_argument("--pages", type=int, default=300, help="of the site, at least 100 (default: %(default)s)")
    parser.add_argument("--refreshes", type=int, default=10, help="5 to 50 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample and the script (default: %(default)s)")
    parser.add_argument(
        "--site", choices=[site.package for site in documents.SITES], default=documents.SITES[0].package
    )
    parser.add_argument("--json", type=Path, help="write the scores to this file too")
    arguments = parser.parse_args()
    if not MIN_REFRESHES <= arguments.refreshes <= MAX_REFRESHES:
        parser.error(f"--refreshes is {arguments.refreshes}: the script can be {MIN_REFRESHES} to {MAX_REFRESHES} long")
    if arguments.pages < MIN_PAGES:
        parser.error(f"--pages is {arguments.pages}: the script needs at least {MIN_PAGES}")
    site = next(site for site in documents.SITES if site.package == arguments.site)
    rng = Random(arguments.seed)
    pages, spare = sample(documents.folder_of(site), site.start, arguments.pages, SPARE, rng)
    if len(spare) < SPARE:
        parser.error(
            f"--pages is {arguments.pages}: of {site.name} at most {len(pages) + len(spare) - SPARE} can be had"
        )
    script = Script(
        pages,
        spare,
        start=site.start,
        rng=rng,
        refreshes=arguments.refreshes,
        trust_after=TRUST.after,
        density=DENSITY,
    )
    rounds = []
    with tempfile.TemporaryDirectory(prefix="lclb") as work:
        database_url = embedded.start(Path(work) / "postgres")
        schema.upgrade(database_url)
        for each in play(script, database_url, TRUST, crawler(database_url)):
            rounds.append(each)
            print(f"refresh {each.refresh} of {arguments.refreshes}: {each.crawled.wall:.1f} s", file=sys.stderr)
            if not each.is_right:
                print(each.crawled.output, file=sys.stderr)
    kinds = Counter(change.kind for change in script.changes)
    print(f"{kinds.total()} changes: {', '.join(f'{number} {kind}' for kind, number in sorted(kinds.items()))}")
    print_rounds(f"{site.name}, {len(pages)} pages, seed {arguments.seed}; the sums are of the refreshes", rounds)
    reached = figures(rounds)
    print_figures(reached)
    if arguments.json:
        found = {
            "figures": [asdict(figure) | {"reached": figure.is_reached} for figure in reached],
            "rounds": [asdict(each) for each in rounds],
            "changes": script.changes,
        }
        arguments.json.write_text(json.dumps(found, indent=2, default=sorted))
    sys.exit(not all(figure.is_reached for figure in reached))


if __name__ == "__main__":
    main()
