"""`scrapy discover`: find sources, judge them from evidence, and store them."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.exceptions import UsageError
from scrapy.settings import SETTINGS_PRIORITIES

from db import discovery
from db.connection import connect
from db.urls import domain_of
from lcl_spiders.console import CommandFailed, IndexCommand, plain_table, whole_number
from lcl_spiders.discovery import candidates as reading
from lcl_spiders.discovery import search
from lcl_spiders.discovery.candidates import BadCandidates, Candidate
from lcl_spiders.discovery.config import WEIGHTS, DiscoveryConfig
from lcl_spiders.discovery.door import Decision, Result, already_known
from lcl_spiders.discovery.noise import is_noise, is_private
from lcl_spiders.extraction.config import ExtractionConfig
from pipelines.runtime import prepare_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.connection import Connection
    from db.discovery import Known

LIMIT = 20
CMDLINE = SETTINGS_PRIORITIES["cmdline"]
INTERRUPTED = 130
ORDER = list(Decision)


@dataclass(frozen=True)
class Plan:
    """What is left to do when all candidates are read: those to probe, those already settled, and the database."""

    probed: list[tuple[Candidate, Known | None]]
    settled: list[Result]
    url: str


class Command(IndexCommand):
    """Probe candidates, score them, and store them as sources."""

    _plan: Plan | None = None

    def syntax(self) -> str:
        return "[options] [<url> ...]"

    def short_desc(self) -> str:
        return "Find sources: probe candidates, score them from evidence, store them"

    def long_desc(self) -> str:
        weights = "\n".join(f"  {name:<12} {weight:.2f}" for name, weight in WEIGHTS.items())
        return (
            "Ask candidates for a few pages each, score them from 0 to 1 by what they answer, and store them as "
            "sources with their evidence: enabled from the threshold on, waiting for review below it. What is a "
            "source already, by its start URL or its domain, stays as it is.\n"
            "\n"
            "  scrapy discover https://example.org/agenda example.net\n"
            "  scrapy discover --from sites.txt --dry-run\n"
            "  scrapy discover --from-links --limit 50\n"
            "  scrapy discover --pattern 'https://www.visit{place}.nl/agenda' --places places.txt\n"
            '  scrapy discover --search "events calendar leiden"\n'
            "\n"
            "The score is the weighted mean of the evidence, each from 0 to 1:\n"
            f"{weights}\n"
            "It is 0, with the reason, for a candidate that does not answer with 200 and a page in time, that "
            "robots.txt forbids, that is parked, that has neither text nor scripts that could make any, or whose "
            "language is none of LCL_DISCOVERY_LANGUAGES. docs/discovery.md says how the evidence is measured, and "
            "names the settings: LCL_DISCOVERY_THRESHOLD (0.70), LCL_DISCOVERY_WEIGHTS (JSON), LCL_DISCOVERY_SAMPLES "
            "(5 pages), LCL_DISCOVERY_LANGUAGES, LCL_DISCOVERY_NOISE_DOMAINS and others.\n"
            "\n"
            "A search needs a key of the Brave Search API in LCL_SEARCH_KEY.\n"
            "\n"
            "Exit code: 0 when every candidate was judged or is known, whatever its score; 1 when nothing was done, "
            "when not one candidate gave any answer (is this machine online?), or when some could not be judged; "
            "2 for a wrong option; 130 when it was interrupted, which keeps what was judged until then.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        group = parser.add_argument_group("candidates")
        group.add_argument("--from", dest="file", metavar="FILE", help="URLs or domains, one a line (- for stdin)")
        group.add_argument("--from-links", action="store_true", help="the foreign domains that most sites link to")
        group.add_argument(
            "--pattern",
            dest="patterns",
            action="append",
            default=[],
            metavar="URL",
            help="a URL with {place}, for every name in --places (may be repeated)",
        )
        group.add_argument("--places", metavar="FILE", help="place names, one a line (- for stdin)")
        group.add_argument("--search", metavar="QUERY", help="the sites that a search engine finds")
        group.add_argument(
            "--limit",
            type=whole_number(1, 10_000),
            metavar="N",
            help=f"most candidates of --from-links or --search (default {LIMIT})",
        )
        parser.add_argument("--dry-run", action="store_true", help="judge and print, and store nothing")
        parser.add_argument(
            "--again", action="store_true", help="judge candidates again that are known and still wait for review"
        )

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        asked_for_log = opts.logfile or opts.loglevel or self.project_settings.getpriority("LOG_LEVEL") == CMDLINE
        if not asked_for_log and "LCL_LOG_LEVEL" not in os.environ:
            self.project_settings.set("LOG_LEVEL", "ERROR", priority="cmdline")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Read the candidates, probe them in a crawl with a loop of its own, and tell what became of them."""
        super().run(args, opts)
        if self._plan is not None:
            self.exitcode = self._probe(self._plan, dry_run=opts.dry_run)

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        """Find out what to probe: everything that can be wrong with what was asked is wrong before any request."""
        _check(words, opts)
        try:
            config = DiscoveryConfig.from_settings(self.project_settings)
            ExtractionConfig.from_settings(self.project_settings)
            given = [*reading.from_words(words), *_from_files(opts)]
            provider = search.provider() if opts.search is not None else None
        except (ValueError, search.SearchFailed) as error:
            raise CommandFailed(str(error)) from None
        limit = opts.limit or LIMIT
        if provider is not None:
            try:
                found = await provider.search(opts.search, min(limit, search.MAX_RESULTS))
            except search.SearchFailed as error:
                raise CommandFailed(str(error)) from None
            given += reading.from_urls(found, f"search: {opts.search}")
        url = await prepare_database(self.config)
        async with connect(url) as connection:
            if opts.from_links:
                given += await _from_links(connection, config, limit)
            self._plan = await _planned(connection, given, config, url, again=opts.again)
        return 0

    def _probe(self, plan: Plan, *, dry_run: bool) -> int:
        results, failure, interrupted = list(plan.settled), None, False
        if plan.probed:
            # It brings the extractors and feedparser: every other command is imported along with this one.
            from lcl_spiders.discovery.spider import DiscoverySpider  # noqa: PLC0415 - see above

            process = AsyncCrawlerProcess(self.project_settings)
            crawler = process.create_crawler(DiscoverySpider)
            with _progress(len(plan.probed)) as on_result:
                process.crawl(crawler, candidates=plan.probed, url=plan.url, on_result=on_result, dry_run=dry_run)
                process.start()
            spider = crawler.spider
            if process.bootstrap_failed or not isinstance(spider, DiscoverySpider):
                self.complain("the crawl that probes the candidates did not start; nothing was stored. See the log")
                return 1
            results += spider.results
            failure = spider.failure
            interrupted = crawler.stats.get_value("finish_reason") == "shutdown"
        self._tell(results, dry_run=dry_run)
        left = len(plan.settled) + len(plan.probed) - len(results)
        if failure is not None:
            self.complain(f"{left} candidates are not judged: {failure}. What was judged is stored; run it again")
            return 1
        if interrupted or left:
            self.complain(f"interrupted: {left} candidates are not judged. What was judged is stored; run it again")
            return INTERRUPTED
        return self._verdict(results[len(plan.settled) :])

    def _verdict(self, probed: list[Result]) -> int:
        if failed := [result.url for result in probed if result.decision is Decision.FAILED]:
            self.complain(f"{len(failed)} candidates could not be judged, the first is {failed[0]}. See the log")
            return 1
        if probed and not any(result.has_answered for result in probed):
            self.complain("not one candidate gave an answer. Is this machine online? --again judges them once more")
            return 1
        return 0

    def _tell(self, results: list[Result], *, dry_run: bool) -> None:
        results = sorted(results, key=lambda result: (ORDER.index(result.decision), -(result.score or 0), result.url))
        if self.as_json:
            self.print_json(results)
            return
        if not results:
            self.say("There are no candidates.")
            return
        table = plain_table("score", "kind", "decision", "source", "candidate", "reason", right=["score"])
        for result in results:
            score = "" if result.score is None else f"{result.score:.2f}"
            candidate = result.url
            if result.start_url not in {None, result.url} and result.decision is not Decision.KNOWN:
                candidate += f" -> {result.start_url}"
            table.add_row(
                score, result.kind or "", result.decision, result.source or "", candidate, result.reason or ""
            )
        self.console.print(table)
        if len(results) == 1 and results[0].evidence:
            self._tell_evidence(results[0])
        counts = Counter(result.decision for result in results)
        self.say("\n" + ", ".join(f"{counts[decision]:,} {decision}" for decision in ORDER if counts[decision]))
        if dry_run:
            self.say("A dry run: nothing was stored.")
        elif counts[Decision.REVIEW]:
            self.say("Look at what waits: scrapy sources review")

    def _tell_evidence(self, result: Result) -> None:
        table = plain_table("evidence", "score", "weight", "seen by", right=["score", "weight"])
        for each in result.evidence:
            table.add_row(each.name, f"{each.score:.2f}", f"{each.weight:.2f}", each.value)
        self.console.print()
        self.console.print(table)


def _check(words: list[str], opts: argparse.Namespace) -> None:
    """Raise `UsageError` for options that do not go together."""
    wrong = None
    if not (words or opts.file or opts.from_links or opts.patterns or opts.search is not None):
        wrong = "name a URL, or say where from: --from FILE, --from-links, --pattern URL --places FILE, --search QUERY"
    elif bool(opts.patterns) != bool(opts.places):
        wrong = "--pattern and --places go together"
    elif opts.search is not None and not opts.search.strip():
        wrong = "--search: say what to search for"
    elif opts.file == opts.places == "-":
        wrong = "stdin can be read once: --from or --places, not both"
    elif opts.limit and not (opts.from_links or opts.search is not None):
        wrong = "--limit goes with --from-links and --search"
    if wrong:
        raise UsageError(wrong, print_help=False)


def _from_files(opts: argparse.Namespace) -> list[Candidate]:
    given = []
    if opts.file:
        given += reading.from_lines(_lines(opts.file), "stdin" if opts.file == "-" else opts.file)
    if opts.patterns:
        places = reading.place_names(_lines(opts.places))
        if not places:
            msg = f"{opts.places} has no place names"
            raise BadCandidates(msg)
        for pattern in opts.patterns:
            given += reading.from_pattern(pattern, places)
    return given


def _lines(name: str) -> list[str]:
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return text.decode("utf-8-sig").splitlines()
    except OSError as error:
        msg = f"{name} cannot be read: {error.strerror or error}"
        raise BadCandidates(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{name} is not UTF-8: {error}"
        raise BadCandidates(msg) from None


async def _from_links(connection: Connection, config: DiscoveryConfig, limit: int) -> list[Candidate]:
    linked = await discovery.most_linked(connection, noise=sorted(config.noise_domains), limit=limit)
    return [Candidate(each.start_url, f"linked by {each.sites:,} sites, {each.pages:,} pages") for each in linked]


async def _planned(
    connection: Connection, given: list[Candidate], config: DiscoveryConfig, url: str, *, again: bool
) -> Plan:
    """Part candidates into those to probe and those that need no request: known, noise, or of one domain."""
    candidates = list({candidate.url: candidate for candidate in reversed(given)}.values())[::-1]
    known = await discovery.known(
        connection, [each.url for each in candidates], [domain_of(each.url) for each in candidates]
    )
    by_domain: dict[str, list[Known]] = {}
    for source in known:
        by_domain.setdefault(source.domain, []).append(source)
    probed: dict[str, tuple[Candidate, Known | None]] = {}
    settled = []
    for candidate in candidates:
        domain = domain_of(candidate.url)
        sources = by_domain.get(domain, [])
        waiting = next((each for each in sources if each.is_waiting and len(sources) == 1), None) if again else None
        if sources and waiting is None:
            settled.append(already_known(candidate, sources))
        elif not candidate.is_named and is_noise(domain, config.noise_domains):
            settled.append(Result(candidate.url, candidate.origin, Decision.NOISE))
        elif not candidate.is_named and not config.allows_private and is_private(domain):
            reason = "found, not named, and no part of the public internet: name it, or set LCL_ALLOW_PRIVATE_NETWORKS"
            settled.append(Result(candidate.url, candidate.origin, Decision.NOISE, reason=reason))
        elif domain in probed:
            reason = f"of the same domain as {probed[domain][0].url}"
            settled.append(Result(candidate.url, candidate.origin, Decision.KNOWN, reason=reason))
        else:
            probed[domain] = (candidate, waiting)
    return Plan(list(probed.values()), settled, url)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Result], None]]:
    """Show on a terminal's standard error how many candidates are judged; yield what to call with each."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    enabled = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("probing", total=total)

        def judged(result: Result) -> None:
            nonlocal enabled
            enabled += result.decision is Decision.ENABLED
            progress.update(task, advance=1, description=f"probing, {enabled} enabled")

        yield judged
