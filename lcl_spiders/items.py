"""The vocabulary of the whole system: a page, and how its URL ends a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.outcome import Outcome

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from db.page_rows import Cover, Fetch
    from db.pages import KnownPage, Standing
    from pipelines.chunker import Chunk
    from pipelines.trust import Signal

__all__ = ["ListedPages", "Outcome", "PageItem"]


@dataclass(slots=True)
class PageItem:
    """One page's outcome in one run. `pipelines.outcome` says what each field means and who sets it."""

    url: str
    outcome: Outcome
    title: str | None = None
    language: str | None = None
    content: str = field(default="", repr=False)
    body_hash: bytes | None = field(default=None, repr=False)
    etag: str | None = None
    last_modified: str | None = None
    outlinks: Sequence[str] = field(default=(), repr=False)
    structured: dict[str, Any] | None = field(default=None, repr=False)
    http_status: int | None = None
    reason: str | None = None
    message: str | None = None
    seen_at: dt.datetime | None = None
    known: KnownPage | None = field(default=None, repr=False)
    fetch: Fetch | None = field(default=None, repr=False)
    claims: Collection[Signal] = ()
    signal: Signal | None = None
    canonical: str | None = None
    duplicate_of: int | None = None
    target: str | None = None
    retry_after: int | None = None
    content_hash: bytes | None = field(default=None, repr=False)
    chunks: Sequence[Chunk] = field(default=(), repr=False)
    vectors: Mapping[bytes, Any] = field(default_factory=dict, repr=False)
    awaits: Mapping[bytes, str] = field(default_factory=dict, repr=False)
    covers: Sequence[Cover] = field(default=(), repr=False)


@dataclass(slots=True)
class ListedPages:
    """Known pages that a believed sitemap says did not change; `url` is the sitemap's."""

    url: str
    listed: Sequence[Standing] = field(repr=False)
    outcome: Outcome = Outcome.LISTED
