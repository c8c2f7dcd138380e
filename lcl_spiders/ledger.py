"""The savings ledger (C7): what a run spent, and what each rung of the refresh ladder spared it.

Reads the counters of `scrape_jobs.stats`, of one run or summed over many: `saved/<rung>/<unit>`, and those of what was
spent. A counter that is missing is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from lcl_spiders.console import plain_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table
    from scrapy.settings import BaseSettings

PRICE = "LCL_PRICE_PER_MILLION_TOKENS"

RUNGS = {
    "recent": "checked lately",
    "lastmod": "lastmod unchanged",
    "not_modified": "answered 304",
    "body": "same body",
    "content": "same text",
    "chunk": "chunks kept",
    "reuse": "chunks reused",
}
"""The rungs in the order in which a page comes to them, and what each is called in the table."""

UNITS = ("pages", "requests", "bytes", "chunks", "tokens")

_SPENT = {
    "requests": ("requests/sent", "requests/other"),
    "bytes": ("bytes/downloaded",),
    "chunks": ("chunks/embedded",),
    "tokens": ("tokens/embedded",),
}
_LEAST_MONEY = 0.0001


@dataclass(frozen=True)
class Row:
    """A line of the ledger: figures by unit, and money when there is a price."""

    name: str
    units: dict[str, int]
    money: float | None


def price(settings: BaseSettings) -> float | None:
    """Return the price of a million tokens, None when none is set. Raises `ValueError` that names the setting."""
    given = settings.get(PRICE)
    if given is None or str(given).strip() == "":
        return None
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value < math.inf:
        msg = f"{PRICE} is {given!r}: give a number of at least 0, or nothing for a ledger without money"
        raise ValueError(msg)
    return value


def rows(stats: Mapping[str, Any], price: float | None = None) -> list[Row]:
    """Return what was spent, what each rung saved that saved anything, and the sum of what was saved.

    Nothing when nothing was counted. `price` is for a million tokens, in any currency.
    """
    spent = {unit: sum(_count(stats, key) for key in keys) for unit, keys in _SPENT.items()}
    rungs = {rung: {unit: _count(stats, f"saved/{rung}/{unit}") for unit in UNITS} for rung in RUNGS}
    saved = {unit: sum(units[unit] for units in rungs.values()) for unit in UNITS}
    if not any(spent.values()) and not any(saved.values()):
        return []
    return [
        _row("spent", spent, price),
        *(_row(RUNGS[rung], units, price) for rung, units in rungs.items() if any(units.values())),
        _row("saved", saved, price),
    ]


def money(stats: Mapping[str, Any], price: float | None) -> dict[str, float] | None:
    """Return the price of a million tokens, and what was spent and saved at it; None without a price."""
    if price is None:
        return None
    saved = sum(_count(stats, f"saved/{rung}/tokens") for rung in RUNGS)
    return {
        "price_per_million_tokens": price,
        "spent": _cost(_count(stats, "tokens/embedded"), price),
        "saved": _cost(saved, price),
    }


def as_table(ledger: Sequence[Row]) -> Table:
    """Return the ledger as a table; a figure that is 0 is left blank between the first and the last row."""
    has_money = any(row.money is not None for row in ledger)
    columns = ("ledger", *UNITS, *(["money"] if has_money else []))
    table = plain_table(*columns, right=columns[1:])
    for row in ledger:
        is_sum = row in (ledger[0], ledger[-1])
        cells = [_cell(unit, row.units.get(unit), is_sum=is_sum) for unit in UNITS]
        if row.money is not None:
            cells.append(_as_money(row.money) if row.money or is_sum else "")
        table.add_row(row.name, *cells)
    return table


def _row(name: str, units: dict[str, int], price: float | None) -> Row:
    return Row(name, units, None if price is None else _cost(units["tokens"], price))


def _count(stats: Mapping[str, Any], key: str) -> int:
    return int(stats.get(key, 0))


def _cost(tokens: int, price: float) -> float:
    return tokens * price / 1e6


def _cell(unit: str, figure: int | None, *, is_sum: bool) -> str:
    if figure is None or (figure == 0 and not is_sum):
        return ""
    return decimal(figure) if unit == "bytes" else f"{figure:,}"


def _as_money(amount: float) -> str:
    return f"<{_LEAST_MONEY}" if 0 < amount < _LEAST_MONEY else f"{amount:,.4f}"
