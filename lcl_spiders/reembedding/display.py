"""What a person sees of a model that is being built: pages covered, pages a second, how long it will take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lcl_spiders.console import lasting

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

    from pipelines.reembedding.build import Progress as Built
    from pipelines.reembedding.by_batch import Recorded

LINE_EVERY = 10.0  # seconds, where there is no terminal


class Display:
    """Shows progress while it is entered: a bar on a terminal, otherwise a line now and then.

    `total` is how many pages there are to do, as far as is known.
    """

    def __init__(self, console: Console, *, is_silent: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self._console = console
        self._is_silent = is_silent
        self._bar: Progress | None = None
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self._told = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Show nothing until there is progress again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._first = None

    def progress(self, built: Built) -> None:
        """Show how far a build is."""
        texts = f"{built.embedded:,} texts embedded"
        self._show("covering pages", built.pages + built.refused, f"{texts}, {built.refused:,} pages refused")

    def recorded(self, so_far: Recorded) -> None:
        """Show how far the texts of a model are recorded for batches."""
        self._show("recording pages", so_far.pages, f"{so_far.texts:,} texts wait for batches")

    def settled(self, done: int, total: int) -> None:
        """Show how far the pages are brought up to date after a switch."""
        self.total = total
        self._show("settling pages", done, "")

    def freed(self, done: int, total: int) -> None:
        """Show how far the deletion of a model's rows is."""
        self.total = total
        self._show("freeing pages", done, "")

    def _show(self, what: str, done: int, more: str) -> None:
        if self._is_silent:
            return
        now, total = self._clock(), max(self.total, done)
        if self._first is None:
            self._first, self._told = (now, done), now
        if self._console.is_terminal:
            self._draw(what, done, total, more)
        elif now - self._told >= LINE_EVERY:
            self._told = now
            began, before = self._first
            rate = (done - before) / (now - began)
            left = f", {lasting((total - done) / rate)} left" if rate else ""
            line = f"{what}: {done:,} of {total:,}, {rate:,.0f} a second{left}{f'; {more}' if more else ''}"
            self._console.print(line, soft_wrap=True)

    def _draw(self, what: str, done: int, total: int, more: str) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[more]}"),
                console=self._console,
                transient=True,
            )
            self._bar.add_task(what, total=total, rate="", more="")
            self._bar.start()
        task = self._bar.tasks[0]
        rate = f"{task.speed:,.0f}/s" if task.speed else ""
        self._bar.update(task.id, description=what, completed=done, total=total, rate=rate, more=more)
