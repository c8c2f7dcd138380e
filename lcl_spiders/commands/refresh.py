"""`scrapy refresh`: bring every source that is due up to date."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import UsageError
from scrapy.utils.conf import arglist_to_dict

from lcl_spiders import ledger
from lcl_spiders.console import CommandFailed, IndexCommand, whole_number
from pipelines import runtime
from pipelines.arguments import RunArguments

if TYPE_CHECKING:
    from collections.abc import Sequence


class Command(IndexCommand):
    """Queue the sources that are due, start workers, and watch them to the end."""

    def syntax(self) -> str:
        return "[options] [<source> …]"

    def short_desc(self) -> str:
        return "Refresh every source that is due, several at a time"

    def long_desc(self) -> str:
        return (
            "Queue every source that is due (enabled, not waiting after failures, without a success in its interval), "
            "start workers, and show them at work until all have ended. With names (slug, domain or id), those, "
            "due or not. Sources that are queued already are waited for, not queued twice. Interrupted, it ends its "
            "workers; what was queued stays queued, and the next refresh or worker goes on.\n"
            "\n"
            "  scrapy refresh\n"
            "  scrapy refresh example other-example -a force_rescrape=true\n"
            "  scrapy refresh --no-wait           only queue: workers elsewhere do the rest\n"
            "  scrapy refresh --json | jq .failed\n"
            "\n"
            "Workers: min(LCL_MAX_CONCURRENT_WORKERS, jobs / LCL_JOBS_PER_WORKER), at least one; 1 to 10 (default 5) "
            "and 5 to 20 (default 10). Each crawls LCL_SOURCES_AT_A_TIME (8) sources. -s NAME=VALUE goes on to them.\n"
            "\n"
            "Exit code: 0 when every source succeeded or nothing was due, 1 when one failed or could not be taken, "
            "75 when the only trouble was domains that were busy.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "-a", dest="spargs", action="append", default=[], metavar="NAME=VALUE", help="argument of every run"
        )
        parser.add_argument("--no-wait", action="store_true", help="queue and return; start no workers")
        parser.add_argument(
            "--priority",
            type=whole_number(-1000, 1000),
            metavar="N",
            help="instead of the sources' own; higher ones come first, -1000 to 1000",
        )

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        # All commands are imported at each start of any; the queue's library takes a fifth of a second.
        from lcl_spiders.fleet.config import FleetConfig  # noqa: PLC0415 - see above
        from lcl_spiders.fleet.refresh import Refresh  # noqa: PLC0415 - see above

        try:
            args = _parse(opts.spargs)
            fleet = FleetConfig.from_settings(self.project_settings)
            ledger.price(self.project_settings)
        except ValueError as error:
            raise CommandFailed(str(error)) from None
        leased = await runtime.lease(self.config)
        try:
            options = [word for given in opts.set for word in ("-s", given)]
            refresh = Refresh(self, leased, fleet, worker_options=options)
            await refresh.queue(words, args, opts.priority)
            return refresh.tell_queued() if opts.no_wait else await refresh.watch()
        finally:
            await runtime.give_back(leased)


def _parse(given: Sequence[str]) -> dict[str, Any]:
    try:
        words = arglist_to_dict(list(given))
    except ValueError:
        msg = "-a: give NAME=VALUE"
        raise UsageError(msg, print_help=False) from None
    asked = RunArguments.parse(words).as_json()
    return {name: value for name, value in asked.items() if name in words}
