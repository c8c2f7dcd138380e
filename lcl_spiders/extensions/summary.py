"""What a run did, in a few words: for the log, the command and the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lcl_spiders.ledger import as_money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lcl_spiders.ledger import Price

_PAGES = (
    ("new", "pages/new"),
    ("changed", "pages/changed"),
    ("embedded again", "pages/reembedded"),
    ("stripped of boilerplate", "pages/stripped"),
    ("given back what others lost", "pages/restored"),
    ("unchanged", "pages/unchanged"),
    ("not modified", "pages/not_modified"),
    ("skipped as fresh", "pages/skipped_recent"),
    ("skipped by lastmod", "pages/skipped_lastmod"),
    ("duplicate", "pages/duplicate"),
    ("waiting for a batch", "pages/pending"),
    ("without text", "pages/empty"),
    ("gone", "pages/gone"),
    ("kept though they look gone", "pages/kept_by_guard"),
    ("not judged", "pages/left_unjudged"),
    ("of another type", "pages/other_type"),
    ("not reached", "pages/unasked"),
    ("unknown", "pages/unknown"),
    ("failed", "pages/failed"),
)
_CHUNKS = (
    ("embedded", "chunks/embedded"),
    ("reused", "chunks/reused"),
    ("kept", "chunks/kept"),
)


def summarise(stats: Mapping[str, int | float], price: Price | None = None) -> str:
    """Return "3 pages new, 9 unchanged; 12 texts embedded, 4 reused; 12 requests, 0.2 MB" for a run's counters.

    With a price, also what its tokens cost.
    """
    megabytes = stats.get("bytes/downloaded", 0) / 1e6
    parts = [
        _list("pages", _PAGES, stats) or "no pages",
        _list("texts", _CHUNKS, stats) or "no texts embedded",
        f"{stats.get('requests/sent', 0)} page requests, {megabytes:.1f} MB",
    ]
    if price is not None:
        tokens = stats.get("tokens/embedded", 0)
        parts.append(f"{tokens:,} tokens for {as_money(price.of(tokens))} {price.currency}")
    return "; ".join(parts)


def _list(noun: str, kinds: tuple[tuple[str, str], ...], stats: Mapping[str, int | float]) -> str:
    found = [f"{stats[key]} {name}" for name, key in kinds if stats.get(key)]
    if not found:
        return ""
    count, _, kind = found[0].partition(" ")
    return ", ".join([f"{count} {noun} {kind}", *found[1:]])
