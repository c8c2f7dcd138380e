"""`scrapy sources`: the sites that are crawled, and how."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_origin

from scrapy.exceptions import UsageError
from scrapy.spiderloader import SpiderLoader

from db import jobs, overview, signals, sources
from db.errors import InvalidSource
from lcl_spiders.base_spiders import KINDS
from lcl_spiders.console import IndexCommand, ago, lasting, plain_table
from lcl_spiders.source_config import SourceConfig
from pipelines.config import whole_number
from pipelines.trust import Signal, is_earned, runs_needed

if TYPE_CHECKING:
    from db.connection import Connection
    from db.sources import Source

FEW = 5

_LISTS = {name for name, field in SourceConfig.model_fields.items() if get_origin(field.annotation) is list}


class Command(IndexCommand):
    """Add, list, show, enable and disable sources."""

    def syntax(self) -> str:
        return "[options] add <url> | list | show <source> | enable <source> | disable <source>"

    def short_desc(self) -> str:
        return "Add, list, show, enable or disable sources"

    def long_desc(self) -> str:
        settings = "\n".join(
            f"  {name:<12} {field.description}; default {_shown(field.default)}"
            for name, field in SourceConfig.model_fields.items()
        )
        return (
            "A source is a site that is crawled. It is named by its slug, its domain or its id, exactly.\n"
            "\n"
            "  scrapy sources add https://example.org/\n"
            "  scrapy sources add https://example.org/ --slug example --set max_pages=500 \\\n"
            "      --set deny=/login --set deny=/search\n"
            "  scrapy sources list\n"
            "  scrapy sources show example\n"
            "  scrapy sources disable example\n"
            "\n"
            "Adding a site that is known already changes nothing. Enabling a source clears its failures and its "
            "backoff.\n"
            "\n"
            "Settings of a source, each as --set NAME=VALUE; allow and deny take one pattern each time:\n"
            f"{settings}\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        group = parser.add_argument_group("options of add")
        group.add_argument("--slug", metavar="SLUG", help="name of the source (default made from the domain)")
        group.add_argument("--spider", metavar="KIND", help="kind of source (default website)")
        group.add_argument(
            "--set",
            dest="source_settings",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a setting of the source (may be repeated); Scrapy's own settings go with -s",
        )
        group.add_argument("--disabled", action="store_true", help="add it without enabling it")

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        actions = {"add": self._add, "list": self._list, "show": self._show, "enable": self._set, "disable": self._set}
        action, *names = words or [""]
        if action not in actions:
            msg = f"say what to do: {', '.join(actions)}"
            raise UsageError(msg, print_help=False)
        if len(names) != (action != "list"):
            wanted = {"add": "takes one URL", "list": "takes no name"}.get(action, "takes the name of one source")
            msg = f"sources {action} {wanted}"
            raise UsageError(msg, print_help=False)
        if action != "add" and (opts.slug or opts.spider or opts.source_settings or opts.disabled):
            msg = "--slug, --spider, --set and --disabled go with `sources add`"
            raise UsageError(msg, print_help=False)
        await actions[action](words, opts)
        return 0

    async def _add(self, words: list[str], opts: argparse.Namespace) -> None:
        config = parse_settings(opts.source_settings)
        SourceConfig.parse(config)
        kind = opts.spider or "website"
        kinds = [
            *KINDS,
            *(name for name in SpiderLoader.from_settings(self.project_settings).list() if name not in KINDS),
        ]
        if kind not in kinds:
            msg = f"there is no kind of source {kind!r}. There is: {', '.join(kinds)}"
            raise InvalidSource(msg)
        async with self.database() as connection:
            source, is_new = await sources.add(
                connection, words[1], slug=opts.slug, spider=kind, config=config, enabled=not opts.disabled
            )
        if self.as_json:
            self.print_json({**asdict(source), "added": is_new})
        elif is_new:
            self.say(f"added {source.slug} ({source.start_url}). Crawl it: scrapy crawl {source.slug}")
        else:
            self.say(f"already known as {source.slug} ({source.start_url}); nothing was changed")

    async def _list(self, words: list[str], opts: argparse.Namespace) -> None:
        async with self.database() as connection:
            states = await overview.sources(connection)
        if self.as_json:
            self.print_json(states)
            return
        if not states:
            self.say("There are no sources yet. Add one: scrapy sources add https://example.org/")
            return
        table = plain_table("source", "start URL", "kind", "state", "pages", "last success", right=["pages"])
        for state in states:
            table.add_row(
                state.slug,
                state.start_url,
                state.spider,
                standing(state),
                f"{state.pages:,}",
                ago(state.last_success_at),
            )
        self.console.print(table)

    async def _show(self, words: list[str], opts: argparse.Namespace) -> None:
        async with self.database() as connection:
            source = await sources.get(connection, words[1])
            counts = await overview.counts(connection, source.id)
            runs = await jobs.recent(connection, slug=source.slug, limit=FEW)
            failed = await overview.failed_pages(connection, source.id, limit=FEW)
            records = await signals.of_source(connection, source.id)
            intervals = await overview.check_intervals(connection, source.id)
        needed = whole_number(self.project_settings, "LCL_TRUST_AFTER", 1, 10**6)
        told = [_told(records.get(signal, signals.Record(signal)), needed) for signal in Signal]
        if self.as_json:
            self.print_json(
                {
                    **asdict(source),
                    **asdict(counts),
                    "signals": told,
                    "check_intervals": intervals,
                    "runs": runs,
                    "failed": failed,
                }
            )
            return
        for name, value in _facts(source, counts).items():
            self.say(f"{name:<13} {value}")
        if intervals.pages:
            shortest, median, longest = (lasting(each) for each in (intervals.least, intervals.median, intervals.most))
            self.say(f"{'checked':<13} a page every {shortest} to {longest}, half of them within {median}")
        self.say("\nsignals")
        for each in told:
            self.say(f"  {each['signal']:<16} {_standing(each)}")
        if runs:
            self.say("\nlast runs")
            for run in runs:
                why = f": {run.error}" if run.error else ""
                self.say(f"  {ago(run.started_at):<12} {run.status} ({run.finish_reason or 'no end yet'}){why}")
        if failed:
            self.say(f"\nfailed pages ({min(FEW, len(failed))} of {counts.failed_pages}; scrapy status {source.slug})")
            for page in failed:
                self.say(f"  {page.url}  {page.kind}, {page.attempts} attempts, next {ago(page.next_retry_at)}")

    async def _set(self, words: list[str], opts: argparse.Namespace) -> None:
        enabled = words[0] == "enable"
        async with self.database() as connection:
            source = await _switched(connection, words[1], enabled=enabled)
        if self.as_json:
            self.print_json(source)
        elif enabled:
            self.say(f"enabled {source.slug}; its failures and backoff are cleared")
        else:
            self.say(f"disabled {source.slug}; its pages stay, and `scrapy crawl {source.slug}` still works")


def parse_settings(given: list[str]) -> dict[str, Any]:
    """Return `NAME=VALUE` words as a source's settings: values are JSON where they can be, text otherwise.

    A setting that is a list grows with each word. Raises `UsageError` for a word without a name.
    """
    settings: dict[str, Any] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals or not name:
            msg = f"--set {word!r}: give NAME=VALUE"
            raise UsageError(msg, print_help=False)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if name in _LISTS:
            # A pattern such as [0-9] or 2024 may be JSON by accident: only a list of texts is meant as one.
            is_list = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
            settings.setdefault(name, []).extend(value if is_list else [value if isinstance(value, str) else text])
        else:
            settings[name] = value
    return settings


def standing(source: Source | overview.SourceState) -> str:
    """Return in a few words whether a source is crawled."""
    if not source.enabled:
        return "disabled"
    if source.auto_disabled:
        return "disabled after failures"
    if source.backoff_until is not None and (wait := ago(source.backoff_until)).startswith("in "):
        return f"waits, again {wait}"
    return "enabled"


def _told(record: signals.Record, needed: int) -> dict[str, Any]:
    return {
        **asdict(record),
        "believed": is_earned(record, needed),
        "runs_needed": runs_needed(record, needed),
    }


def _standing(told: dict[str, Any]) -> str:
    """Return in a few words what a signal of a source is worth."""
    agreed, needed = told["agreed_runs"], told["runs_needed"]
    standing = "believed" if told["believed"] else "not believed"
    standing += f", {agreed:,} runs without a lie (it takes {needed:,})"
    if told["lies"]:
        standing += f"; lied {told['lies']:,} times, last {ago(told['revoked_at'])} of {told['last_lie_url']}"
    elif not told["agreed_runs"]:
        standing = "nothing known: no page was seen to keep it"
    return standing


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


async def _switched(connection: Connection, name: str, *, enabled: bool) -> Source:
    source = await sources.get(connection, name)
    await sources.set_enabled(connection, source.id, enabled=enabled)
    return await sources.get(connection, str(source.id))


def _facts(source: Source, counts: overview.Counts) -> dict[str, str]:
    return {
        "source": source.slug,
        "id": str(source.id),
        "start URL": source.start_url,
        "domain": source.domain,
        "kind": source.spider,
        "state": standing(source),
        "failures": f"{source.consecutive_failures} in a row",
        "refreshed": f"every {lasting(source.refresh_interval)}",
        "last run": ago(source.last_run_at),
        "last success": ago(source.last_success_at),
        "pages": f"{counts.pages:,} in {counts.chunks:,} chunks",
        "failed": f"{counts.failed_pages:,}",
        "gone": f"{counts.tombstones:,}",
        **_settings(source),
    }


def _settings(source: Source) -> dict[str, str]:
    try:
        effective = SourceConfig.parse(source.config)
    except InvalidSource as error:
        return {"settings": f"not valid: {error}"}
    return {
        name: f"{_shown(value)}{'' if name in source.config else ' (default)'}"
        for name, value in effective.model_dump().items()
    }
