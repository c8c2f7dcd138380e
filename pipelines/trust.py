"""Which of a source's signals a run believes, and what it learns of them (C6).

A signal lies when it says "unchanged" of a page whose content changed. One that changes over the same content is only
useless.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from db.signals import Record

DEARER = 4  # each lie makes the next trust this many times dearer, up to MAX_LIES lies
MAX_LIES = 3


class Signal(StrEnum):
    """What a site says about its pages without sending them."""

    ETAG = "etag"
    LAST_MODIFIED = "last_modified"
    SITEMAP_LASTMOD = "sitemap_lastmod"


class Trust:
    """The signals of one source during one run.

    Believed after `needed` runs in which a signal was compared with pages that were downloaded and did not lie.
    """

    def __init__(self, records: Mapping[str, Record], needed: int) -> None:
        self._believed = {signal for signal in Signal if is_earned(records.get(signal), needed)}
        self._agreed: set[Signal] = set()
        self._lies: dict[Signal, str] = {}
        self._unrecorded: dict[str, str] = {}

    def believes(self, signal: Signal) -> bool:
        """Return whether "unchanged" by this signal spares a page its download."""
        return signal in self._believed

    @property
    def believes_any(self) -> bool:
        """Whether any signal spares pages their download."""
        return bool(self._believed)

    @property
    def has_lies(self) -> bool:
        """Whether a lie was found in this run."""
        return bool(self._lies)

    def has_lied(self, signal: str) -> bool:
        """Return whether a lie of the signal was found in this run."""
        return signal in self._lies

    def compare(self, claims: Iterable[Signal], url: str, *, is_same: bool) -> list[Signal]:
        """Take in what was found of signals that said "unchanged" of a page; return those that lose their trust now."""
        revoked = []
        for signal in claims:
            if is_same:
                self._agreed.add(signal)
            elif signal not in self._lies:
                self._lies[signal] = self._unrecorded[signal] = url
                if signal in self._believed:
                    self._believed.remove(signal)
                    revoked.append(signal)
        return revoked

    def unrecorded_lies(self) -> dict[str, str]:
        """Return lies that the database does not know of, by signal, with the page of each."""
        return dict(self._unrecorded)

    def recorded(self, lies: Iterable[str]) -> None:
        """Note that the database knows of these lies."""
        for signal in lies:
            self._unrecorded.pop(signal, None)

    def agreed(self) -> list[str]:
        """Return the signals that were compared in this run and did not lie."""
        return sorted(self._agreed - self._lies.keys())


def is_earned(record: Record | None, needed: int) -> bool:
    """Return whether a signal's record makes it believed; after a lie it takes `DEARER` times as many runs."""
    return record is not None and record.agreed_runs >= runs_needed(record, needed)


def runs_needed(record: Record, needed: int) -> int:
    """Return how many runs without a lie a signal needs."""
    dearer: int = DEARER ** min(record.lies, MAX_LIES)
    return needed * dearer
