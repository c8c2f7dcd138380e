"""A site that keeps a crawl waiting until a test has seen what it wanted to see."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from lcl_spiders.local_site import LocalSite, Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENT = {"DOWNLOAD_TIMEOUT": "600"}
"""Settings of a crawl that does not give up while it waits."""


class Door:
    """The answer of a site to paths without a page, robots.txt among them: none, until the door is opened."""

    def __init__(self) -> None:
        self._knocked = Event()
        self._opened = Event()

    def __call__(self, path: str) -> Page:
        self._knocked.set()
        self._opened.wait()
        return Page("not found", status=404)

    def wait_for_knock(self, seconds: float) -> None:
        """Return when a request waits at the door."""
        assert self._knocked.wait(seconds), f"nobody came in {seconds} s"

    def open(self) -> None:
        """Let everybody in."""
        self._opened.set()


@contextmanager
def closed_site(pages: Mapping[str, str | Page]) -> Iterator[tuple[LocalSite, Door]]:
    """A site behind a door. While somebody waits there, the whole site is silent."""
    door = Door()
    with LocalSite(pages, not_found=door) as site:
        try:
            yield site, door
        finally:
            door.open()
