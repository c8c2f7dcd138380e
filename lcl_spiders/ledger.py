"""The savings ledger (C7): what a run spent, and what each rung of the refresh ladder spared it.

Reads the counters of `scrape_jobs.stats`, of one run or summed over many: `saved/<rung>/<unit>`, and those of what was
spent. A counter that is missing is 0.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from lcl_spiders.console import plain_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table
    from scrapy.settings import BaseSettings

    from db.usage import Day

PRICE = "LCL_PRICE_PER_MILLION_TOKENS"
CURRENCY = "LCL_PRICE_CURRENCY"
BATCH_SHARE = 0.5  # of the price, for tokens that came by a batch (https://openai.com/api/pricing)

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

SAVED_TOKENS = tuple(f"saved/{rung}/tokens" for rung in RUNGS)

_SPENT = {
    "requests": ("requests/sent", "requests/other"),
    "bytes": ("bytes/downloaded",),
    "chunks": ("chunks/embedded",),
    "tokens": ("tokens/embedded",),
}
_LEAST_MONEY = 0.0001


@dataclass(frozen=True)
class Price:
    """What a million tokens cost, in a currency that is only ever shown."""

    per_million: float
    currency: str

    def of(self, tokens: float, batched: float = 0) -> float:
        """Return what tokens cost; `batched` of them came by a batch, for less."""
        return (tokens - batched * (1 - BATCH_SHARE)) * self.per_million / 1e6


@dataclass(frozen=True)
class Row:
    """A line of the ledger: figures by unit, and money when there is a price."""

    name: str
    units: dict[str, int]
    money: float | None


def price(settings: BaseSettings) -> Price | None:
    """Return the price of tokens, None when none is set. Raises `ValueError` that names the setting."""
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
    return Price(value, str(settings.get(CURRENCY) or "USD"))


def rows(stats: Mapping[str, Any], price: Price | None = None) -> list[Row]:
    """Return what was spent, what each rung saved that saved anything, and the sum of what was saved.

    Nothing when nothing was counted.
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


def money(stats: Mapping[str, Any], price: Price | None) -> dict[str, float | str] | None:
    """Return the price of a million tokens, and what was spent and saved at it; None without a price."""
    if price is None:
        return None
    return {
        "price_per_million_tokens": price.per_million,
        "currency": price.currency,
        "spent": price.of(_count(stats, "tokens/embedded")),
        "saved": price.of(sum(_count(stats, key) for key in SAVED_TOKENS)),
    }


def days(usage: Sequence[Day], price: Price | None) -> list[dict[str, Any]]:
    """Return what each day spent and saved, with money when there is a price."""
    told = [asdict(day) for day in usage]
    if price is not None:
        for day in told:
            day["money"] = _money_of(day, price)
    return told


def in_all(usage: Sequence[Day], price: Price | None) -> dict[str, Any]:
    """Return the sum over days, with money when there is a price."""
    units = ("requests", "texts", "tokens", "batched", "reserved", "saved")
    total: dict[str, Any] = {unit: sum(getattr(day, unit) for day in usage) for unit in units}
    return total if price is None else {**total, "money": _money_of(total, price)}


def _money_of(figures: Mapping[str, Any], price: Price) -> dict[str, float]:
    return {"spent": price.of(figures["tokens"], figures["batched"]), "saved": price.of(figures["saved"])}


def days_table(usage: Sequence[Day], price: Price | None, *, limit: int) -> Table:
    """Return the newest days and the sum of all as a table."""
    columns = ["day (UTC)", "requests", "texts", "tokens", "by batch", "saved"]
    if price is not None:
        columns += [f"spent, {price.currency}", f"saved, {price.currency}"]
    table = plain_table(*columns, right=columns[1:])
    shown = [(f"{day['day']:%Y-%m-%d}", day) for day in days(usage[:limit], price)]
    for name, figures in [*shown, ("in all", in_all(usage, price))]:
        cells = [f"{figures[unit]:,}" for unit in ("requests", "texts", "tokens", "batched", "saved")]
        cells += [as_money(figures["money"][kind]) for kind in ("spent", "saved") if price is not None]
        table.add_row(name, *cells)
    return table


def as_table(ledger: Sequence[Row], price: Price | None = None) -> Table:
    """Return the ledger as a table; a figure that is 0 is left blank between the first and the last row."""
    columns = ("ledger", *UNITS, *([] if price is None else [price.currency]))
    table = plain_table(*columns, right=columns[1:])
    for row in ledger:
        is_sum = row in (ledger[0], ledger[-1])
        cells = [_cell(unit, row.units.get(unit), is_sum=is_sum) for unit in UNITS]
        if row.money is not None:
            cells.append(as_money(row.money) if row.money or is_sum else "")
        table.add_row(row.name, *cells)
    return table


def _row(name: str, units: dict[str, int], price: Price | None) -> Row:
    return Row(name, units, None if price is None else price.of(units["tokens"]))


def _count(stats: Mapping[str, Any], key: str) -> int:
    return int(stats.get(key, 0))


def _cell(unit: str, figure: int | None, *, is_sum: bool) -> str:
    if figure is None or (figure == 0 and not is_sum):
        return ""
    return decimal(figure) if unit == "bytes" else f"{figure:,}"


def as_money(amount: float) -> str:
    """Return an amount with four decimals; one that they cannot show is told to be less than the least."""
    return f"<{_LEAST_MONEY}" if 0 < amount < _LEAST_MONEY else f"{amount:,.4f}"
