"""The site's truth against the rows of the database: pure comparison, and the two statements that read the rows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from db import pages
from lcl_spiders.extraction.extract import extract_page
from pipelines.chunker import Chunker
from pipelines.unchanged import content_hash

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from db.connection import Connection

CHUNK_SIZE = 1000

_ROWS = """
SELECT
    p.id, p.url, p.content_hash, p.chunk_hashes, p.duplicate_of,
    ARRAY(
        SELECT e.chunk_hash
        FROM page_embeddings AS e
        JOIN embedding_models AS m ON m.id = e.model_id
        WHERE e.page_id = p.id AND m.state = 'active'
        ORDER BY e.chunk_hash
    )
FROM scraped_pages AS p
"""


@dataclass(frozen=True)
class Version:
    """A text of a page as the index must hold it: its content hash, and the hashes of its chunks in order."""

    content_hash: bytes
    chunks: tuple[bytes, ...]


@cache
def version_of(html: str) -> Version:
    """Return what the project's own extraction and chunker make of a page."""
    page = extract_page(html.encode(), "http://localhost/", "utf-8")
    chunks = Chunker(CHUNK_SIZE).cut(page.content, page.title)
    return Version(content_hash(page.title, page.content), tuple(chunk.hash for chunk in chunks))


@dataclass(frozen=True)
class Hidden:
    """A change that a signal (a name of `source_signals.signal`) lies about, and the refresh in which it was made."""

    signal: str
    since: int


@dataclass(frozen=True)
class Truth:
    """What must hold after a refresh. Pages are named by their paths with query.

    `pages`: every page that must be indexed. Those with one content hash are twins: one of them is indexed, the others
    are absent or its duplicates. `aliases`: other names of pages, which may be there as duplicates only. `versions`:
    every text that the site ever showed whole, by content hash. `failures`: the reasons of which the run must have
    failed with one; empty for a run that must have succeeded. `unread`: the refreshes so far in which the site showed
    no page, so that none of them was a check.
    """

    refresh: int
    pages: Mapping[str, Version]
    aliases: Mapping[str, str]
    hidden: Mapping[str, Hidden]
    versions: Mapping[bytes, Version]
    failures: frozenset[str]
    unread: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Trust:
    """The settings LCL_TRUST_AFTER (runs) and LCL_TRUST_AUDIT_EVERY (checks)."""

    after: int
    audit_every: int


@dataclass(frozen=True)
class Row:
    """A row of `scraped_pages` with the chunk hashes of its embeddings, sorted; `original` is `duplicate_of`."""

    id: int
    content_hash: bytes
    manifest: tuple[bytes, ...]
    embedded: tuple[bytes, ...]
    original: int | None


@dataclass(frozen=True)
class Index:
    """The rows by path with query, and the pages whose embeddings are not exactly their chunks."""

    rows: Mapping[str, Row]
    broken: Collection[str]

    def embedded(self) -> set[bytes]:
        """Return the hashes of all chunks that have a vector."""
        return {chunk for row in self.rows.values() for chunk in row.embedded}

    def holds(self, path: str) -> bool:
        """Return whether a page is indexed under this path itself."""
        return path in self.rows and self.rows[path].original is None


EMPTY = Index({}, ())


async def read_index(connection: Connection, base: str) -> Index:
    """Read the index of the one site whose URLs begin with `base` (no slash at its end)."""
    found = await (await connection.execute(_ROWS)).fetchall()
    rows = {
        url.removeprefix(base): Row(page_id, content, tuple(manifest), tuple(embedded), original)
        for page_id, url, content, manifest, original, embedded in found
    }
    broken = await pages.broken_pages(connection, limit=len(rows) + 1)
    return Index(rows, [url.removeprefix(base) for _, _, url in broken])


@dataclass
class Score:
    """What is wrong after a refresh, by path, and the fewest texts that had to be embedded.

    `excused`: stale pages that an untruthful signal hides, within the audit interval, and why.
    """

    stale: list[str] = field(default_factory=list)
    excused: dict[str, str] = field(default_factory=dict)
    false_deletions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    zombies: list[str] = field(default_factory=list)
    wrong_chunks: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    fewest: int = 0


def compare(truth: Truth, before: Index, after: Index, sent: Collection[str], trust: Trust) -> Score:
    """Score the index `after` a refresh that began with `before`; `sent` are the paths that the site sent in full."""
    score = Score(orphans=list(after.broken))
    twins: dict[bytes, list[str]] = defaultdict(list)
    for path, version in truth.pages.items():
        twins[version.content_hash].append(path)
    for paths in twins.values():
        _find_once(paths, before, after, score)
    for path, version in truth.pages.items():
        if after.holds(path) and after.rows[path].content_hash != version.content_hash:
            if why := _excuse(path, truth, before, after, sent, trust):
                score.excused[path] = why
            else:
                score.stale.append(path)
    for path, row in after.rows.items():
        if path not in truth.pages and not _is_alias(path, truth, after):
            score.zombies.append(path)
        elif not _has_its_chunks(row, truth):
            score.wrong_chunks.append(path)
    seen = (version.chunks for path, version in truth.pages.items() if path not in score.excused)
    score.fewest = len({chunk for chunks in seen for chunk in chunks} - before.embedded())
    return score


def _find_once(paths: list[str], before: Index, after: Index, score: Score) -> None:
    """Check that one text is indexed under exactly one of its paths, and that the others know under which."""
    holders = [path for path in paths if after.holds(path)]
    if not holders:
        lost = score.false_deletions if any(path in before.rows for path in paths) else score.missing
        lost.append(paths[0])
        return
    score.zombies.extend(holders[1:])
    original = after.rows[holders[0]].id
    duplicates = (path for path in paths if path in after.rows and path not in holders)
    score.zombies.extend(path for path in duplicates if after.rows[path].original != original)


def _excuse(path: str, truth: Truth, before: Index, after: Index, sent: Collection[str], trust: Trust) -> str | None:
    """Return what excuses a stale page: a lie that the run could believe, did not see through, and still may believe.

    No lie can be believed before `trust.after` runs, and one that was found ends the trust in its signal at once, for
    all pages.
    """
    hidden = truth.hidden.get(path)
    if hidden is None or path in sent or truth.refresh < trust.after:
        return None
    checks = set(range(hidden.since + 1, truth.refresh + 1)) - truth.unread
    if len(checks) >= trust.audit_every:
        return None
    for other, lie in truth.hidden.items():
        if lie.signal == hidden.signal and other in truth.pages and _was_found(other, truth, before, after):
            return None
    return f"its {hidden.signal} hides the change of refresh {hidden.since}"


def _was_found(path: str, truth: Truth, before: Index, after: Index) -> bool:
    right = truth.pages[path].content_hash
    was, now = before.rows.get(path), after.rows.get(path)
    return was is not None and now is not None and was.content_hash != right and now.content_hash == right


def _is_alias(path: str, truth: Truth, after: Index) -> bool:
    """Return whether a row is the duplicate of the page that its path is another name of."""
    page = truth.aliases.get(path)
    if page is None or page not in truth.pages or page not in after.rows:
        return False
    return after.rows[path].original == after.rows[page].id


def _has_its_chunks(row: Row, truth: Truth) -> bool:
    """Return whether a row's manifest and embeddings are those of the text it claims to have."""
    if row.original is not None:
        return not row.embedded
    version = truth.versions.get(row.content_hash)
    return version is not None and row.manifest == version.chunks and row.embedded == tuple(sorted(set(version.chunks)))
