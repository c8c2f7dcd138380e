"""Known pages of whose text hardly anything is left: a redesign, or a wall that stands before the whole site."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from pipelines.similarity import resemblance, shingles

if TYPE_CHECKING:
    from lcl_spiders.items import PageItem
    from pipelines.run import Run

PIVOTS = 10
ALIKE = 0.8
LEAST = 3
ENOUGH = 50
SKETCH = 64


class ReplacedPages:
    """Keeps such pages back until it can be told what they are.

    A maintenance page, a consent wall, a log-in with status 200 say nothing of the pages: they are a wall when at least
    three pages (two, of a source that has no more), and more than half of the known ones that answered, say one and
    the same thing. When fifty have come without a wall among them it is a redesign, and none is kept any more, so that
    a run that is cut short has written what it read.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._items: list[PageItem] = []
        self._sketches: list[frozenset[int]] = []
        self._is_redesign = False

    def keep(self, item: PageItem) -> bool:
        """Keep a page, or return False where none is kept any more."""
        if self._is_redesign:
            return False
        self._items.append(item)
        self._sketches.append(sketch(f"{item.title or ''}\n{item.content}"))
        return True

    def is_redesign(self) -> bool:
        """Return whether what is kept can go on: enough to say that it is no wall."""
        if len(self._items) >= ENOUGH and not self._is_redesign:
            self._is_redesign = not self.wall()
        return self._is_redesign

    def wall(self) -> set[int]:
        """Return the positions of kept pages that say one and the same thing, if they are a wall."""
        run = self._run
        there = run.known_present(by_sitemap=False)
        least = max(2, min(LEAST, run.known_pages))
        for pivot in self._sketches[:PIVOTS]:
            alike = {number for number, each in enumerate(self._sketches) if resemblance(pivot, each) >= ALIKE}
            if len(alike) >= least and len(alike) > (len(self._items) + there) / 2:
                return alike
        return set()

    def release(self) -> list[PageItem]:
        """Return what is kept, and keep it no more."""
        items, self._items, self._sketches = self._items, [], []
        return items


def sketch(text: str) -> frozenset[int]:
    """Return the smallest shingles of a text (bottom-k sketch; Broder 1997): as alike as the texts, and small."""
    return frozenset(heapq.nsmallest(SKETCH, shingles(text)))
