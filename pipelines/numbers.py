"""Settings that are numbers, read strictly: a wrong one is named with what it may be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings


def whole_number(settings: BaseSettings, name: str, low: int, high: int, default: int | None = None) -> int:
    """Return a setting that must be a whole number in a range. Raises `ValueError` that says so."""
    value = optional_number(settings, name, low, high, default)
    if value is None:
        msg = f"{name} is not set: give a whole number from {low} to {high}"
        raise ValueError(msg)
    return value


def optional_number(settings: BaseSettings, name: str, low: int, high: int, default: int | None = None) -> int | None:
    """Return a whole number in a range, or the default where none is given. Raises `ValueError` for anything else."""
    given = settings.get(name)
    if given is None or given == "":
        return default
    try:
        value = int(given)
    except (TypeError, ValueError):
        value = low - 1
    if not low <= value <= high:
        msg = f"{name} is {given!r}: give a whole number from {low} to {high}"
        raise ValueError(msg)
    return value


def number(settings: BaseSettings, name: str, low: float, high: float) -> float:
    """Return a setting that must be a number in a range. Raises `ValueError` that says so."""
    given = settings.get(name)
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not low <= value <= high:
        msg = f"{name} is {given!r}: give a number from {low} to {high}"
        raise ValueError(msg)
    return value


def share(settings: BaseSettings, name: str) -> float:
    """Return a setting that must be a share from 0 to 1. Raises `ValueError` that says so."""
    return number(settings, name, 0, 1)
