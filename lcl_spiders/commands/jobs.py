"""`scrapy jobs`: the runs that wait, are at work or have ended, and what can be done about them."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import UUID

from rich.console import Console
from rich.live import Live
from scrapy.exceptions import UsageError

from db import history, jobs, sources
from db.errors import SourceNotFound
from lcl_spiders.console import CommandFailed, IndexCommand, ago, lasting, plain_table, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.connection import Connection
    from db.jobs import Job
    from db.sources import Source

STATUSES = ("queued", "running", "succeeded", "failed", "skipped")
LOOK_EVERY = 1.0  # seconds
TOLD_EVERY = 10  # looks between two lines where nobody sits at a terminal


class Command(IndexCommand):
    """List, watch, cancel and retry runs, and delete old records of them."""

    def syntax(self) -> str:
        return "[options] [list [<source>] | watch | cancel <job or source> … | retry <job or source> … | prune]"

    def short_desc(self) -> str:
        return "List, watch, cancel and retry runs"

    def long_desc(self) -> str:
        return (
            "A job is one run of one source. Name jobs by their id, sources by their slug, domain or id."
            "\n"
            "\n"
            "  scrapy jobs                         the newest runs\n"
            "  scrapy jobs list example --status failed --limit 50\n"
            "  scrapy jobs watch                   the runs at work, until there are none; --json: a line a second\n"
            "  scrapy jobs cancel example          what waits is taken from the queue, what runs ends within seconds\n"
            "  scrapy jobs cancel --all\n"
            "  scrapy jobs retry 0f8fad5b-d9cb-469f-a165-70867728950e    once more, with the same arguments\n"
            "  scrapy jobs retry --failed          every source whose newest run failed\n"
            "  scrapy jobs prune                   delete old records (LCL_KEEP_JOBS_DAYS, 90), as workers do daily\n"
            "  scrapy jobs prune --older-than 30\n"
            "\n"
            "The newest records of a source stay however old they are, and those that its usual yield is told from. "
            "A retried job waits in the queue: running workers take it, or the next `scrapy refresh`.\n"
            "Exit code: 0 when something was done or listed, 1 when there was nothing to cancel or to retry.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--status", choices=STATUSES, help="list only these")
        parser.add_argument(
            "--limit", type=whole_number(1, 10_000), default=20, metavar="N", help="most runs to list (default 20)"
        )
        parser.add_argument(
            "--older-than", type=whole_number(1, 36_500), metavar="DAYS", help="prune: instead of LCL_KEEP_JOBS_DAYS"
        )
        parser.add_argument("--all", action="store_true", help="cancel: everything that waits or runs")
        parser.add_argument("--failed", action="store_true", help="retry: every source whose newest run failed")
        parser.add_argument(
            "--priority",
            type=whole_number(-1000, 1000),
            metavar="N",
            help="retry: instead of the job's own; higher first, -1000 to 1000",
        )

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        actions = {
            "list": self._list,
            "watch": self._watch,
            "cancel": self._cancel,
            "retry": self._retry,
            "prune": self._prune,
        }
        action, *names = words or ["list"]
        if action not in actions:
            msg = f"say what to do: {', '.join(actions)}"
            raise UsageError(msg, print_help=False)
        async with self.database() as connection:
            return await actions[action](connection, names, opts)

    async def _list(self, connection: Connection, names: Sequence[str], opts: argparse.Namespace) -> int:
        if len(names) > 1:
            msg = "jobs list takes the name of one source, or none"
            raise UsageError(msg, print_help=False)
        slug = (await sources.get(connection, names[0])).slug if names else None
        found = await jobs.recent(connection, slug=slug, status=opts.status, limit=opts.limit)
        if self.as_json:
            self.print_json(found)
            return 0
        if not found:
            self.say("there are no such runs; `scrapy refresh` and `scrapy crawl <source>` make some")
            return 0
        table = plain_table("job", "source", "status", "reason", "trigger", "prio", "try", "queued", "took", "worker")
        for job in found:
            took = (job.completed_at - job.started_at) if job.completed_at and job.started_at else None
            table.add_row(
                str(job.id),
                job.slug,
                job.status,
                job.finish_reason or "",
                job.trigger,
                str(job.priority),
                str(job.attempt),
                ago(job.queued_at),
                lasting(took),
                job.worker or "",
            )
        self.console.print(table)
        return 0

    async def _watch(self, connection: Connection, names: Sequence[str], opts: argparse.Namespace) -> int:
        # All commands are imported at each start of any; the queue's library takes a fifth of a second.
        from db import queue  # noqa: PLC0415 - see above
        from lcl_spiders.fleet.display import as_table  # noqa: PLC0415 - see above

        if names:
            msg = "jobs watch takes no names: it shows all runs"
            raise UsageError(msg, print_help=False)
        console = Console(markup=False, highlight=False, emoji=False)
        looks = 0
        with (
            Live(console=console, auto_refresh=False, transient=True)
            if console.is_terminal and not self.as_json
            else nullcontext() as live
        ):
            while True:
                running, waiting = await queue.running(connection), await queue.count_waiting(connection)
                if self.as_json:
                    self.print_json_line({"at": dt.datetime.now(dt.UTC), "waiting": waiting, "running": running})
                if not running and not waiting:
                    break
                if isinstance(live, Live):
                    table = as_table(running[: max(1, console.height - 3)])
                    table.caption = f"{len(running):,} at work, {waiting:,} waiting"
                    live.update(table, refresh=True)
                elif not self.as_json and looks % TOLD_EVERY == 0:
                    self.say(f"{time.strftime('%H:%M:%S')} {len(running):,} at work, {waiting:,} waiting")
                looks += 1
                await asyncio.sleep(LOOK_EVERY)  # the rhythm of the looks
        if not self.as_json:
            self.say("nothing is queued or running")
        return 0

    async def _cancel(self, connection: Connection, names: Sequence[str], opts: argparse.Namespace) -> int:
        from db import queue  # noqa: PLC0415 - see _watch

        if bool(names) == opts.all:
            msg = "jobs cancel takes jobs or sources, or --all"
            raise UsageError(msg, print_help=False)
        wanted: list[UUID] = await queue.open_jobs(connection) if opts.all else []
        for name in names:
            job = await self._job(connection, name)
            wanted += [job.id] if job else await queue.open_jobs(connection, (await self._source(connection, name)).id)
        taken, told = await queue.cancel(connection, wanted)
        if self.as_json:
            self.print_json({"cancelled": taken, "ending": told})
        elif not taken and not told:
            self.complain("nothing was cancelled: none of these waits or runs")
        else:
            self.say(f"{len(taken):,} taken from the queue, {len(told):,} told to end; what they did is kept")
        return int(not taken and not told)

    async def _retry(self, connection: Connection, names: Sequence[str], opts: argparse.Namespace) -> int:
        from db import queue  # noqa: PLC0415 - see _watch

        if bool(names) == opts.failed:
            msg = "jobs retry takes jobs or sources, or --failed"
            raise UsageError(msg, print_help=False)
        queued: list[UUID] = []
        if opts.failed:
            names = [str(source_id) for source_id in await queue.failed_sources(connection)]
        for name in names:
            job = await self._job(connection, name) or await self._newest(connection, name)
            if job.status in {"queued", "running"}:
                msg = f"the job {job.id} of {job.slug} has not ended: it is {job.status}"
                raise CommandFailed(msg)
            source = await sources.get(connection, job.slug)
            if not source.enabled:
                self.complain(f"{source.slug} is left out: it is disabled. scrapy sources enable {source.slug}")
                continue
            priority = job.priority if opts.priority is None else opts.priority
            args = {name: value for name, value in job.args.items() if value is not None}
            queued += await queue.enqueue(connection, [source.id], trigger="queue", args=args, priority=priority)
        if self.as_json:
            self.print_json({"queued": queued})
        elif queued:
            self.say(f"{len(queued):,} queued: " + ", ".join(str(job_id) for job_id in queued[:5]))
        else:
            self.complain("nothing was queued: there is nothing to retry, or it waits in the queue already")
        return int(not queued)

    async def _prune(self, connection: Connection, names: Sequence[str], opts: argparse.Namespace) -> int:
        from lcl_spiders.fleet.config import keep_jobs_days  # noqa: PLC0415 - see _watch

        if names:
            msg = "jobs prune takes no names"
            raise UsageError(msg, print_help=False)
        try:
            days = opts.older_than or keep_jobs_days(self.project_settings)
        except ValueError as error:
            raise CommandFailed(str(error)) from None
        if not days:
            msg = "LCL_KEEP_JOBS_DAYS is 0, which keeps all records; say which are too old: --older-than DAYS"
            raise CommandFailed(msg)
        deleted, place = await history.thin(connection, dt.timedelta(days=days))
        while place is not None:
            gone, place = await history.thin(connection, dt.timedelta(days=days), place)
            deleted += gone
        if self.as_json:
            self.print_json({"deleted": deleted, "older_than_days": days})
        else:
            self.say(f"{deleted:,} records of runs older than {days:,} days deleted")
        return 0

    async def _source(self, connection: Connection, name: str) -> Source:
        """Return the source of this name, which is no job's."""
        try:
            return await sources.get(connection, name)
        except SourceNotFound:
            if _is_id(name):
                msg = f"there is no job and no source with the id {name}: `scrapy jobs` lists the newest jobs"
                raise CommandFailed(msg) from None
            raise

    async def _job(self, connection: Connection, name: str) -> Job | None:
        """Return the job with this id, None when the name is no job's."""
        found = await jobs.recent(connection, job_id=UUID(name), limit=1) if _is_id(name) else []
        return found[0] if found else None

    async def _newest(self, connection: Connection, name: str) -> Job:
        source = await self._source(connection, name)
        found = await jobs.recent(connection, slug=source.slug, limit=1)
        if not found:
            msg = f"{source.slug} has never run: scrapy refresh {source.slug}"
            raise CommandFailed(msg)
        return found[0]


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True
