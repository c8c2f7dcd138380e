"""One command, measured as a tree of processes."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INTERVAL = 0.2
MB = 1024 * 1024


@dataclass
class Measured:
    """`wall` and `cpu` in seconds over the whole tree, `peak` proportional set size in MB.

    `samples`: (progress, MB) pairs, where progress is what the caller counts. `code`: how the command ended.
    """

    wall: float
    cpu: float
    peak: float
    output: str
    samples: list[tuple[int, float]] = field(default_factory=list)
    code: int = 0

    def memory_at(self, progress: int) -> float | None:
        """Return the memory at the first sample that had come this far."""
        return next((mb for done, mb in self.samples if done >= progress), None)


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    progress: Callable[[], int] = lambda: 0,
    *,
    may_fail: bool = False,
    interval: float = INTERVAL,
) -> Measured:
    """Run a command to its end. Raises `RuntimeError` with its output when it fails, unless it may.

    Memory is looked at each `interval` seconds; a look costs 2 ms for each process of the tree.
    """
    began = time.perf_counter()
    log = cwd / ".cache" / "benchmarks" / "last.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+") as out:
        process = subprocess.Popen(command, env=dict(env), cwd=cwd, stdout=out, stderr=subprocess.STDOUT)
        tree = psutil.Process(process.pid)
        cpu: dict[int, float] = {}
        samples: list[tuple[int, float]] = []
        while process.poll() is None:
            members = _members(tree)
            samples.append((progress(), sum(filter(None, map(_pss, members))) / MB))
            for member in members:
                cpu[member.pid] = _cpu(member) or cpu.get(member.pid, 0.0)
            try:
                process.wait(interval)
            except subprocess.TimeoutExpired:
                continue
        wall = time.perf_counter() - began
        out.seek(0)
        output = out.read()
    if process.returncode and not may_fail:
        msg = f"{' '.join(command)} ended with {process.returncode}:\n{output[-4000:]}"
        raise RuntimeError(msg)
    peak = max((mb for _, mb in samples), default=0.0)
    return Measured(wall, sum(cpu.values()), peak, output, samples, process.returncode)


def _members(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _pss(process: psutil.Process) -> float | None:
    try:
        return float(process.memory_full_info().pss)
    except psutil.Error:
        return None


def _cpu(process: psutil.Process) -> float | None:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)
