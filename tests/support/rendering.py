"""Crawls of a local site that is rendered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lcl_spiders.rendering.chromium import find_chromium
from tests.support.scrapy import run_scrapy

if TYPE_CHECKING:
    from lcl_spiders.local_site import LocalSite


def chromium() -> str:
    """Return the browser that the tests use: crawls in tests see no `LCL_` variable of the outside."""
    return find_chromium(os.environ.get("LCL_CHROMIUM_PATH"))


def register(site: LocalSite, database_url: str, *settings: str) -> None:
    """Store a site as the source `town`, rendered."""
    chosen = [part for setting in ("render=always", *settings) for part in ("--set", setting)]
    added = run_scrapy("sources", "add", site.url("/"), "--slug", "town", *chosen, database_url=database_url)
    assert added.code == 0, added.stderr


def rendered(database_url: str, *, env: dict[str, str] | None = None) -> None:
    """Crawl the source `town`, which must succeed."""
    done = run_scrapy("crawl", "town", database_url=database_url, env={"LCL_CHROMIUM_PATH": chromium(), **(env or {})})
    assert done.code == 0, done.stderr
