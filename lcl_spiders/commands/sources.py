"""`scrapy sources`: the sites that are crawled, and how."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import UsageError
from scrapy.spiderloader import SpiderLoader

from db import boilerplate, jobs, overview, signals, source_edits, sources
from lcl_spiders.base_spiders import KINDS
from lcl_spiders.console import CommandFailed, IndexCommand, ago, lasting, plain_table
from lcl_spiders.sources import arguments, edit, file, plan, shown
from lcl_spiders.sources.entry import SourceEntry, field_table, written_fields
from lcl_spiders.sources.words import parse_edits, parse_settings
from pipelines.numbers import whole_number
from pipelines.trust import Signal

if TYPE_CHECKING:
    from db.sources import Source

FEW = 5


class Command(IndexCommand):
    """Add, list, change and remove sources, one by one or by a file."""

    def syntax(self) -> str:
        return "[options] " + " | ".join(f"{action} {words}".strip() for action, words in arguments.WORDS.items())

    def short_desc(self) -> str:
        return "Add, list, change, review and remove sources, or make them match a file"

    def long_desc(self) -> str:
        return arguments.describe()

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        arguments.add(parser)

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        action, *names = words or [""]
        arguments.check(action, names, opts)
        try:
            await getattr(self, f"_{action}")(names, opts)
        except file.WrongFile as error:
            for line in error.lines:
                self.complain(line)
            self.complain("nothing was changed")
            return 1
        return 0

    @property
    def _kinds(self) -> list[str]:
        """What a source's spider may be: the kinds, and the names of the spiders in code."""
        return list(dict.fromkeys([*KINDS, *SpiderLoader.from_settings(self.project_settings).list()]))

    async def _add(self, names: list[str], opts: argparse.Namespace) -> None:
        given = parse_settings(opts.source_settings or [])
        if opts.spider:
            given["spider"] = opts.spider
        if opts.disabled:
            given["enabled"] = False
        entry = SourceEntry.checked({**given, "url": names[0]}, self._kinds)
        async with self.database() as connection:
            source, is_new = await sources.add(
                connection,
                entry.url,
                slug=opts.slug or entry.slug,
                spider=entry.spider,
                config=entry.settings,
                enabled=entry.enabled,
                priority=entry.priority,
                refresh_interval=entry.refresh_interval,
            )
        if self.as_json:
            self.print_json({**asdict(source), "added": is_new})
        elif is_new:
            self.say(f"added {source.slug} ({source.start_url}). Crawl it: scrapy crawl {source.slug}")
        else:
            self.say(f"already known as {source.slug} ({source.start_url}); nothing was changed")

    async def _list(self, names: list[str], opts: argparse.Namespace) -> None:
        limit = opts.limit or (None if self.as_json else arguments.SHOWN)
        one_more = None if limit is None else limit + 1
        async with self.database() as connection:
            states = await overview.sources(connection, kind=opts.kind, state=opts.state, limit=one_more)
        if self.as_json:
            self.print_json(states[:limit])
        elif states:
            self.console.print(shown.source_table(states[:limit]))
            if limit is not None and len(states) > limit:
                self.say(f"\nThese are the first {limit:,}: --limit N shows more, --kind and --state choose.")
        elif opts.kind or opts.state:
            self.say("There is no such source.")
        else:
            self.say("There are no sources yet. Add one: scrapy sources add https://example.org/")

    async def _show(self, names: list[str], opts: argparse.Namespace) -> None:
        async with self.database() as connection:
            source = await sources.get(connection, names[0])
            (state,) = await overview.sources(connection, source_id=source.id)
            counts = await overview.counts(connection, source.id)
            runs = await jobs.recent(connection, slug=source.slug, limit=FEW)
            failed = await overview.failed_pages(connection, source.id, limit=FEW)
            records = await signals.of_source(connection, source.id)
            intervals = await overview.check_intervals(connection, source.id)
            kinds = await boilerplate.kinds(connection, source.id)
            learned = await boilerplate.learned(connection, source.id)
        needed = whole_number(self.project_settings, "LCL_TRUST_AFTER", 1, 10**6)
        told = [shown.signal_told(records.get(signal, signals.Record(signal)), needed) for signal in Signal]
        if self.as_json:
            self.print_json(
                {
                    **asdict(source),
                    **asdict(counts),
                    "state": state.state,
                    "is_empty": state.is_empty,
                    "signals": told,
                    "check_intervals": intervals,
                    "kinds": shown.kinds_json(kinds),
                    "boilerplate": [shown.learned_json(each) for each in learned],
                    "runs": runs,
                    "failed": failed,
                }
            )
            return
        for name, value in shown.facts(source, state, counts, dt.datetime.now(dt.UTC)).items():
            self.say(f"{name:<13} {value}")
        if intervals.pages:
            shortest, median, longest = (lasting(each) for each in (intervals.least, intervals.median, intervals.most))
            self.say(f"{'checked':<13} a page every {shortest} to {longest}, half of them within {median}")
        if kinds:
            self.say(f"{'kinds':<13} {shown.kinds_told(kinds)}")
        self.say("\nsignals")
        for each in told:
            self.say(f"  {each['signal']:<16} {shown.signal_standing(each)}")
        if learned:
            self.say("\nboilerplate, left out of pages")
            for learnt in learned:
                self.say(f"  {shown.learned_told(learnt)}")
        if runs:
            self.say("\nlast runs")
            for run in runs:
                why = f": {run.error}" if run.error else ""
                self.say(f"  {ago(run.started_at):<12} {run.status} ({run.finish_reason or 'no end yet'}){why}")
        if failed:
            self.say(f"\nfailed pages ({min(FEW, len(failed))} of {counts.failed_pages}; scrapy status {source.slug})")
            for page in failed:
                self.say(f"  {page.url}  {page.kind}, {page.attempts} attempts, next {ago(page.next_retry_at)}")

    async def _enable(self, names: list[str], opts: argparse.Namespace) -> None:
        source = await self._switch(names[0], enabled=True)
        self._tell(source, f"enabled {source.slug}; its failures and backoff are cleared")

    async def _disable(self, names: list[str], opts: argparse.Namespace) -> None:
        source = await self._switch(names[0], enabled=False)
        self._tell(source, f"disabled {source.slug}; its pages stay, and `scrapy crawl {source.slug}` still works")

    async def _switch(self, name: str, *, enabled: bool) -> Source:
        async with self.database() as connection:
            source = await sources.get(connection, name)
            await sources.set_enabled(connection, source.id, enabled=enabled)
            return await sources.get(connection, str(source.id))

    async def _set(self, names: list[str], opts: argparse.Namespace) -> None:
        fields, emptied = parse_edits(names[1:])
        emptied |= set(opts.unset or [])
        if not fields and not emptied:
            msg = f"sources set takes {arguments.WORDS['set']}"
            raise UsageError(msg, print_help=False)
        async with self.database() as connection:
            source = await sources.get(connection, names[0])
            changed = await edit.change(connection, source, fields, emptied, self._kinds)
        if self.as_json:
            self.print_json(
                {"slug": source.slug, "changed": {name: {"before": b, "after": a} for name, (b, a) in changed.items()}}
            )
            return
        for line in shown.changes(changed):
            self.say(f"{source.slug}: {line}")
        if not changed:
            self.say(f"{source.slug}: it is so already; nothing was changed")

    async def _remove(self, names: list[str], opts: argparse.Namespace) -> None:
        async with self.database() as connection:
            source = await sources.get(connection, names[0])
            counts = await overview.counts(connection, source.id)
            what = f"{source.slug} ({source.start_url}) with {counts.pages:,} pages in {counts.chunks:,} chunks"
            if not opts.yes and not self.agrees(f"Remove {what}? There is no way back. [y/N] "):
                msg = f"nothing was removed: this would remove {what}. Say --yes if that is meant"
                raise CommandFailed(msg)
            url = await asyncio.to_thread(self.config.database.resolve)
            await source_edits.remove(connection, source, self.config.lock_database_url or url)
        self._tell({"removed": source.slug, **asdict(counts)}, f"removed {what}")

    async def _sync(self, names: list[str], opts: argparse.Namespace) -> None:
        wanted = file.read(Path(names[0]), self._kinds)
        async with self.database() as connection:
            made = await edit.synchronise(connection, wanted, prune=opts.prune, dry_run=opts.dry_run)
        if self.as_json:
            self.print_json(shown.plan_json(made, prune=opts.prune, dry_run=opts.dry_run))
            return
        for line in shown.plan_lines(made, prune=opts.prune):
            self.say(line)
        counted = f"{len(made.added):,} added, {len(made.changed):,} changed, {len(made.unchanged):,} unchanged"
        ending = f", {len(made.pruned):,} disabled" if opts.prune else f", {len(made.missing):,} not in the file"
        self.say(f"{'this would be: ' if opts.dry_run else ''}{counted}{ending}")

    async def _export(self, names: list[str], opts: argparse.Namespace) -> None:
        async with self.database() as connection:
            stored = [each for each in await sources.list_all(connection) if not plan.is_candidate(each)]
        written = [(source.slug, written_fields(source)) for source in stored]
        if self.as_json:
            self.print_json(dict(written))
        else:
            sys.stdout.write(file.write(written))

    async def _review(self, names: list[str], opts: argparse.Namespace) -> None:
        if names:
            await self._review_one(names[0], reject=opts.reject)
            return
        if opts.reject:
            msg = "--reject takes the name of one source"
            raise UsageError(msg, print_help=False)
        async with self.database() as connection:
            waiting = await source_edits.waiting_for_review(connection, limit=opts.limit)
        if self.as_json:
            self.print_json(waiting)
        elif waiting:
            self.console.print(shown.review_table(waiting))
            self.say("\nThe evidence: scrapy sources review <source>. Then `sources enable`, or `review --reject`.")
        else:
            self.say("No source waits for review. `scrapy discover` looks for new ones.")

    async def _review_one(self, name: str, *, reject: bool) -> None:
        async with self.database() as connection:
            source = await sources.get(connection, name)
            if source.discovery is None:
                msg = f"{source.slug} was added by hand: there is no evidence to review"
                raise CommandFailed(msg)
            if reject:
                if source.enabled:
                    msg = f"{source.slug} is enabled already: `scrapy sources disable {source.slug}` takes it out"
                    raise CommandFailed(msg)
                await source_edits.reject(connection, source.id)
                source = await sources.get(connection, str(source.id))
        if self.as_json:
            self.print_json(source)
        elif reject:
            self.say(f"rejected {source.slug}; it stays known, disabled. `scrapy sources enable` takes that back")
        else:
            discovery = source.discovery or {}
            self.say(f"{source.slug}  {source.start_url}  ({source.spider})")
            self.say(shown.scored(discovery))
            self.console.print(shown.evidence_table(discovery))

    async def _schema(self, names: list[str], opts: argparse.Namespace) -> None:
        if self.as_json:
            self.print_json(SourceEntry.model_json_schema())
            return
        table = plain_table("field", "default", "what it says")
        for row in field_table():
            table.add_row(*row)
        self.console.print(table)

    def _tell(self, value: Any, sentence: str) -> None:
        if self.as_json:
            self.print_json(value)
        else:
            self.say(sentence)
