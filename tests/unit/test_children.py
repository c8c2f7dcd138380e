"""Listening to a worker process: what it says, and that it still answers."""

import asyncio
from types import SimpleNamespace
from typing import Any

from lcl_spiders.fleet.children import KEPT_LINES, Child

ALWAYS, NEVER = -1.0, 10.0**9


class Worker:
    """A process as asyncio shows it, of which a test writes the output."""

    def __init__(self) -> None:
        self.returncode: int | None = None
        self.stdout, self.stderr = asyncio.StreamReader(), asyncio.StreamReader(limit=100)
        self._ended = asyncio.Event()

    def end(self) -> None:
        self.stdout.feed_eof()
        self.stderr.feed_eof()
        self._ended.set()

    async def wait(self) -> None:
        await self._ended.wait()


def child_of(worker: Any) -> Child:
    return Child(worker)


async def test_every_line_is_passed_on_and_the_last_ones_are_kept() -> None:
    worker, said = Worker(), list[str]()
    child = child_of(worker)
    lines = [f"line {number}" for number in range(10)]
    worker.stderr.feed_data("\n".join(lines).encode())
    worker.end()

    await child.listen(said.append)

    assert said == lines
    assert list(child.last_lines) == lines[-KEPT_LINES:]


async def test_a_line_without_end_and_one_that_is_no_text_stop_nobody() -> None:
    worker, said = Worker(), list[str]()
    worker.stderr.feed_data(b"x" * 200 + b"\n\xff\nafter\n")
    worker.end()

    await child_of(worker).listen(said.append)

    assert said[-2:] == ["�", "after"]


async def test_a_worker_is_read_to_its_end_also_when_nobody_listens_any_more() -> None:
    worker = Worker()
    worker.stderr.feed_data(b"one\ntwo\n")
    worker.end()

    def broken(_: str) -> None:
        raise BrokenPipeError

    child = child_of(worker)
    await child.listen(broken)

    assert list(child.last_lines) == ["one", "two"]


async def test_a_worker_is_stuck_when_it_is_silent_twice_in_a_row() -> None:
    child = child_of(SimpleNamespace(returncode=None))

    assert [child.is_stuck(NEVER), child.is_stuck(ALWAYS), child.is_stuck(ALWAYS)] == [False, False, True]
    assert [child.is_stuck(NEVER), child.is_stuck(ALWAYS)] == [False, False]


async def test_a_worker_that_has_ended_is_not_stuck() -> None:
    child = child_of(SimpleNamespace(returncode=0))

    assert [child.is_stuck(ALWAYS), child.is_stuck(ALWAYS)] == [False, False]


async def test_a_pulse_counts_from_when_it_is_felt() -> None:
    worker = Worker()
    child = child_of(worker)
    child._heard_at = NEVER * -1
    assert not child.is_stuck(60.0)
    listening = asyncio.create_task(child.listen(print))
    worker.stdout.feed_data(b"\n")
    worker.end()
    await listening

    assert not child.is_stuck(60.0)
