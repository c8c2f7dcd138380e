"""A parked page as JSON, and back: what it will be written from, without its vectors."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from db.page_rows import ChunkRow, Fetch, PageRow, Recognised, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from db.pages import Embedding

    Vectors = Mapping[bytes, tuple[Embedding, int | None]]


@dataclass(frozen=True)
class Checks:
    """When the page is due again, counted from the run that read it. `patience` is this page's own."""

    started_at: dt.datetime
    shortest: dt.timedelta
    longest: dt.timedelta
    slack: float
    patience: dt.timedelta


def to_json(row: PageRow, schedule: Schedule) -> dict[str, Any]:
    """Return a page as JSON. Without a time of its own it was seen when it was downloaded."""
    fetch = row.fetch
    seen_at = row.seen_at or (fetch.at if fetch is not None else None)
    return {
        "title": row.title,
        "language": row.language,
        "content": row.content,
        "body_hash": row.body_hash and row.body_hash.hex(),
        "etag": row.etag,
        "last_modified": row.last_modified,
        "outlinks": list(row.outlinks),
        "structured": row.structured,
        "manifest": [digest.hex() for digest in row.manifest],
        "chunks": [{"hash": chunk.hash.hex(), "heading": chunk.heading, "text": chunk.content} for chunk in row.chunks],
        "seen_at": seen_at and seen_at.isoformat(),
        "is_changed": row.is_changed,
        "fetch": fetch
        and {
            "at": fetch.at.isoformat(),
            "body_bytes": fetch.body_bytes,
            "reader": fetch.reader,
            "lastmod": fetch.lastmod,
            "audit_offset": fetch.audit_offset,
            "recognised": fetch.recognised and _recognised_json(fetch.recognised),
        },
        "checks": {
            "started_at": schedule.started_at.isoformat(),
            "shortest": schedule.shortest.total_seconds(),
            "longest": schedule.longest.total_seconds(),
            "slack": schedule.slack,
            "patience": schedule.patience(row.url).total_seconds(),
        },
    }


def chunk_texts(page: Mapping[str, Any]) -> dict[bytes, str]:
    """Return the texts of a parked page's chunks by hash."""
    return {bytes.fromhex(chunk["hash"]): chunk["text"] for chunk in page["chunks"]}


def checks_of(page: Mapping[str, Any]) -> Checks:
    """Return when a parked page is due again once it is written."""
    given = page["checks"]
    return Checks(
        dt.datetime.fromisoformat(given["started_at"]),
        dt.timedelta(seconds=given["shortest"]),
        dt.timedelta(seconds=given["longest"]),
        given["slack"],
        dt.timedelta(seconds=given["patience"]),
    )


def to_row(url: str, content_hash: bytes, page: Mapping[str, Any], vectors: Vectors) -> PageRow:
    """Return a parked page as it is written. A chunk that `vectors` does not have is one that the page has already."""
    fetch = page["fetch"]
    chunks = []
    for chunk in page["chunks"]:
        digest = bytes.fromhex(chunk["hash"])
        vector, tokens = vectors.get(digest, (None, None))
        chunks.append(ChunkRow(digest, chunk["heading"], chunk["text"], tokens, vector))
    return PageRow(
        url=url,
        title=page["title"],
        language=page["language"],
        content=page["content"],
        content_hash=content_hash,
        body_hash=page["body_hash"] and bytes.fromhex(page["body_hash"]),
        etag=page["etag"],
        last_modified=page["last_modified"],
        outlinks=page["outlinks"],
        structured=page["structured"],
        manifest=[bytes.fromhex(digest) for digest in page["manifest"]],
        chunks=chunks,
        seen_at=page["seen_at"] and dt.datetime.fromisoformat(page["seen_at"]),
        is_changed=page["is_changed"],
        fetch=fetch
        and Fetch(
            dt.datetime.fromisoformat(fetch["at"]),
            fetch["body_bytes"],
            fetch["reader"],
            fetch["lastmod"],
            fetch["audit_offset"],
            _recognised(fetch.get("recognised")),
        ),
    )


def _recognised_json(recognised: Recognised) -> dict[str, Any]:
    units = recognised.units
    return {
        "kind": recognised.kind,
        "evidence": dict(recognised.evidence),
        "units": None if units is None else [unit.hex() for unit in units],
    }


def _recognised(given: Mapping[str, Any] | None) -> Recognised | None:
    if given is None:
        return None
    units = given["units"]
    return Recognised(given["kind"], given["evidence"], None if units is None else [*map(bytes.fromhex, units)])
