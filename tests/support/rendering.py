"""Crawls of a local site that is rendered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lcl_spiders.rendering.chromium import find_chromium
from tests.support.scrapy import Completed, run_scrapy

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


def render(database_url: str, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> Completed:
    """Crawl the source `town`."""
    spargs = [part for argument in arguments for part in ("-a", argument)]
    environment = {"LCL_CHROMIUM_PATH": chromium(), **(env or {})}
    return run_scrapy("crawl", "town", *spargs, database_url=database_url, env=environment, **options)


def rendered(database_url: str, *arguments: str, **options: Any) -> None:
    """Crawl the source `town`, which must succeed."""
    done = render(database_url, *arguments, **options)
    assert done.code == 0, done.stderr
