"""What repeats across the pages of a site, as far as one page shows it: pure functions over its Markdown.

A unit is what stands between two empty lines: a paragraph, a whole list, a code block. Light to import: a crawl takes
units out of texts that its workers wrote.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

LEAST_WORDS = 5
"""Words of the shortest unit that may be boilerplate, and of the text of its own that a page is left with."""

HASH_BYTES = 16
_MOST_UNITS = 400  # of a page that are looked at: what repeats stands at its ends, half of these at each
_FENCE = re.compile(r"^[> ]*(`{3,}|~{3,})")
_HEADING = re.compile(r"^[> ]*(#{1,6})[ \t]")
_NO_PROSE = re.compile(r"^[> ]*(?:#{1,6}[ \t]|`{3,}|~{3,}|\||: )")
_DEFINITION = "\n: "


def units(markdown: str) -> list[str]:
    """Return the units of a text in order; empty lines within a code block part nothing."""
    found: list[str] = []
    code: list[str] = []
    fence: str | None = None
    for part in markdown.split("\n\n"):
        if "```" in part or "~~~" in part:
            fence = _fence_after(part, fence)
        elif fence is None:  # as nearly all
            if unit := part.strip("\n"):
                found.append(unit)
            continue
        code.append(part)
        if fence is None:
            found.append("\n\n".join(code).strip("\n"))
            code = []
    if code:
        found.append("\n\n".join(code).strip("\n"))
    return found


def unit_hash(unit: str) -> bytes:
    """Return what tells a unit from others, whatever its white space: 16 bytes of BLAKE2b (RFC 7693)."""
    return blake2b(" ".join(unit.split()).encode(), digest_size=HASH_BYTES).digest()


def unit_hashes(markdown: str) -> set[bytes]:
    """Return the hashes of all units of a text."""
    return set(map(unit_hash, units(markdown)))


def is_prose(unit: str) -> bool:
    """Return whether a unit may be boilerplate: prose or a list, of five words or more.

    Headings, code, tables and definitions are the structure of a text, and never boilerplate by themselves.
    """
    return _NO_PROSE.match(unit) is None and _DEFINITION not in unit and len(unit.split()) >= LEAST_WORDS


def repeatable(markdown: str, protected: Collection[bytes] = ()) -> set[bytes]:
    """Return the hashes of a page's units that may be boilerplate, but for those that are `protected`."""
    found = units(markdown)
    if len(found) > _MOST_UNITS:
        found = found[: _MOST_UNITS // 2] + found[-_MOST_UNITS // 2 :]
    return {unit_hash(unit) for unit in found if is_prose(unit)}.difference(protected)


def hashes_of(texts: Iterable[str]) -> bytes:
    """Return the hashes of all units in some texts, one after the other: what is protected, on its way."""
    return b"".join(unit_hash(unit) for text in texts for unit in units(text))


def parted(hashes: bytes) -> set[bytes]:
    """Return hashes that stand one after the other, one by one."""
    return {hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)}


def without(markdown: str, boilerplate: Collection[bytes], protected: Collection[bytes] = ()) -> tuple[str, list[str]]:
    """Return a text without the units whose hashes are given, and these units; one that is `protected` stays.

    A heading under which nothing is left goes with them, but no page's main heading. A text that would have nothing of
    its own left, not five words, stays whole: there, what is boilerplate elsewhere is what the page is about.
    """
    found = units(markdown)
    is_out = [
        is_prose(unit) and (digest := unit_hash(unit)) in boilerplate and digest not in protected for unit in found
    ]
    if not any(is_out) or not any(_is_own(unit) for unit, out in zip(found, is_out, strict=True) if not out):
        return markdown, []
    _leave_out_headings(found, is_out)
    kept = [unit for unit, out in zip(found, is_out, strict=True) if not out]
    return "\n\n".join(kept), [unit for unit, out in zip(found, is_out, strict=True) if out]


def _fence_after(part: str, fence: str | None) -> str | None:
    """Return the fence of the code block that is open after a part, when `fence` was before it."""
    for line in part.split("\n"):
        if (mark := _FENCE.match(line)) is None:
            continue
        if fence is None:
            fence = mark[1]
        elif mark[1].startswith(fence):
            fence = None
    return fence


def _is_own(unit: str) -> bool:
    return len(unit.split()) >= LEAST_WORDS and _HEADING.match(unit) is None


def _leave_out_headings(found: list[str], is_left_out: list[bool]) -> None:
    """Mark headings below the first level of whose section everything is left out, the innermost first."""
    marks = [_HEADING.match(unit) for unit in found]
    levels = [len(mark[1]) if mark is not None else 0 for mark in marks]
    for at in range(len(found) - 1, -1, -1):
        if levels[at] < 2:
            continue
        end = next((n for n in range(at + 1, len(found)) if 0 < levels[n] <= levels[at]), len(found))
        if end > at + 1 and all(is_left_out[at + 1 : end]):
            is_left_out[at] = True
