"""The settings of discovery, checked before the first candidate is asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lcl_spiders.discovery.noise import NOISE_DOMAINS

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "reachable": 0.10,
        "robots": 0.05,
        "sitemap": 0.15,
        "feed": 0.15,
        "structured": 0.15,
        "text": 0.25,
        "rendering": 0.10,
        "language": 0.05,
    }
)
"""What can be read adds up to 0.55; any one of sitemap, feed and structured data brings that to the threshold."""

THRESHOLD = 0.70


@dataclass(frozen=True)
class DiscoveryConfig:
    """How candidates are probed and judged. Times in seconds."""

    threshold: float = THRESHOLD
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    samples: int = 5
    languages: frozenset[str] = frozenset()
    noise_domains: frozenset[str] = NOISE_DOMAINS
    timeout: float = 15.0
    candidate_timeout: float = 90.0
    concurrency: int = 16
    delay: float = 1.0
    allows_private: bool = False

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> DiscoveryConfig:
        """Read the `LCL_DISCOVERY_` settings. Raises `ValueError` naming the setting that is wrong."""
        return cls(
            threshold=_number(settings, "LCL_DISCOVERY_THRESHOLD", cls.threshold, 0, 1),
            weights=parse_weights(settings.get("LCL_DISCOVERY_WEIGHTS")),
            samples=int(_number(settings, "LCL_DISCOVERY_SAMPLES", cls.samples, 0, 50, whole=True)),
            languages=frozenset(word.lower() for word in _words(settings, "LCL_DISCOVERY_LANGUAGES")),
            noise_domains=_noise_domains(_words(settings, "LCL_DISCOVERY_NOISE_DOMAINS")),
            timeout=_number(settings, "LCL_DISCOVERY_TIMEOUT", cls.timeout, 0.1, 300),
            candidate_timeout=_number(settings, "LCL_DISCOVERY_CANDIDATE_TIMEOUT", cls.candidate_timeout, 0.1, 3600),
            concurrency=int(_number(settings, "LCL_DISCOVERY_CONCURRENCY", cls.concurrency, 1, 200, whole=True)),
            delay=_number(settings, "LCL_DISCOVERY_DELAY", cls.delay, 0, 60),
            allows_private=str(settings.get("LCL_ALLOW_PRIVATE_NETWORKS") or "").strip().lower() not in {"", "false"},
        )


def parse_weights(given: Any) -> Mapping[str, float]:
    """Return the weights, those that are given in place of the defaults; a dict, or the JSON of one.

    Raises `ValueError` for a name that is no evidence, a weight that is no number of at least 0, and nothing but zeros.
    """
    name = "LCL_DISCOVERY_WEIGHTS"
    if given is None or given == "":
        return WEIGHTS
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            msg = f'{name} is no JSON ({error}): give, for example, {{"feed": 0.3}}'
            raise ValueError(msg) from None
    if not isinstance(given, Mapping):
        msg = f'{name} is {given!r}: give an object, for example {{"feed": 0.3}}'
        raise ValueError(msg)  # noqa: TRY004 - a setting with a wrong value, whatever is wrong with it
    if strange := sorted(map(str, given.keys() - WEIGHTS.keys())):
        msg = f"{name}: there is no evidence called {', '.join(strange)}. There is: {', '.join(WEIGHTS)}"
        raise ValueError(msg)
    for key, weight in given.items():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight) or weight < 0:
            msg = f"{name}: {key} is {weight!r}: give a number of at least 0"
            raise ValueError(msg)
    weights = {**WEIGHTS, **{key: float(weight) for key, weight in given.items()}}
    if not any(weights.values()):
        msg = f"{name}: every weight is 0, so that nothing could be scored"
        raise ValueError(msg)
    return weights


def _number(
    settings: BaseSettings, name: str, default: float, low: float, high: float, *, whole: bool = False
) -> float:
    given = settings.get(name)
    if given is None or given == "":
        return default
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not low <= value <= high or (whole and not value.is_integer()):
        msg = f"{name} is {given!r}: give a {'whole ' if whole else ''}number from {low} to {high}"
        raise ValueError(msg)
    return value


def _words(settings: BaseSettings, name: str) -> list[str]:
    given = settings.get(name) or []
    words = given.split(",") if isinstance(given, str) else given
    return [stripped for word in words if (stripped := str(word).strip())]


def _noise_domains(given: list[str]) -> frozenset[str]:
    """Return the domains that are given; with those of the default list where the first begins with a plus."""
    if not given:
        return NOISE_DOMAINS
    adds = given[0].startswith("+")
    named = frozenset(domain.lstrip("+").strip().lower().removeprefix("www.") for domain in given) - {""}
    return named | NOISE_DOMAINS if adds else named
