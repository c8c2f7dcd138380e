"""A search as it was asked for, on the command line or over HTTP, checked: every bad value is named."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from db.urls import canonical_url
from lcl_spiders.sources import durations
from pipelines import query

if TYPE_CHECKING:
    from pipelines.config import Config
    from pipelines.query import Result

MAX_LIMIT = 100
MAX_LENGTH = 1000
"""Characters of a query that are looked at: `lcl_text_queries` reads no more, and no question is longer."""

MAX_PATH = 256
"""Characters of a path that the index knows (`lcl_url_path`)."""

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_NUMBER = re.compile(r"[0-9.]+")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the index: a text, and what the answers are narrowed to. `limit` is the most pages to answer."""

    text: str
    limit: int = 10
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    path: str | None = None
    since: dt.datetime | None = None
    text_only: bool = False

    async def ask(self, config: Config) -> list[Result]:
        """Return the best pages. Raises as `pipelines.query.search`."""
        return await query.search(
            self.text,
            limit=self.limit,
            sources=self.sources,
            languages=self.languages,
            path=self.path,
            since=self.since,
            text_only=self.text_only,
            config=config,
        )

    @property
    def narrowed_to(self) -> str:
        """What the answers are narrowed to, in words: " in example, in nl, under /docs/"; nothing for everything."""
        parts = [
            f" in {' or '.join(self.sources)}" if self.sources else "",
            f" in {' or '.join(self.languages)}" if self.languages else "",
            f" under {self.path}" if self.path else "",
            f" changed since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else "",
        ]
        return ",".join(part for part in parts if part)


def text(given: str) -> str:
    """Return a query without the white space around it. Raises `ValueError` for one without a word, or too long."""
    # What a terminal of another encoding hands over is no text yet: neither a model nor the database takes surrogates.
    stripped = given.replace("\0", "").encode(errors="replace").decode().strip()
    if not stripped:
        raise ValueError("say what to search for")
    if len(stripped) > MAX_LENGTH:
        raise ValueError(f"a query has at most {MAX_LENGTH:,} characters, and this one {len(stripped):,}")
    return stripped


def language(given: str) -> str:
    """Return a primary language subtag (BCP 47), as pages have it. Raises `ValueError`."""
    subtag = given.strip().lower()
    if not _LANGUAGE.fullmatch(subtag):
        raise ValueError(f"{given!r} is no language that pages are kept by: give two or three letters, as in nl")
    return subtag


def path(given: str) -> str:
    """Return how paths of URLs begin, spelt as those of canonical URLs are ("/docs/"). Raises `ValueError`."""
    parts = urlsplit(f"https://host.invalid{given}") if given.startswith("/") else None
    if parts is None or parts.query or parts.fragment:
        raise ValueError(f"{given!r} is no path of a URL: give how it begins, as in /docs/")
    try:
        spelt = urlsplit(canonical_url(parts.geturl())).path
    except ValueError as error:
        raise ValueError(f"{given!r} is no path of a URL: {error}") from None
    if len(spelt) > MAX_PATH:
        raise ValueError(f"a path to search under has at most {MAX_PATH} characters")
    return spelt


def since(given: str, now: dt.datetime | None = None) -> dt.datetime:
    """Return a time in UTC: that of a date or time in ISO 8601 (UTC where it says nothing), or so long ago ("7d").

    Raises `ValueError`, for a time to come as well.
    """
    now = now or dt.datetime.now(dt.UTC)
    try:
        moment = dt.datetime.fromisoformat(given.strip())
    except ValueError:
        moment = now - _ago(given)
    moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    if moment > now:
        raise ValueError(f"{given!r} is still to come: give a date of the past, or how long ago")
    return moment


def _ago(given: str) -> dt.timedelta:
    try:
        # A bare number would be seconds, and "2026" a year to whoever wrote it.
        if not _NUMBER.fullmatch(given.strip()):
            return dt.timedelta(seconds=durations.seconds(given))
    except ValueError:
        pass
    msg = (
        f'{given!r} is no time: give a date ("2026-10-01"), a time ("2026-10-01T08:00Z") or how long ago ("7d", "12h")'
    )
    raise ValueError(msg)
