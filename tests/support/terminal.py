"""Scrapy on a terminal, as a person sits before it. Its keys are no signals: the terminal controls no session."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tests.support.scrapy import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE = 60  # seconds


@contextmanager
def on_terminal(
    *arguments: str, database_url: str, env: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start `scrapy …` whose input, output and errors are a terminal; yields it and the terminal's other end.

    What is left of it at the end is killed with all its children.
    """
    ours, its = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "scrapy", *arguments],
            cwd=ROOT,
            env={**environment(database_url), **env},
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
    finally:
        os.close(its)
    try:
        yield process, ours
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


def read_until(terminal: int, wanted: bytes | None) -> bytes:
    """Return what is shown up to some words, or up to the end. Raises `AssertionError` when they do not come."""
    shown = b""
    while wanted is None or wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], PATIENCE)
        assert ready, shown
        try:
            more = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            more = b""
        if not more:
            assert wanted is None, shown
            break
        shown += more
    return shown


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C at a question, and again if the key came between its words and the wait for an answer.

    Python sees a signal of that moment only with the next key.
    """
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return
