"""How much of one text is in another, by shingles (Broder, "On the resemblance and containment of documents", 1997)."""

from __future__ import annotations

import re

# Thai, Lao, Burmese, Khmer, Japanese and Chinese put no space between words: there each character counts as a word, or
# one edit would change five sentences' shingles.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """Return the words of a text or of Markdown in order, casefolded: runs of letters and digits, no marks."""
    return _WORD.findall(text.casefold())


def shingles(text: str, size: int = 5) -> frozenset[int]:
    """Return a hash of every run of `size` words; of all of them where there are fewer; empty without any.

    The hashes of one process do not compare with those of another.
    """
    found = words(text)
    if len(found) < size:
        return frozenset([hash(tuple(found))] if found else [])
    return frozenset(map(hash, zip(*(found[start:] for start in range(size)), strict=False)))


def containment(part: frozenset[int], whole: frozenset[int]) -> float:
    """Return the share of `part` that is in `whole`: 0.0 to 1.0, and 0.0 when `part` is empty."""
    return len(part & whole) / len(part) if part else 0.0


def resemblance(a: frozenset[int], b: frozenset[int]) -> float:
    """Return the share of two texts' shingles that both have (Jaccard): 0.0 to 1.0, and 0.0 when both are empty."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if shared else 0.0
