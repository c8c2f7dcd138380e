"""`scrapy status`: how the sources are, and what the last runs did."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import UsageError

from db import boilerplate, coverage, jobs, overview, pending, sources, usage
from lcl_spiders import ledger
from lcl_spiders.console import CommandFailed, IndexCommand, ago, lasting, plain_table, whole_number
from lcl_spiders.reembedding.shown import summary_table
from lcl_spiders.sources.shown import kinds_json, kinds_told, standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db.jobs import Job
    from db.overview import FailedPage, Ledger, SourceState
    from lcl_spiders.ledger import Price

PAGES = {
    "new": ("new",),
    "changed": ("changed",),
    "stripped": ("stripped",),
    "unchanged": ("unchanged",),
    "not modified": ("not_modified",),
    "skipped": ("skipped_recent",),
    "skipped by lastmod": ("skipped_lastmod",),
    "duplicate": ("duplicate",),
    "pending": ("pending",),
    "gone": ("gone",),
    "unknown": ("unknown",),
    "failed": ("failed",),
    "not reached": ("unasked",),
}
"""What a run's counters of pages are called here, in the order they are shown."""

NOT_ASKED = ("skipped", "skipped by lastmod", "not reached")

CHUNKS = {"embedded": ("embedded",), "reused": ("reused",), "kept": ("kept",)}

DAYS = 7
FIGURES = ("requests", "took", "pages/s", "failed", "attempts")


class Command(IndexCommand):
    """Show sources, runs and failed pages."""

    how_to_begin = "Add one: scrapy sources add https://example.org/"

    def syntax(self) -> str:
        return "[options] [<source>]"

    def short_desc(self) -> str:
        return "Show how the sources are and what the last runs did"

    def long_desc(self) -> str:
        return (
            "Without a name, every source with its pages, its last run and its backoff, and the newest runs of all. "
            "With the slug, domain or id of a source, that one, its runs with their errors and alerts, and its failed "
            "pages. Either ends with the ledger: what the newest 10,000 runs spent, and what each rung saved. "
            "For all sources, the embedding models follow, with how many pages each covers, and the tokens of the last "
            "days, as they were spent.\n"
            "\n"
            "  scrapy status\n"
            "  scrapy status example --limit 50\n"
            '  scrapy status --json | jq ".runs[0].stats"\n'
            "  LCL_PRICE_PER_MILLION_TOKENS=0.02 scrapy status      the ledger in money too\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--limit",
            type=whole_number(1, 10_000),
            default=10,
            metavar="N",
            help="most runs, and most failed pages, to print (default 10)",
        )

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        if len(words) > 1:
            msg = "status takes the name of one source, or none"
            raise UsageError(msg, print_help=False)
        price = self._price()
        failed: list[FailedPage] = []
        kinds: dict[str | None, int] = {}
        async with self.database() as connection:
            source = await sources.get(connection, words[0]) if words else None
            states = await overview.sources(connection, source_id=source.id if source else None)
            runs = await jobs.recent(connection, slug=source.slug if source else None, limit=opts.limit)
            spent = await usage.by_day(connection, ledger.SAVED_TOKENS)
            waiting = await pending.standing(connection)
            models = await coverage.summary(connection)
            total = await overview.ledger(connection, source.id if source else None)
            if source is not None:
                kinds = await boilerplate.kinds(connection, source.id)
                failed = await overview.failed_pages(connection, source.id, limit=opts.limit)
        if self.as_json:
            summed = {**asdict(total), "money": ledger.money(total.counters, price) if total.runs else None}
            told = [_with_figures(run) for run in runs]
            tokens = {"days": ledger.days(spent, price), "in_all": ledger.in_all(spent, price)}
            answer = {
                "sources": states,
                "runs": told,
                "failed_pages": failed,
                "kinds": kinds_json(kinds),
                "ledger": summed,
                "tokens": tokens,
                "waiting": waiting,
                "models": models,
            }
            self.print_json(answer)
            return 0
        if not states:
            self.say(f"There are no sources yet. {self.how_to_begin}")
            return 0
        self._print_sources(states)
        if kinds:
            self.say(f"\npages by kind: {kinds_told(kinds)}")
        self._print_runs(runs, with_errors=source is not None)
        self._print_failed(failed, states[0].failed_pages)
        self._print_ledger(total, price)
        if source is None and models:
            about = ", about, by the statistics of the database" if models[0].is_estimate else ""
            self.say(f"\nmodels{about}")
            self.console.print(summary_table(models))
        if source is None and spent:
            which = "" if total.runs < overview.LEDGER_RUNS else f"; saved: by the newest {total.runs:,} runs"
            self.say(f"\ntokens, of all sources{which}")
            self.console.print(ledger.days_table(spent, price, limit=DAYS))
        if waiting.pages:
            self.say(f"\n{waiting.pages:,} pages wait for texts in batches: scrapy batches")
        elif texts := waiting.free_texts + waiting.asked_texts:
            self.say(f"\n{texts:,} texts wait for batches: scrapy batches")
        return 0

    def _price(self) -> Price | None:
        try:
            return ledger.price(self.project_settings)
        except ValueError as error:
            raise CommandFailed(str(error)) from None

    def _print_sources(self, states: Sequence[SourceState]) -> None:
        table = plain_table(
            "source", "state", "pages", "failed", "last run", "ended", "took", "last success", right=(*FIGURES, "pages")
        )
        for state in states:
            table.add_row(
                state.slug,
                standing(state),
                f"{state.pages:,}",
                f"{state.failed_pages:,}",
                ago(state.last_run_at),
                _end(state.last_status, state.last_reason),
                lasting(state.last_duration),
                ago(state.last_success_at),
            )
        self.console.print(table)

    def _print_runs(self, runs: Sequence[Job], *, with_errors: bool) -> None:
        if not runs:
            return
        self.say("\nruns, newest first")
        columns = ("started", "source", "ended", "pages", "chunks", "requests", "took", "pages/s")
        table = plain_table(*columns, right=FIGURES)
        for run in runs:
            figures = _figures(run)
            table.add_row(
                ago(run.started_at),
                run.slug,
                _end(run.status, run.finish_reason),
                _tell(run.stats, "pages", PAGES),
                _tell(run.stats, "chunks", CHUNKS),
                f"{run.stats.get('requests/sent', 0):,}",
                lasting(figures["duration"]),
                "" if figures["pages_per_second"] is None else f"{figures['pages_per_second']:,.1f}",
            )
        self.console.print(table)
        for run in runs if with_errors else ():
            for line in _troubles(run):
                self.say(f"{ago(run.started_at)}: {line}")

    def _print_failed(self, failed: Sequence[FailedPage], total: int) -> None:
        if not failed:
            return
        self.say(f"\nfailed pages ({len(failed):,} of {total:,}); their last good version stays in the index")
        table = plain_table("page", "kind", "attempts", "last", "next retry", right=FIGURES)
        for page in failed:
            table.add_row(page.url, page.kind, f"{page.attempts:,}", ago(page.last_failed_at), ago(page.next_retry_at))
        self.console.print(table)

    def _print_ledger(self, total: Ledger, price: Price | None) -> None:
        if lines := ledger.rows(total.counters, price):
            which = "all" if total.runs < overview.LEDGER_RUNS else "the newest"
            self.say(f"\n{which} recorded runs ({total.runs:,})")
            self.console.print(ledger.as_table(lines, price))


def tally(stats: Mapping[str, Any], noun: str, kinds: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return a run's counters under the names that they are shown by."""
    return {shown: sum(int(stats.get(f"{noun}/{name}", 0)) for name in names) for shown, names in kinds.items()}


def _tell(stats: Mapping[str, Any], noun: str, kinds: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in tally(stats, noun, kinds).items() if count)


def _figures(run: Job) -> dict[str, float | None]:
    """Return a run's duration in seconds and its pages a second, pages not asked for apart; None while it runs."""
    if run.started_at is None or run.completed_at is None:
        return {"duration": None, "pages_per_second": None}
    duration = (run.completed_at - run.started_at).total_seconds()
    counts = tally(run.stats, "pages", PAGES)
    done = sum(count for name, count in counts.items() if name not in NOT_ASKED)
    return {"duration": duration, "pages_per_second": round(done / duration, 2) if duration > 0 else None}


def _with_figures(run: Job) -> dict[str, Any]:
    return {**asdict(run), **_figures(run)}


def _troubles(run: Job) -> list[str]:
    """Return a run's alerts and its error, which is often the message of one of them."""
    raised = run.stats.get("alerts", [])
    lines = [f"alert {alert['name']}: {alert['message']}" for alert in raised]
    is_told = any(alert["message"] == run.error for alert in raised)
    return lines if run.error is None or is_told else [*lines, run.error]


def _end(status: str | None, reason: str | None) -> str:
    if status is None:
        return "no run yet"
    return status if reason in (None, "finished") else f"{status}: {reason}"
