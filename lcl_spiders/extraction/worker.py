"""What runs in the pool's processes, and how such a process is started."""

import ctypes
import fcntl
import gc
import os
import resource
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.context import ForkServerContext, ForkServerProcess
from threading import Lock
from types import ModuleType
from typing import NamedTuple

from lcl_spiders.extraction.errors import ExtractionCrashed, ExtractionError, ExtractionFailed
from lcl_spiders.extraction.feeds import Feed, parse_feed
from lcl_spiders.extraction.options import ExtractionOptions
from lcl_spiders.extraction.page import ExtractedPage

Page = tuple[bytes, str, str | None] | tuple[bytes, str, str | None, ExtractionOptions]
"""The arguments of `extract_page`: body, url, encoding, and options where the source has some."""


class FeedDocument(NamedTuple):
    """The arguments of `parse_feed`."""

    body: bytes
    url: str
    encoding: str | None


Document = Page | FeedDocument

Outcome = ExtractedPage | Feed | ExtractionError

# The fork server ignores what it cannot import, and in Python 3.11 it does not get the parent's sys.path: in an egg or
# outside the project's folder only the libraries load there. They are what takes time and memory.
PRELOADED = [
    "lcl_spiders.extraction.worker",
    "lcl_spiders.extraction.extract",
    "trafilatura",
    "resiliparse.extract.html2text",
    "w3lib.url",
    "pebble",
]

LARGE_BODY = 200_000
"""Bytes; the tree of such a page takes some ten times as many."""

NICENESS = 5

_main_module = Lock()


class WorkerProcess(ForkServerProcess):
    """A process that does not import its parent's main module.

    The main module of a crawl is the `scrapy` command: each worker would import Scrapy, four times its own size.
    """

    def start(self) -> None:
        with _main_module:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main


class WorkerContext(ForkServerContext):
    """The multiprocessing context of the pool: processes forked from a server that knows nothing but the extractors."""

    Process = WorkerProcess


def worker_context() -> WorkerContext:
    """Return the context. The fork server is one for the whole process; what it preloads is set before its start."""
    context = WorkerContext()
    context.set_forkserver_preload(PRELOADED)
    return context


def prepare_worker(memory_limit: int) -> None:
    """Bound a new worker: `memory_limit` bytes of address space, no core dumps, no life after its parent's.

    It yields to its parent where both want the processor: what waits there (locks, heartbeats, answers) is short work.
    """
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Pebble's handler is Python code, which waits for as long as an extension module keeps the interpreter.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()
    _die_with_parent()


def extract_batch(time_limit: float, documents: Sequence[Document]) -> list[Outcome]:
    """Read documents one after the other; one that cannot be read is its error.

    One that takes more than `time_limit` seconds ends the process with SIGALRM, whatever it is busy with.
    """
    return [_extract(time_limit, document) for document in documents]


def _extract(time_limit: float, document: Document) -> Outcome:
    from lcl_spiders.extraction.extract import extract_page  # noqa: PLC0415 - the parent has no use for the extractors

    signal.setitimer(signal.ITIMER_REAL, time_limit)
    try:
        if isinstance(document, FeedDocument):
            return parse_feed(*document)
        return extract_page(*document)
    except ExtractionError as error:
        return error
    except MemoryError:
        return ExtractionCrashed("the worker ran out of memory")
    except Exception as error:  # noqa: BLE001 - the page's fault, whatever it is; the exception may not pickle
        return ExtractionFailed(f"{type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if len(document[0]) > LARGE_BODY:
            _give_memory_back()


def _give_memory_back() -> None:
    """Return what a large page took to the system: glibc keeps it otherwise, in every worker that met one."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library has no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is None or not hasattr(fcntl, "F_SETSIG"):
        return
    # The kernel sends SIGKILL when the parent's end of this pipe closes; a thread that waited for it would not run
    # while an extension module keeps the interpreter, and PR_SET_PDEATHSIG watches the fork server.
    fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    already = select.poll()
    already.register(parent.sentinel, select.POLLIN)
    if already.poll(0):
        os._exit(1)
