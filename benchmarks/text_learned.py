"""What would be learned to be boilerplate on a site of which every sentence is main text: nothing should be (D6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from db.boilerplate import Repeated
from lcl_spiders.base_spiders.boilerplate import judged
from lcl_spiders.extraction.boilerplate import is_prose, unit_hash, units, without

SHOWN = 60


def learned_of(name: str, texts: Sequence[str]) -> str:
    """Return in a line what a site's texts, all of one kind, have in common, and what taking it out would cost them."""
    counts: Counter[bytes] = Counter()
    said: dict[bytes, str] = {}
    for text in texts:
        found = {unit_hash(unit): unit for unit in units(text) if is_prose(unit)}
        counts.update(found.keys())
        said |= found
    repeated = Repeated({name: len(texts)}, {(name, unit): count for unit, count in counts.items()})
    known = {each.unit_hash for each in judged(repeated, ())}
    taken = sum(len(text) - len(without(text, known)[0]) for text in texts)
    line = f"{name}: {len(known)} units learned to be boilerplate, {taken / sum(map(len, texts)):.2%} of the text"
    if not counts:
        return line
    ((most, count),) = counts.most_common(1)
    return f"{line}; most pages, {count / len(texts):.1%}, have: {' '.join(said[most].split())[:SHOWN]!r}"
