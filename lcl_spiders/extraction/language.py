"""The language of a page: the one it states, unless its text plainly is in another; none where nothing is certain."""

import re
from collections.abc import Iterable
from typing import cast

from resiliparse.parse.lang import detect_fast

from lcl_spiders.extraction.blocks import Block

_ENOUGH = 200  # characters of prose; shorter texts are taken for any language
_READ = 5_000
_CUTOFF = 10_000  # no bound of the detector's own: how far the next language is away decides, too

# The detector's figures are distances in units of its own, smaller being nearer. Measured on the Universal Declaration
# of Human Rights in 16 languages and on 500 pages of documentation: prose comes to 400-710, with the next language at
# least 20 further; names, tables and indexes to as much, with several languages within 15; code to more than 990.
# Scripts that few languages share come to 690-1,100 with no neighbour within 50.
_NEAR, _APART = 720, 20
_FAR, _ALONE = 1_150, 50
_CONTRADICTS = 30
_SPACE = re.compile(r"\s+")


def language_of(stated: str | None, blocks: Iterable[Block]) -> str | None:
    """Return the primary subtag ("en") of a page's language, None where it neither states one nor shows one plainly.

    What the page states is believed unless its text is plainly in another: themes and frameworks state "en" of
    themselves.
    """
    prose = " ".join(
        block.text for block in blocks if block.reason is None and block.kind in {"text", "heading", "card"}
    )
    return decided(stated, prose)


def decided(stated: str | None, prose: str) -> str | None:
    """Return the language of a text for which a page states one or none."""
    text = _SPACE.sub(" ", prose[:_READ])
    if len(text) < _ENOUGH:
        return stated
    nearest = cast("list[tuple[str, int]]", detect_fast(text, cutoff=_CUTOFF, n_results=2))
    (detected, distance), (_, next_distance) = nearest
    margin = next_distance - distance
    if detected == stated:
        return stated
    is_plain = (distance <= _NEAR and margin >= _APART) or (distance <= _FAR and margin >= _ALONE)
    if stated is None:
        return detected if is_plain else None
    return detected if is_plain and margin >= _CONTRADICTS else stated
