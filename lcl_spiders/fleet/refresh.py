"""One refresh: what it queues, how it is watched, what is told of it at the end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections import Counter
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from db import queue, recovery, sources
from lcl_spiders import ledger
from lcl_spiders.console import PIPED_WIDTH, CommandFailed, lasting
from lcl_spiders.extensions.summary import summarise
from lcl_spiders.extensions.verdict import EXIT_BUSY
from lcl_spiders.fleet.coordinator import Coordinator, WorkersFailed
from lcl_spiders.fleet.display import as_line, as_screen

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from uuid import UUID

    from db.connection import Connection
    from db.queue import Outcome
    from lcl_spiders.console import IndexCommand
    from lcl_spiders.fleet.config import FleetConfig
    from lcl_spiders.fleet.coordinator import Progress
    from pipelines.runtime import Runtime

TOLD_EVERY = 10.0  # seconds between two lines where nobody sits at a terminal
INTERRUPTED = 130


class Refresh:
    """A refresh for a command that tells of it: first `queue`, then `watch` or `tell_queued`."""

    def __init__(
        self, command: IndexCommand, runtime: Runtime, fleet: FleetConfig, *, worker_options: Sequence[str]
    ) -> None:
        self._command = command
        self._runtime = runtime
        self._fleet = fleet
        self._options = list(worker_options)
        self._asked: list[UUID] = []
        self._queued = 0
        self._obstacles: list[str] = []
        self._since: dt.datetime

    async def queue(self, names: Sequence[str], args: dict[str, Any], priority: int | None) -> None:
        """Queue the named sources, or all that are due, and what dead workers left.

        Raises `SourceNotFound` or `AmbiguousSource`, and queues nothing then.
        """
        await self._runtime.use_connection(lambda connection: self._queue(connection, names, args, priority))
        for obstacle in self._obstacles:
            self._command.complain(obstacle)
        if (args or priority is not None) and (known := self._known):
            self._command.complain(
                f"{known:,} sources were in the queue already, and keep their arguments and priority"
            )

    async def _queue(
        self, connection: Connection, names: Sequence[str], args: dict[str, Any], priority: int | None
    ) -> None:
        self._since = await queue.now(connection)
        await recovery.recover(connection, self._fleet.silence)
        if names:
            named = [(await sources.get(connection, name)).id for name in names]
            found = await queue.availability(connection, named)
            self._obstacles = [f"{each.slug} is left out: {each.obstacle}" for each in found if each.obstacle]
            wanted = [each.id for each in found if not each.obstacle]
            self._asked = wanted
        else:
            wanted = await queue.due(connection)
            self._asked = list(dict.fromkeys([*wanted, *await queue.open_sources(connection)]))
        queued = await queue.enqueue(connection, wanted, trigger="queue", args=args, priority=priority)
        self._queued = len(queued)

    @property
    def _known(self) -> int:
        """How many of the sources were in the queue already."""
        return len(self._asked) - self._queued

    def _told_queued(self) -> str:
        return f"{self._queued:,} sources queued" + (f", {self._known:,} were already" if self._known else "")

    def tell_queued(self) -> int:
        """Tell what was queued, and return the exit code."""
        if self._command.as_json:
            self._tell([], 0.0)
        elif not self._asked:
            self._command.say("nothing is due; `scrapy status` shows when each source last succeeded")
        else:
            self._command.say(f"{self._told_queued()}. Workers take them; start one: scrapy worker")
        return int(bool(self._obstacles))

    async def watch(self) -> int:
        """Start workers, show them at work until every source has ended, and return the exit code.

        Raises `CommandFailed` when no worker can work.
        """
        if not self._asked:
            return self.tell_queued()
        console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        console.print(self._told_queued())
        options = self._options
        if console.is_terminal and "LCL_LOG_LEVEL" not in os.environ:
            options = ["-s", "LOG_LEVEL=WARNING", *options]
        coordinator = Coordinator(
            self._runtime,
            self._fleet,
            self._asked,
            worker_options=options,
            say=lambda line: console.print(line, soft_wrap=True),
        )
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s: %(message)s")
        began = time.monotonic()
        interrupted = _stop_on_signals(coordinator)
        trouble = None
        with _Screen(console, began) as show:
            try:
                await coordinator.watch(show)
            except WorkersFailed as error:
                trouble = str(error)
        outcomes = await self._runtime.use_connection(
            lambda connection: queue.outcomes(connection, self._asked, self._since)
        )
        self._tell(outcomes, time.monotonic() - began)
        if trouble is not None:
            raise CommandFailed(trouble)
        if interrupted.is_set():
            self._command.complain("interrupted; what was queued stays queued, and the next refresh or worker goes on")
            return INTERRUPTED
        bad = [outcome for outcome in outcomes if outcome.status != "succeeded"]
        if self._obstacles or any(outcome.finish_reason != "domain_locked" for outcome in bad):
            return 1
        return EXIT_BUSY if bad else 0

    def _tell(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        by_status = Counter(outcome.status for outcome in outcomes)
        summed: Counter[str] = Counter()
        for outcome in outcomes:
            numbers = {name: value for name, value in outcome.stats.items() if isinstance(value, int)}
            numbers.pop("start/milliseconds", None)  # a sum of these says nothing
            summed.update(numbers)
        bad = [outcome for outcome in outcomes if outcome.status in {"failed", "skipped"}]
        if self._command.as_json:
            told = [
                {"source": each.slug, "status": each.status, "reason": each.finish_reason, "error": each.error}
                for each in bad
            ]
            self._command.print_json(
                {
                    "queued": self._queued,
                    "already_queued": self._known,
                    "seconds": round(seconds, 1),
                    "succeeded": by_status["succeeded"],
                    "failed": [each for each in told if each["status"] == "failed"],
                    "skipped": [each for each in told if each["status"] == "skipped"],
                    "unfinished": by_status["queued"] + by_status["running"],
                    "stats": dict(sorted(summed.items())),
                }
            )
            return
        for each in bad:
            self._command.say(
                f"{each.slug}: {each.status} ({each.finish_reason}): {each.error or 'no reason is known'}"
            )
        counts = ", ".join(f"{count:,} {status}" for status, count in sorted(by_status.items(), reverse=True))
        rate = f"{by_status['succeeded'] / seconds * 60:,.0f} sources a minute" if seconds else ""
        price = ledger.price(self._command.project_settings)
        self._command.say(f"{counts} in {lasting(seconds)} ({rate}): {summarise(summed, price)}")
        if lines := ledger.rows(summed, price):
            self._command.console.print(ledger.as_table(lines, price))


class _Screen(AbstractContextManager["_Screen"]):
    """Shows progress: a live table to a person at a terminal, otherwise a line now and then."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began
        self._told = began
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> _Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._live is not None:
            self._live.update(as_screen(progress, now - self._began, self._console.height), refresh=True)
        elif now - self._told >= TOLD_EVERY:
            self._told = now
            self._console.print(as_line(progress, now - self._began), width=PIPED_WIDTH, soft_wrap=True)


def _stop_on_signals(coordinator: Coordinator) -> asyncio.Event:
    """End a refresh in order on SIGINT or SIGTERM; the returned event says that it was."""
    interrupted = asyncio.Event()

    def stop() -> None:
        interrupted.set()
        coordinator.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return interrupted
