"""What a person sees of runs at work: a row for each, and how far all of them have come."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from db.jobs import PRESENT
from lcl_spiders.console import lasting, plain_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from db.queue import Running
    from lcl_spiders.fleet.coordinator import Progress

BAR = 40


def pages_done(stats: Mapping[str, int]) -> int:
    """Return how many pages a run has answered for: present, gone or failed."""
    return sum(int(stats.get(name, 0)) for name in (*PRESENT, "pages/gone", "pages/unknown", "pages/failed"))


def as_table(runs: Sequence[Running], now: dt.datetime | None = None) -> Table:
    """Return runs at work as a table: pages done of known, pages a second, pages that failed."""
    now = now or dt.datetime.now(dt.UTC)
    table = plain_table(
        "source",
        "pages",
        "known",
        "pages/s",
        "failed",
        "texts",
        "for",
        right=("pages", "known", "pages/s", "failed", "texts"),
    )
    for run in runs:
        seconds = max((now - run.started_at).total_seconds(), 0.001)
        done = pages_done(run.stats)
        table.add_row(
            run.slug,
            f"{done:,}",
            f"{known:,}" if (known := run.stats.get("pages/known")) else "",
            f"{done / seconds:,.1f}" if run.heard_at else "",
            f"{run.stats.get('pages/unknown', 0) + run.stats.get('pages/failed', 0):,}",
            f"{run.stats.get('chunks/embedded', 0):,}",
            lasting(seconds),
        )
    return table


def as_line(progress: Progress, seconds: float) -> str:
    """Return in a line how far a refresh has come, with the time that is left at this rate."""
    done, asked = progress.done, progress.asked
    left = f", about {lasting(seconds / done * (asked - done))} left" if done and done < asked else ""
    return f"{done:,} of {asked:,} sources done, {len(progress.running):,} running, {progress.queued:,} waiting{left}"


def as_screen(progress: Progress, seconds: float, rows: int) -> RenderableType:
    """Return the table of running sources, as many as have room, over a bar of all."""
    filled = round(BAR * progress.done / max(1, progress.asked))
    bar = Text().append("━" * filled, "green").append("━" * (BAR - filled), "dim")
    shown = progress.running[: max(1, rows - 5)]
    return Group(as_table(shown), Text(), bar, Text(as_line(progress, seconds)))
