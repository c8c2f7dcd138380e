"""`scrapy migrate`: the database's schema, forward and back."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from scrapy.exceptions import UsageError

from db import schema
from lcl_spiders.console import IndexCommand, whole_number

ALL = "all"


class Command(IndexCommand):
    """Bring the schema up to date, show it, or take migrations back."""

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Bring the database's schema up to date, or take it back"

    def long_desc(self) -> str:
        return (
            "Apply the migrations that the database lacks. The embedded database is migrated by every command; one of "
            "your own (DATABASE_URL) only by this one.\n"
            "\n"
            "  scrapy migrate --status\n"
            "  scrapy migrate\n"
            "  scrapy migrate --down 1\n"
            "\n"
            "Going back drops tables with what is in them, without a question.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--status", action="store_true", help="show which migrations are applied; change nothing")
        way.add_argument("--down", type=_steps, metavar="N|all", help="take back the newest N migrations, or all")

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        if words:
            msg = "migrate takes no names"
            raise UsageError(msg, print_help=False)
        url = await asyncio.to_thread(self.config.database.resolve)
        if opts.status:
            await self._status(url)
        elif opts.down is not None:
            taken = await asyncio.to_thread(schema.downgrade, url, None if opts.down == ALL else opts.down)
            self._tell("taken_back", "took back", taken, "nothing to take back: the schema is empty")
        else:
            applied = await asyncio.to_thread(schema.upgrade, url)
            self._tell("applied", "applied", applied, f"nothing to do: the schema is at {schema.names()[-1]}")
        return 0

    async def _status(self, url: str) -> None:
        migrations = await asyncio.to_thread(schema.status, url)
        if self.as_json:
            self.print_json(migrations)
        for migration in () if self.as_json else migrations:
            self.say(f"{'applied' if migration.applied else 'pending'}  {migration.name}")

    def _tell(self, key: str, verb: str, names: list[str], otherwise: str) -> None:
        if self.as_json:
            self.print_json({key: names})
            return
        for name in names:
            self.say(f"{verb} {name}")
        if not names:
            self.say(otherwise)


def _steps(given: str) -> Any:
    return ALL if given == ALL else whole_number(1, 10_000)(given)
