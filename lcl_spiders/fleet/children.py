"""The worker processes of one refresh: started, listened to, and ended, in order or by force."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

KEPT_LINES = 5
LONGEST_LINE = 2**20
ENOUGH = 4096  # bytes; what they are does not matter
STUCK_AFTER = 60.0  # seconds without a pulse, of which there is one a second; a start takes some


class Child:
    """One worker process: `listen` once, until it has ended and everything that it wrote was read."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._heard_at = time.monotonic()
        self._is_suspected = False

    @property
    def is_alive(self) -> bool:
        """Whether its process is there."""
        return self.process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def is_stuck(self, after: float) -> bool:
        """Return whether nothing was heard of it for so many seconds, when this was last asked as well.

        Asked once, it may be this process that was stopped for a while.
        """
        is_silent = self.is_alive and time.monotonic() - self._heard_at > after
        was_suspected, self._is_suspected = self._is_suspected, is_silent
        return is_silent and was_suspected

    async def listen(self, say: Callable[[str], None]) -> None:
        """Pass on what it writes on standard error, line by line, and note its pulse, until it has ended."""
        await asyncio.gather(self._feel_pulse(), self._read(say))
        await self.process.wait()

    async def _feel_pulse(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - a pipe was asked for
        while await self.process.stdout.read(ENOUGH):
            self._heard_at = time.monotonic()

    async def _read(self, say: Callable[[str], None]) -> None:
        assert self.process.stderr is not None  # noqa: S101 - a pipe was asked for
        while True:
            try:
                line = await self.process.stderr.readline()
            except ValueError:  # longer than the limit; what follows it is read on
                line = b"(a line too long to show)"
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self.last_lines.append(text)
            with contextlib.suppress(OSError):  # nobody reads any more; a full pipe would stop the worker
                say(text)


class Children:
    """Workers that end when the queue is empty. `say` gets what they write on standard error, line by line."""

    def __init__(self, options: Sequence[str], say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._all: dict[Child, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def alive(self) -> list[Child]:
        """Those whose processes are there."""
        return [child for child in self._all if child.is_alive]

    async def start(self) -> None:
        """Start one more."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "scrapy",
            "worker",
            "--drain",
            "--pulse",
            *self._options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is for the coordinator, which then ends them in order
        )
        child = Child(process)
        self._all[child] = asyncio.create_task(child.listen(self._say))

    async def reap(self) -> list[Child]:
        """Return those that have ended since this was last asked."""
        ended = [child for child in self._all if not child.is_alive]
        for child in ended:
            await self._all.pop(child)
        return ended

    def signal(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        for child in self.alive:
            child.send(number)

    async def wait(self, timeout: float) -> bool:
        """Return whether all of them have ended, after so many seconds at most."""
        ends = self._all.values()
        return not ends or not (await asyncio.wait(ends, timeout=timeout))[1]

    def kill_stuck(self) -> None:
        """Kill those that are there and do not answer: stopped, or busy with something that never ends."""
        for child in self.alive:
            if child.is_stuck(STUCK_AFTER):
                logger.warning("worker %d does not answer and is killed; its jobs are made again", child.process.pid)
                child.send(signal.SIGKILL)

    async def end(self, patience: float) -> None:
        """End them in order; what is left of them after `patience` seconds is killed."""
        self.signal(signal.SIGTERM)
        await self.wait(patience)
        for child in self.alive:
            logger.warning("worker %d does not end and is killed; its jobs are made again", child.process.pid)
            child.send(signal.SIGKILL)
