"""What is written of pages: the rows that `db.page_writes` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from db.pages import Embedding


@dataclass(frozen=True, slots=True)
class Validators:
    """What may differ on a page whose content did not change (A14)."""

    body_hash: bytes | None
    etag: str | None
    last_modified: str | None
    outlinks: Sequence[str]


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk as it is written. `embedding` is None when the page has this chunk already.

    `content` is None when it stands, with heading and language, in the page's chunk under the active model.
    """

    hash: bytes
    heading: str | None
    content: str | None
    token_count: int | None
    embedding: Embedding | None


@dataclass(frozen=True, slots=True)
class Cover:
    """A page under a model that is being built: its chunks in order by their hashes, and its distinct chunks."""

    model_id: int
    manifest: Sequence[bytes]
    chunks: Sequence[ChunkRow]


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page as it is written: its fields, its manifest, and its distinct chunks, both of the active model.

    `covers`: the same under models that are being built, where they have vectors for it.

    `seen_at` is the time of the check it rests on: None for one made now, the stored time for a page written again from
    what is stored. `is_changed` is False for a text that is only embedded anew.
    """

    url: str
    title: str | None
    language: str | None
    content: str
    content_hash: bytes
    body_hash: bytes | None
    etag: str | None
    last_modified: str | None
    outlinks: Sequence[str]
    structured: dict[str, Any] | None
    manifest: Sequence[bytes]
    chunks: Sequence[ChunkRow]
    seen_at: dt.datetime | None = None
    fetch: Fetch | None = None
    is_changed: bool = True
    covers: Sequence[Cover] = ()


@dataclass(frozen=True, slots=True)
class Fetch:
    """What is remembered of a download: when its answer came, and what may spare the next one.

    `reader` is the version of what read the page, `lastmod` what the sitemap said of it by then, and `audit_offset` the
    count of checks at which the page's next audit cycle begins. `recognised` is None where the body was the same, or
    nothing was recognised.
    """

    at: dt.datetime
    body_bytes: int
    reader: str | None
    lastmod: str | None
    audit_offset: int
    recognised: Recognised | None = None


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a page was recognised as when its text was read: its kind, and by what.

    `units` are the hashes of what may be boilerplate on it, None for a page that is not in its source's sample.
    """

    kind: str
    evidence: Mapping[str, float | str]
    units: Sequence[bytes] | None = None


@dataclass(frozen=True, slots=True)
class SeenPage:
    """A page seen again with the same content; `validators` is None where nothing else changed either.

    `fetch` is None when it was not downloaded: `signal` then says on whose word it is unchanged.
    """

    id: int
    url: str
    validators: Validators | None = None
    fetch: Fetch | None = None
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class DuplicatePage:
    """A page whose text is indexed under another URL, by the other's id: its row has no chunks of its own."""

    row: PageRow
    original: int


@dataclass(frozen=True, slots=True)
class ParkedPage:
    """A page that is to be written when the texts in `awaits`, by chunk hash, have vectors.

    `known_hash` is the content hash that the index has for it now, None for a page that is new.
    """

    row: PageRow
    known_hash: bytes | None
    awaits: Mapping[bytes, str]

    @property
    def url(self) -> str:
        """The page's URL."""
        return self.row.url


@dataclass(frozen=True, slots=True)
class Schedule:
    """When pages are checked next: counted from the run's start, within a shortest and a longest interval.

    `slack` is the share of an interval after which a page is due; `patience` says of a URL how long after its download
    its next check comes at the latest.
    """

    started_at: dt.datetime
    shortest: dt.timedelta
    longest: dt.timedelta
    slack: float
    patience: Callable[[str], dt.timedelta]


@dataclass(frozen=True, slots=True)
class Failure:
    """A page that could not be brought up to date, and why; `retry_after`: seconds that its site asks to wait."""

    url: str
    kind: str
    http_status: int | None
    message: str | None
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """A page with clear evidence that it is gone; `target` is where it moved to."""

    url: str
    reason: str
    http_status: int | None
    target: str | None = None
