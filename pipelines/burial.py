"""Whether pages that look gone are deleted (C4): a site that seems to lose most of its pages is rather ill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from db.page_rows import Departure

GUARD_SHARE, GUARD_LEAST = 0.5, 10
MOVED = ("redirect", "canonical")


@dataclass(frozen=True, slots=True)
class Loss:
    """How many pages a source seems to lose, out of how many that could have been lost."""

    lost: int
    of: int

    @property
    def is_suspect(self) -> bool:
        """Whether it takes an operator to believe it."""
        return self.lost >= GUARD_LEAST and self.lost > self.of * GUARD_SHARE


def loss(gone: Iterable[Departure], indexed: Mapping[str, int], *, total: int, present: int) -> Loss:
    """Weigh the departures of indexed pages against the source's `total` pages and those `present` in this run.

    `total` and `present` count pages that were known before the run; `indexed` maps the URLs that pages moved to, and
    that are indexed, to the ids of the pages that hold their text. A page that is there under another URL is no loss,
    and a whole site may move; but of many that lead to one text only one is still there. What a run did not look at
    speaks neither for nor against, so that many small runs over an ill site cannot drain the index a little each.
    """
    lost, moved = 0, 0
    places = set()
    for departure in gone:
        place = indexed.get(departure.target or "") if departure.reason in MOVED else None
        if place is None or place in places:
            lost += 1
        else:
            places.add(place)
            moved += 1
    return Loss(lost, min(total - moved, lost + present))
