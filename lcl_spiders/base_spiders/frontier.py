"""Which URLs of a site a run asks for, each once."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scrapy.linkextractors import IGNORED_EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lcl_spiders.source_config import SourceConfig

MAX_URL = 2_083  # Scrapy's URLLENGTH_LIMIT; a key of an index in the database has room for 2,700 bytes
_SKIPPED = tuple(f".{extension}" for extension in IGNORED_EXTENSIONS if extension != "xhtml")


class Frontier:
    """Decides by URL and depth alone, and remembers what it gave out.

    `url` is always canonical. At most `max_pages` URLs are given out; as many more wait in case one of those turns
    out to be forbidden.
    """

    def __init__(self, domain: str, config: SourceConfig, max_pages: int | None = None) -> None:
        self.prefixes = (f"http://{domain}/", f"https://{domain}/")
        self._allow = [re.compile(pattern) for pattern in config.allow]
        self._deny = [re.compile(pattern) for pattern in config.deny]
        self._max_depth = config.max_depth
        self._left = min(max_pages or config.max_pages, config.max_pages)
        self._is_cut_short = False
        self._met: set[str] = set()
        self._waiting: deque[tuple[str, int]] = deque(maxlen=self._left)

    @property
    def room(self) -> int:
        """How many more URLs may be given out."""
        return max(0, self._left)

    @property
    def is_exhausted(self) -> bool:
        """Whether the page limit is reached."""
        return self._left <= 0

    def has_waiting(self) -> bool:
        """Return whether there are pages that the limit left out."""
        return self._is_cut_short or any(url not in self._met for url, _ in self._waiting)

    def is_inside(self, url: str) -> bool:
        """Return whether a URL is one of the source's domain."""
        return url.startswith(self.prefixes)

    def is_in_scope(self, url: str) -> bool:
        """Return whether a URL belongs to the source: its domain, its allow and deny patterns, no media file."""
        if len(url) > MAX_URL or not self.is_inside(url):
            return False
        if self._allow and not any(pattern.search(url) for pattern in self._allow):
            return False
        if any(pattern.search(url) for pattern in self._deny):
            return False
        return not urlsplit(url).path.lower().endswith(_SKIPPED)

    def unmet(self, urls: Iterable[str], depth: int = 0) -> list[str]:
        """Return those in scope that were not met before, without marking them; none when they are too deep."""
        if depth > self._max_depth:
            return []
        return [url for url in urls if url not in self._met and self.is_in_scope(url)]

    def has_met(self, url: str) -> bool:
        """Return whether a URL was met in this run."""
        return url in self._met

    def meet(self, url: str) -> bool:
        """Mark a URL as met and return whether it was new. For one that a redirect led to, or that is skipped."""
        if url in self._met:
            return False
        self._met.add(url)
        return True

    def take(self, url: str, depth: int = 0) -> bool:
        """Mark a URL as met and return whether it should be asked for: it is new and the limit has room."""
        if url in self._met:
            return False
        if self.is_exhausted:
            self._waiting.append((url, depth))
            return False
        self._met.add(url)
        self._left -= 1
        return True

    def take_again(self) -> bool:
        """Return whether a page that was met already may be asked for once more: the limit has room."""
        if self.is_exhausted:
            self._is_cut_short = True
            return False
        self._left -= 1
        return True

    def give_back(self) -> tuple[str, int] | None:
        """Free the place of a URL that may not be asked for, and return one that waits, with its depth."""
        self._left += 1
        while self._waiting:
            url, depth = self._waiting.popleft()
            if url not in self._met:
                return url, depth
        return None
