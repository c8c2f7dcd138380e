"""Scrapy as an operator runs it: a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CLEANED = ("DATABASE_URL", "LCL_", "OPENAI_", "SCRAPY_", "SCRAPYD_", "PYTEST_")


@dataclass(frozen=True)
class Completed:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def environment(database_url: str | None = None) -> dict[str, str]:
    """Return this process's environment without what would steer a crawl, with what `run_scrapy` promises."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(CLEANED)}
    own = {"LCL_ALLOW_PRIVATE_NETWORKS": "true", "LCL_RECRAWL_AFTER": "0", "LCL_MAX_DELAY": "0"}
    if database_url is not None:
        own["DATABASE_URL"] = database_url
    return {**inherited, **own}


def run_scrapy(
    *arguments: str,
    database_url: str | None = None,
    home: Path | None = None,
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Completed:
    """Run `scrapy …` from the project's root and return how it ended.

    Loopback is allowed, every page is due, and nothing is throttled, unless `env` or `settings` say otherwise. Raises
    `TimeoutError`, with what was printed so far, after killing the command with all its children.
    """
    process = start_scrapy(*arguments, database_url=database_url, home=home, env=env, settings=settings)
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        msg = f"scrapy {' '.join(arguments)} did not end in {timeout} s:\n{stdout}\n{stderr}"
        raise TimeoutError(msg) from None
    return Completed(process.returncode, stdout, stderr)


def start_scrapy(
    *arguments: str,
    database_url: str | None = None,
    home: Path | None = None,
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start `scrapy …` as `run_scrapy` does, in a process group of its own, and return without waiting."""
    own = {} if home is None else {"LCL_HOME": str(home)}
    given = {"AUTOTHROTTLE_ENABLED": "false", **(settings or {})}
    options = [option for name, value in given.items() for option in ("-s", f"{name}={value}")]
    return subprocess.Popen(
        [sys.executable, "-m", "scrapy", *arguments, *options],
        cwd=ROOT,
        env={**environment(database_url), **own, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def started_scrapy(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start `scrapy …` as `start_scrapy` does; what is left of it at the end is killed with all its children."""
    process = start_scrapy(*arguments, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
