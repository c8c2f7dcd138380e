"""What the project's commands share: settings, the database, errors in one line, tables and JSON."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import signal
import sys
from abc import abstractmethod
from contextlib import asynccontextmanager
from dataclasses import asdict, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import PoolTimeout
from rich.console import Console
from rich.table import Table
from scrapy.addons import AddonManager
from scrapy.commands import ScrapyCommand, ScrapyHelpFormatter
from scrapy.exceptions import UsageError

from db.connection import connect
from db.errors import AmbiguousSource, DatabaseProblem, DomainBusy, FenceLost, InvalidSource, SourceNotFound
from pipelines.config import Config
from pipelines.providers import ProviderError
from pipelines.runtime import prepare_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from scrapy.settings import Settings

    from db.connection import Connection

PIPED_WIDTH = 160


class CommandFailed(Exception):
    """A command cannot do what it was asked; the message is for the operator. Raised by commands and by this module."""


_EXPECTED = (
    AmbiguousSource,
    CommandFailed,
    DatabaseProblem,
    DomainBusy,
    FenceLost,
    InvalidSource,
    PoolTimeout,
    ProviderError,
    SourceNotFound,
    psycopg.Error,
)


class IndexCommand(ScrapyCommand):
    """A command over the index. Subclasses write `main`.

    An expected error ends as one line on stderr and exit code 1, a usage error with exit code 2.
    """

    requires_project = True
    requires_crawler_process = False

    as_json = False

    @abstractmethod
    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        """Do the work with the words that are no options, and return the exit code."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.formatter_class = HelpFormatter
        parser.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        AddonManager.load_pre_crawler_settings(self.project_settings)
        self.as_json = opts.json
        try:
            self.exitcode = asyncio.run(self.main(_words(args), opts))
        except _EXPECTED as error:
            self.complain(str(error).strip() or type(error).__name__)
            self.exitcode = 1
        except KeyboardInterrupt:
            self.exitcode = 130

    @property
    def project_settings(self) -> Settings:
        """The project's settings, which Scrapy sets before it calls any method but `__init__`."""
        assert self.settings is not None  # noqa: S101 - Scrapy sets it, see above
        return self.settings

    @cached_property
    def config(self) -> Config:
        """The checked settings. Raises `CommandFailed`."""
        try:
            return Config.from_settings(self.project_settings)
        except ValueError as error:
            raise CommandFailed(str(error)) from None

    @cached_property
    def console(self) -> Console:
        """Where tables and sentences go. Nothing printed is taken for markup."""
        console = Console(markup=False, highlight=False, emoji=False)
        return (
            console if console.is_terminal else Console(markup=False, highlight=False, emoji=False, width=PIPED_WIDTH)
        )

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """Connect to a database at this code's schema; the embedded one is started and migrated.

        Raises `DatabaseProblem` or `CommandFailed`.
        """
        url = await prepare_database(self.config)
        async with connect(url) as connection:
            yield connection

    def say(self, sentence: str) -> None:
        """Print a sentence without breaking its lines, so that what is copied from it works."""
        self.console.print(sentence, soft_wrap=True)

    def print_json(self, value: Any) -> None:
        """Print a value as JSON: dataclasses as objects, times in ISO 8601, durations in seconds."""
        sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")

    def print_json_line(self, value: Any) -> None:
        """Print a value as one line of JSON, at once: somebody reads it while the command goes on."""
        sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def agrees(self, question: str) -> bool:
        """Ask, where there is somebody to ask; an end of the input is a no. Ctrl-C ends the command."""
        if self.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return False
        # asyncio takes the signal for itself, and would look at it only after the answer.
        ours = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return input(question).strip().lower() in {"y", "yes"}
        except EOFError:
            return False
        finally:
            signal.signal(signal.SIGINT, ours)

    def complain(self, message: str) -> None:
        """Say on stderr what is wrong, in one line."""
        name = type(self).__module__.rpartition(".")[2]
        sys.stderr.write(f"scrapy {name}: {' '.join(message.split())}\n")


class HelpFormatter(ScrapyHelpFormatter):
    """Keeps the lines of a description, and leaves alone those that are indented: the examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            line if line.startswith("  ") else super(HelpFormatter, self)._fill_text(line, width, indent)
            for line in text.splitlines()
        )


def plain_table(*columns: str, right: Collection[str] = ()) -> Table:
    """Return a table without lines, whose cells are folded rather than cut; those in `right` hold figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def whole_number(low: int, high: int) -> Any:
    """Return a type for argparse: a whole number in a range."""

    def parse(given: str) -> int:
        if not given.removeprefix("-").isdecimal() or not low <= int(given) <= high:
            msg = f"{given!r} is no whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(msg)
        return int(given)

    return parse


def ago(then: dt.datetime | None, now: dt.datetime | None = None) -> str:
    """Return how far a time is from now, in words: "3 min ago", "in 2 h", "never" for None."""
    if then is None:
        return "never"
    seconds = ((now or dt.datetime.now(dt.UTC)) - then).total_seconds()
    return f"{lasting(seconds)} ago" if seconds >= 0 else f"in {lasting(-seconds)}"


def lasting(time: dt.timedelta | float | None) -> str:
    """Return a duration (seconds, if it is a number) in its largest unit; nothing for None."""
    if time is None:
        return ""
    seconds = time.total_seconds() if isinstance(time, dt.timedelta) else time
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _words(args: Sequence[str]) -> list[str]:
    """Return the arguments that are no options, all of those after `--`. Raises `UsageError` for an unknown option."""
    options, dashes, literal = list(args), [], []
    if "--" in options:
        at = options.index("--")
        options, literal = options[:at], options[at + 1 :]
    dashes = [word for word in options if word.startswith("-") and " " not in word]
    if dashes:
        msg = f"unknown option {dashes[0]}"
        raise UsageError(msg, print_help=False)
    return [*options, *literal]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    return str(value)
