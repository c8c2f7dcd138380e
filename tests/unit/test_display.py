"""What a person sees of a refresh at work."""

import datetime as dt
import io
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console, RenderableType

from db.queue import Running
from lcl_spiders.fleet.coordinator import Progress
from lcl_spiders.fleet.display import BAR, as_line, as_screen, as_table, pages_done

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def at_work(slug: str, seconds: float = 10, *, heard: bool = True, **stats: int) -> Running:
    began = NOW - dt.timedelta(seconds=seconds)
    counted: dict[str, Any] = {name.replace("_", "/", 1): count for name, count in stats.items()}
    return Running(uuid4(), slug, "queue", "host:1", began, NOW if heard else None, counted)


def printed(what: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(what)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]  # it was made over a StringIO


def test_a_run_at_work_is_a_row_of_its_pages_its_rate_and_its_failures() -> None:
    run = at_work("a", 10, pages_new=1_000, pages_gone=20, pages_unknown=30, pages_known=4_000, chunks_embedded=5)

    assert printed(as_table([run], NOW))[1].split() == ["a", "1,050", "4,000", "105.0", "30", "5", "10", "s"]


def test_a_run_that_was_not_heard_of_yet_has_no_rate() -> None:
    assert printed(as_table([at_work("a", 2, heard=False)], NOW))[1].split() == ["a", "0", "0", "0", "2.0", "s"]


def test_a_run_that_began_after_this_machines_clock_divides_by_no_negative_time() -> None:
    assert "-" not in printed(as_table([at_work("a", -60, pages_new=1)], NOW))[1]


def test_pages_are_done_whatever_came_of_them() -> None:
    assert pages_done({"pages/new": 1, "pages/not_modified": 2, "pages/failed": 4, "chunks/embedded": 100}) == 7


@pytest.mark.parametrize(
    ("asked", "queued", "running", "line"),
    [
        (1_200, 900, 8, "292 of 1,200 sources done, 8 running, 900 waiting, about 3 min left"),
        (10, 10, 0, "0 of 10 sources done, 0 running, 10 waiting"),
        (10, 0, 0, "10 of 10 sources done, 0 running, 0 waiting"),
    ],
)
def test_a_line_tells_how_far_a_refresh_has_come_and_how_long_it_will_take(
    asked: int, queued: int, running: int, line: str
) -> None:
    progress = Progress(asked, queued, [at_work("a") for _ in range(running)])

    assert as_line(progress, 60.0) == line


def test_sources_that_wait_beside_a_run_of_theirs_make_no_negative_progress() -> None:
    assert Progress(1, 1, [at_work("a")]).done == 0


def test_a_screen_shows_as_many_sources_as_have_room_above_the_bar_and_the_line() -> None:
    progress = Progress(100, 30, [at_work(f"source-{n}") for n in range(20)])

    lines = printed(as_screen(progress, 60.0, rows=12))

    assert [line.split()[0] for line in lines if line.startswith("source-")] == [f"source-{n}" for n in range(7)]
    assert len(lines) <= 12
    assert lines[-2] == "━" * BAR
    assert lines[-1].startswith("50 of 100 sources done")


def test_a_screen_too_small_shows_one_source_all_the_same() -> None:
    assert any("source-0" in line for line in printed(as_screen(Progress(1, 0, [at_work("source-0")]), 1.0, rows=1)))
