"""`scrapy worker`: a process that takes runs from the queue, on any machine."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import psycopg
from scrapy.addons import AddonManager
from scrapy.commands import ScrapyCommand
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.exceptions import UsageError
from twisted.internet.error import ReactorNotRunning

from db.errors import DatabaseProblem, one_line
from lcl_spiders import ledger
from lcl_spiders.console import HelpFormatter
from pipelines.config import Config
from pipelines.providers import ProviderError

if TYPE_CHECKING:
    from lcl_spiders.fleet.worker import End, Worker

logger = logging.getLogger(__name__)


class Command(ScrapyCommand):
    """Take runs from the queue and carry them out."""

    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Take runs from the queue and carry them out, on a schedule too"

    def long_desc(self) -> str:
        return (
            "Work until told to stop (Ctrl-C, SIGTERM): the crawls at work are ended, what they did is kept, and their "
            "sources go back to the queue. Start as many workers on as many machines as you like against one "
            "DATABASE_URL: no run is carried out twice, and no domain is crawled by two at a time.\n"
            "\n"
            "The schedule queues all sources that are due, at the times of LCL_REFRESH_CRON (UTC), once however many "
            "workers there are.\n"
            "\n"
            "  scrapy worker\n"
            "  LCL_REFRESH_CRON='0 */6 * * *' LCL_SOURCES_AT_A_TIME=16 scrapy worker\n"
            "  scrapy worker --drain      end when the queue is empty; no schedule\n"
            "\n"
            "Settings, in the environment or as -s NAME=VALUE:\n"
            "  LCL_SOURCES_AT_A_TIME  8            sources crawled at a time in this process\n"
            "  LCL_REFRESH_CRON       0 2 * * *    minute, hour, day, month, weekday, UTC\n"
            "  LCL_WORKER_MAX_JOBS    500          runs after which a fresh process takes over\n"
            "  LCL_WORKER_MEMORY      1073741824   bytes of memory above which a fresh process takes over\n"
            "  LCL_KEEP_JOBS_DAYS     90           days for which the records of runs are kept, 0 for ever\n"
            "  LCL_WORKER_HEARTBEAT   5            seconds; a worker unheard six times as long counts as dead\n"
            "  LCL_BUSY_RETRY_DELAY   30           seconds before a busy domain is tried again, or a source that the\n"
            "                                      database, the provider or the network failed; doubled each time\n"
            "\n"
            "Exit code: 0 when it was stopped or has drained the queue, 1 when it could not begin or go on.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.formatter_class = HelpFormatter
        parser.add_argument("--drain", action="store_true", help="end when the queue is empty; run no schedule")
        parser.add_argument(
            "--pulse", action="store_true", help="write a line a second on standard output, for who watches over it"
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Work, and set the exit code."""
        if args:
            msg = "worker takes no names; `scrapy refresh` queues sources"
            raise UsageError(msg, print_help=False)
        # All commands are imported at each start of any; the queue's library takes a fifth of a second.
        from lcl_spiders.fleet.config import FleetConfig  # noqa: PLC0415 - see above
        from lcl_spiders.fleet.process import replace_process  # noqa: PLC0415 - see above
        from lcl_spiders.fleet.worker import CHATTY, QUIET, End, Worker  # noqa: PLC0415 - see above

        assert self.settings is not None  # noqa: S101 - set by Scrapy
        AddonManager.load_pre_crawler_settings(self.settings)
        self.settings.update(QUIET, priority="command")
        try:
            config, fleet = Config.from_settings(self.settings), FleetConfig.from_settings(self.settings)
            ledger.price(self.settings)
        except ValueError as error:
            sys.stderr.write(f"scrapy worker: {error}\n")
            self.exitcode = 1
            return
        process = AsyncCrawlerProcess(self.settings)
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        loop = asyncio.get_event_loop()
        worker = Worker(self.settings, config, fleet, drain=opts.drain)
        end = loop.create_task(self._work(worker, has_pulse=opts.pulse))
        end.add_done_callback(_stop_reactor)
        process.start(stop_after_crawl=False, install_signal_handlers=False)
        if end.cancelled() or not end.done():
            self.exitcode = 1
        elif end.result() is End.REPLACED:
            replace_process()
        else:
            self.exitcode = int(end.result() is End.FAILED)

    async def _work(self, worker: Worker, *, has_pulse: bool) -> End:
        from lcl_spiders.fleet.process import beating, handle_signals  # noqa: PLC0415 - see run
        from lcl_spiders.fleet.worker import End, WorkerMisconfigured  # noqa: PLC0415 - see run

        handle_signals(worker)
        async with beating() if has_pulse else nullcontext():
            try:
                return await worker.run()
            except (DatabaseProblem, ProviderError, WorkerMisconfigured, psycopg.Error) as error:
                sys.stderr.write(f"scrapy worker: {one_line(error)}\n")
                return End.FAILED


def _stop_reactor(_: object) -> None:
    from twisted.internet import reactor  # noqa: PLC0415 - importing it before Scrapy has chosen one would install another

    try:
        reactor.stop()  # type: ignore[misc]  # Twisted declares its functions as a module's
    except ReactorNotRunning:
        logger.debug("the reactor ended by itself")
