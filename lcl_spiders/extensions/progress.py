"""One line that shows a crawl at work, for a person at a terminal."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from scrapy import signals
from scrapy.exceptions import NotConfigured

from pipelines.run import Run

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler

INTERVAL = 0.5


class ProgressExtension:
    """Shows pages, rate and failures on standard error while `LCL_PROGRESS` is on."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl, unless nobody watches."""
        if not crawler.settings.getbool("LCL_PROGRESS"):
            raise NotConfigured
        extension = cls(crawler)
        crawler.signals.connect(extension.spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        return extension

    def spider_opened(self, spider: Spider) -> None:
        """Begin to show."""
        self._task = asyncio.get_running_loop().create_task(self._show(spider.name))

    async def spider_closed(self) -> None:
        """Take the line away."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _show(self, name: str) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=2) as progress:
            task = progress.add_task(name)
            while True:
                progress.update(task, description=self._line(name, progress.tasks[0].elapsed or 0.0))
                await asyncio.sleep(INTERVAL)  # the rhythm of the display

    def _line(self, name: str, seconds: float) -> str:
        run = Run.of(self._crawler)
        asked = run.counter("requests/sent")
        bad = run.counter("pages/unknown") + run.counter("pages/failed")
        known = getattr(run, "known_pages", 0)
        parts = [
            f"{asked} pages asked for" + (f" of {known} known" if known else ""),
            f"{asked / seconds:.0f}/s" if seconds > 1 else "",
            f"{run.counter('pages/new')} new",
            f"{run.counter('pages/changed')} changed",
            f"{run.counter('chunks/embedded')} texts embedded",
            f"[red]{bad} failed[/red]" if bad else "",
        ]
        return f"{name}: " + ", ".join(filter(None, parts))
