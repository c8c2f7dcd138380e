import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from lcl_spiders.extraction import (
    BadFeed,
    ExtractedPage,
    ExtractionCrashed,
    ExtractionOptions,
    ExtractionTimeout,
    NotHtml,
)
from lcl_spiders.extraction.extract import extract_page
from lcl_spiders.extraction.feeds import parse_feed
from lcl_spiders.extraction.pool import ExtractionPool, leased_pool

URL = "http://example.org/"
MEMORY = 512 * 2**20
ROOT = Path(__file__).parents[2]
PARAGRAPH = "The quick brown fox jumps over the lazy dog, and nobody minds at all. " * 6
# trafilatura needs time with the square of the bold words: far more than any time limit here, in little memory.
ENDLESS = b"<html><body><p>" + b"<b>x</b> " * 80_000 + b"</p></body></html>"
# feedparser takes time with the square of the depth.
ENDLESS_FEED = b'<rss version="2.0"><channel><item>' + b"<a>" * 600_000
SLOW = ExtractionOptions("trafilatura")
# Three million elements: more than the memory limit, in the parser already.
HUGE = b"<html><body>" + b"<p>x" * 3_000_000


def article(number: int) -> bytes:
    return f"<html lang=en><title>{number}</title><body><p>Page {number}. {PARAGRAPH}</p></body></html>".encode()


@asynccontextmanager
async def opened(
    workers: int = 1, time_limit: float = 60.0, memory_limit: int = MEMORY
) -> AsyncIterator[ExtractionPool]:
    pool = ExtractionPool(workers, time_limit, memory_limit)
    try:
        yield pool
    finally:
        await pool.close()


def workers() -> set[psutil.Process]:
    """The pool's processes: the grandchildren, since the fork server is between."""
    children = psutil.Process().children()
    return {worker for child in children for worker in child.children()}


async def until_busy() -> psutil.Process:
    """Return the worker that has computed for a while."""
    while True:
        for worker in workers():
            if sum(worker.cpu_times()[:2]) > 0.3:
                return worker
        await asyncio.sleep(0.01)  # other processes are at work


async def test_a_worker_extracts_what_the_function_extracts() -> None:
    async with opened() as pool:
        assert await pool.extract(article(1), URL, "utf-8") == extract_page(article(1), URL, "utf-8")


async def test_a_worker_reads_by_the_options_of_the_source() -> None:
    body = b"<title>x</title><main>The main text.</main><p>Imprint</p>"
    options = ExtractionOptions(content_css=("main",))
    async with opened() as pool:
        page, usual = await asyncio.gather(pool.extract(body, URL, None, options), pool.extract(body, URL, None))
    assert page == extract_page(body, URL, None, options)
    assert (page.content, "Imprint" in usual.content) == ("The main text.", True)


async def test_many_pages_come_back_each_to_its_caller() -> None:
    async with opened(workers=2) as pool:
        pages = await asyncio.gather(*(pool.extract(article(i), URL, None) for i in range(200)))
    assert [page.title for page in pages] == [str(i) for i in range(200)]


async def test_a_page_that_cannot_be_read_says_why_and_its_neighbours_survive() -> None:
    bodies = [article(1), b"\x00\x01\x02", article(2)]
    async with opened() as pool:
        results = await asyncio.gather(*(pool.extract(body, URL, None) for body in bodies), return_exceptions=True)
    assert isinstance(results[1], NotHtml)
    assert [getattr(result, "title", None) for result in results] == ["1", None, "2"]


async def test_a_page_that_never_ends_is_given_up_and_its_neighbours_survive() -> None:
    bodies = [article(i) for i in range(40)]
    bodies[20] = ENDLESS
    async with opened(workers=2, time_limit=1.0) as pool:
        results = await asyncio.gather(
            *(pool.extract(body, URL, None, SLOW) for body in bodies), return_exceptions=True
        )
    failure = results.pop(20)
    assert isinstance(failure, ExtractionTimeout)
    assert failure.kind == "extraction_timeout"
    assert not [result for result in results if isinstance(result, BaseException)]


async def test_a_feed_is_read_beside_pages_and_one_that_never_ends_is_given_up() -> None:
    feed = b'<rss version="2.0"><channel><item><link>http://example.org/a</link></item></channel></rss>'
    async with opened(workers=2, time_limit=1.0) as pool:
        page, read, *failures = await asyncio.gather(
            pool.extract(article(1), URL, None),
            pool.read_feed(feed, URL, None),
            pool.read_feed(b"<html>", URL, None),
            pool.read_feed(ENDLESS_FEED, URL, None),
            return_exceptions=True,
        )
    assert isinstance(page, ExtractedPage)
    assert read == parse_feed(feed, URL)
    assert [type(failure) for failure in failures] == [BadFeed, ExtractionTimeout]


async def test_a_page_that_eats_memory_is_given_up_and_its_neighbours_survive() -> None:
    bodies = [article(i) for i in range(20)]
    bodies[10] = HUGE
    async with opened() as pool:
        results = await asyncio.gather(*(pool.extract(body, URL, None) for body in bodies), return_exceptions=True)
    failure = results.pop(10)
    assert isinstance(failure, ExtractionCrashed)
    assert failure.kind == "extraction_crashed"
    assert not [result for result in results if isinstance(result, BaseException)]


async def test_a_worker_that_dies_loses_the_page_it_had_and_no_other() -> None:
    async with opened() as pool:
        fatal = asyncio.create_task(pool.extract(ENDLESS, URL, None, SLOW))
        worker = await until_busy()
        waiting = [asyncio.create_task(pool.extract(article(i), URL, None)) for i in range(20)]
        worker.kill()
        with pytest.raises(ExtractionCrashed, match="-9"):
            await fatal
        assert [page.title for page in await asyncio.gather(*waiting)] == [str(i) for i in range(20)]


async def test_workers_killed_while_idle_are_replaced() -> None:
    async with opened(workers=2) as pool:
        await pool.extract(article(1), URL, None)
        before = workers()
        for worker in before:
            worker.kill()
        psutil.wait_procs(before)
        pages = await asyncio.gather(*(pool.extract(article(i), URL, None) for i in range(20)))
        assert len(pages) == 20
        assert workers().isdisjoint(before)


async def test_a_cancelled_page_does_not_disturb_the_next() -> None:
    async with opened() as pool:
        first, second = (asyncio.create_task(pool.extract(article(i), URL, None)) for i in range(2))
        await asyncio.sleep(0)  # a turn of the loop
        first.cancel()
        assert (await second).title == "1"
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_closing_cancels_what_runs_and_what_waits_and_ends_stuck_workers() -> None:
    pool = ExtractionPool(2, 600.0, MEMORY)
    # Together more than the pipe to the workers holds, so that Pebble's sender is stuck as well.
    tasks = [asyncio.create_task(pool.extract(ENDLESS, URL, None, SLOW)) for _ in range(12)]
    await until_busy()
    stuck = workers()
    await pool.close()
    await pool.close()
    assert all(
        isinstance(result, asyncio.CancelledError) for result in await asyncio.gather(*tasks, return_exceptions=True)
    )
    _, alive = psutil.wait_procs(stuck, timeout=10)
    assert not alive
    with pytest.raises(asyncio.CancelledError):
        await pool.extract(article(1), URL, None)


async def test_closing_a_pool_that_is_starting_or_was_never_used_leaves_nothing() -> None:
    await ExtractionPool(1, 1.0, MEMORY).close()
    pool = ExtractionPool(1, 1.0, MEMORY)
    page = asyncio.create_task(pool.extract(article(1), URL, None))
    await asyncio.sleep(0)  # a turn of the loop
    await pool.close()
    with pytest.raises(asyncio.CancelledError):
        await page
    assert not workers()


async def test_the_event_loop_goes_on_while_pages_are_extracted() -> None:
    async with opened() as pool:
        page = asyncio.create_task(pool.extract(article(1), URL, None))
        turns = 0
        while not page.done():
            await asyncio.sleep(0)  # a turn of the loop
            turns += 1
    assert turns > 10


async def test_crawls_of_one_process_share_a_pool_until_the_last_one_leaves() -> None:
    async with leased_pool(1, 10.0, MEMORY) as first:
        async with leased_pool(1, 10.0, MEMORY) as second, leased_pool(1, 20.0, MEMORY) as other:
            assert first is second
            assert first is not other
        assert (await first.extract(article(1), URL, None)).title == "1"
    async with leased_pool(1, 10.0, MEMORY) as later:
        assert later is not first
        assert (await later.extract(article(2), URL, None)).title == "2"


@pytest.mark.parametrize("arguments", [(0, 1.0, MEMORY), (1, 0.0, MEMORY), (1, 1.0, 2**20)])
def test_a_pool_that_could_not_work_is_refused(arguments: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="extraction pool"):
        ExtractionPool(*arguments)


SCRIPT = """
import asyncio, sys
print("main module imported as", __name__, flush=True)
from lcl_spiders.extraction.pool import ExtractionPool
from lcl_spiders.extraction import ExtractionOptions
ENDLESS = b"<html><body><p>" + b"<b>x</b> " * 80_000
SLOW = ExtractionOptions("trafilatura")

async def main(stuck, close):
    import psutil
    pool = ExtractionPool(2, 600.0, 512 * 2**20)
    await pool.extract(b"<p>Some words that stand in a paragraph", "http://example.org/", None)
    server, = [child for child in psutil.Process().children() if child.children()]
    tasks = [asyncio.ensure_future(pool.extract(ENDLESS, "http://example.org/", None, SLOW)) for _ in range(stuck)]
    while stuck and not all(sum(worker.cpu_times()[:2]) > 0.3 for worker in server.children()):
        await asyncio.sleep(0.01)  # other processes are at work
    print("pids", server.pid, *(worker.pid for worker in server.children()), flush=True)
    if close:
        await pool.close()
    elif sys.argv[1] == "killed":
        await asyncio.sleep(600)  # until it is killed

if __name__ == "__main__":
    asyncio.run(main(stuck=int(sys.argv[2]), close=sys.argv[1] == "close"))
"""


@pytest.fixture
def script(tmp_path: Path) -> list[str]:
    path = tmp_path / "main.py"
    path.write_text(SCRIPT)
    return [sys.executable, str(path)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while left := [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)  # other processes are at work


@pytest.mark.parametrize("stuck", [0, 4])
def test_no_worker_survives_a_parent_that_was_killed(script: list[str], tmp_path: Path, stuck: int) -> None:
    with subprocess.Popen(
        [*script, "killed", str(stuck)], stdout=subprocess.PIPE, text=True, env=environment(), cwd=tmp_path
    ) as parent:
        assert parent.stdout is not None
        pids = next([int(pid) for pid in line.split()[1:]] for line in parent.stdout if line.startswith("pids"))
        assert len(pids) == 3
        parent.send_signal(signal.SIGKILL)
    assert_gone(pids)


@pytest.mark.parametrize("how", ["close", "forget"])
@pytest.mark.parametrize("stuck", [0, 4])
def test_a_process_ends_at_once_whatever_its_workers_do(
    script: list[str], tmp_path: Path, how: str, stuck: int
) -> None:
    command = [*script, how, str(stuck)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=50, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "main module imported as __main__"
    assert lines[1].startswith("pids")
    assert len(lines) == 2, "a worker ran the main module again"
    assert done.stderr == ""
    assert_gone([int(pid) for pid in lines[1].split()[1:]])
