"""What a worker needs of its process: modules loaded early, memory in use, signals, a fresh start."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.utils.misc import load_object

from pipelines.tasks import end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy.settings import Settings

    from lcl_spiders.fleet.worker import Worker

logger = logging.getLogger(__name__)

PULSE = 1.0  # seconds


def preload(settings: Settings) -> None:
    """Import what Scrapy would import when the first source begins: two thirds of a second."""
    for name in ("DOWNLOAD_HANDLERS", "DOWNLOADER_MIDDLEWARES", "EXTENSIONS", "SPIDER_MIDDLEWARES"):
        for key, value in settings.getwithbase(name).items():
            part = value if name == "DOWNLOAD_HANDLERS" else key
            if value is not None and isinstance(part, str):
                load_object(part)
    for name in ("DOWNLOADER", "DUPEFILTER_CLASS", "SCHEDULER", "SCHEDULER_MEMORY_QUEUE", "STATS_CLASS"):
        load_object(settings[name])


@asynccontextmanager
async def beating() -> AsyncIterator[None]:
    """Write a line a second on standard output, for as long as somebody reads it: this event loop goes on."""
    task = asyncio.create_task(_beat())
    try:
        yield
    finally:
        await end(task)


async def _beat() -> None:
    with suppress(OSError):  # nobody reads any more
        while True:
            sys.stdout.write("\n")
            sys.stdout.flush()
            await asyncio.sleep(PULSE)  # the rhythm of the pulse


def resident_memory() -> int:
    """Return how many bytes of memory this process occupies; its peak where the system tells no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize()


def replace_process() -> None:
    """Start this command afresh in this very process: its id stays, whoever watches over it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line, as it was given


def handle_signals(worker: Worker) -> None:
    """Stop on the first SIGINT or SIGTERM; a second one ends the process at once. SIGUSR1: finish what is at work."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, worker.finish)

    def handle(number: signal.Signals) -> None:
        logger.info("%s: ending the crawls at work; once more ends at once", number.name)
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        worker.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, handle, number)
