"""Whether pages that look gone are deleted (C4): a site that seems to lose most of its pages is rather ill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from db.page_writes import Departure

GUARD_SHARE, GUARD_LEAST = 0.5, 10
MOVED = "redirect"


@dataclass(frozen=True, slots=True)
class Loss:
    """How many pages a source seems to lose, out of how many that could have been lost."""

    lost: int
    of: int

    @property
    def is_suspect(self) -> bool:
        """Whether it takes an operator to believe it."""
        return self.lost >= GUARD_LEAST and self.lost > self.of * GUARD_SHARE


def loss(gone: Iterable[Departure], *, total: int, present: int) -> Loss:
    """Weigh the departures of indexed pages against the source's `total` pages and those `present` in this run.

    A page that is there under another URL is no loss, and a whole site may move; but of many that lead to one place
    only one is still there. What a run did not look at speaks neither for nor against, so that many small runs over an
    ill site cannot drain the index a little each.
    """
    lost, targets = 0, set()
    for departure in gone:
        if departure.reason == MOVED and departure.target not in targets:
            targets.add(departure.target)
        else:
            lost += 1
    return Loss(lost, min(total, lost + present))
