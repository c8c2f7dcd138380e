"""What was kept of a page against what it is about: pure functions over texts."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHINGLE = 5
"""Words that follow each other, as in the article-extraction benchmark of Zyte, which takes four."""

_TARGET = re.compile(r"\]\((?:[^()\s]|\([^()]*\))*\)")
_NUMBER = re.compile(r"^[ >\xa0-]*\d{1,3}\.\s", re.MULTILINE)
_WORD = re.compile(r"[^\W_]+")


@dataclass
class Score:
    """Sums over pages. Precision, recall and F1 are means over pages, as each page is one answer."""

    precisions: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    kept: int = 0
    foreign: int = 0
    cards: int = 0
    titles_kept: int = 0
    dates_kept: int = 0

    @property
    def precision(self) -> float:
        return _mean(self.precisions)

    @property
    def recall(self) -> float:
        return _mean(self.recalls)

    @property
    def f1(self) -> float:
        pairs = zip(self.precisions, self.recalls, strict=True)
        return _mean([2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs])

    @property
    def boilerplate(self) -> float:
        """The share of the kept words that stand neither in the main text nor in what is neutral."""
        return self.foreign / self.kept if self.kept else 0.0

    def add(
        self, kept: str, truth: Sequence[str], neutral: Sequence[str] = (), cards: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Count a page: what was kept as Markdown or text, and the parts of its main text in order."""
        phrases = [f" {' '.join(words(phrase))} " for phrase in sorted(neutral, key=len, reverse=True)]
        wanted = words("\n".join(truth))
        counted = words(kept)
        line = f" {' '.join(counted)} "
        for phrase in phrases:
            line = line.replace(phrase, " ")
        found = line.split()
        # A neutral phrase may be a word of the main text as well; there it must not be missed.
        for phrase in phrases:
            wanted = f" {' '.join(wanted)} ".replace(phrase, " ").split()
        precision, recall = _compared(shingles(found), shingles(wanted))
        self.precisions.append(precision)
        self.recalls.append(recall)
        self.kept += len(found)
        self.foreign += sum((Counter(found) - Counter(wanted)).values())
        whole = f" {' '.join(counted)} "
        for title, date in cards:
            self.cards += 1
            place = whole.find(f" {' '.join(words(title))} ")
            self.titles_kept += place >= 0
            self.dates_kept += f" {' '.join(words(date))} " in whole


def words(text: str) -> list[str]:
    """Return the words of Markdown or plain text in lower case, without marks, targets of links, numbers of lists."""
    # The numbers of lists stand in no markup: they are left out where they are written, too.
    return _WORD.findall(_NUMBER.sub("", _TARGET.sub("]", text)).replace("`", "").lower())


def shingles(found: Sequence[str]) -> Counter[tuple[str, ...]]:
    """Return how often each run of five words occurs; a shorter text is one run."""
    if len(found) <= SHINGLE:
        return Counter([tuple(found)]) if found else Counter()
    return Counter(tuple(found[start : start + SHINGLE]) for start in range(len(found) - SHINGLE + 1))


def _compared(found: Counter[tuple[str, ...]], wanted: Counter[tuple[str, ...]]) -> tuple[float, float]:
    common = sum((found & wanted).values())
    if not wanted:
        return (1.0, 1.0) if not found else (0.0, 1.0)
    return (common / found.total() if found else 0.0), common / wanted.total()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
