"""What `scrapy sources sync` would do: the table against the file, compared without touching either."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lcl_spiders.sources.entry import differences, stored_fields

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from db.sources import Source
    from lcl_spiders.sources.entry import SourceEntry


@dataclass(frozen=True)
class Change:
    """A source that would change: its fields as (before, after), and what it would become."""

    source_id: UUID
    slug: str
    fields: dict[str, tuple[Any, Any]]
    entry: SourceEntry


@dataclass(frozen=True)
class Plan:
    """Added, changed and unchanged sources, those that only the table has, and what forbids it all.

    `missing`: sources that the file does not name; those that wait for review, or were rejected there, are no part of
    it. `pruned`: those of them that are still enabled. `conflicts`: (slug, field, reason) of each line that cannot be.
    """

    added: list[SourceEntry] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    pruned: list[Source] = field(default_factory=list)
    conflicts: list[tuple[str, str, str]] = field(default_factory=list)


def make(stored: Iterable[Source], entries: Iterable[SourceEntry]) -> Plan:
    """Compare the sources of the table with those of a file, whose slugs and start URLs are unique."""
    by_slug = {source.slug: source for source in stored}
    wanted = {entry.slug or "": entry for entry in entries}
    # Only sources that the file does not name keep their start URL for certain.
    urls = {source.start_url: source.slug for source in by_slug.values() if source.slug not in wanted}
    plan = Plan()
    for slug, entry in wanted.items():
        source = by_slug.get(slug)
        if entry.url in urls:
            why = f"{entry.url} is known already as {urls[entry.url]!r}: name the source so, or remove that one first"
            plan.conflicts.append((slug, "url", why))
        elif source is None:
            plan.added.append(entry)
        elif entry.domain != source.domain:
            plan.conflicts.append((slug, "url", other_site(source, entry)))
        elif changed := differences(stored_fields(source), entry.fields):
            plan.changed.append(Change(source.id, slug, changed, entry))
        else:
            plan.unchanged.append(slug)
    for source in by_slug.values():
        if source.slug not in wanted and not is_candidate(source):
            plan.missing.append(source.slug)
            if source.enabled:
                plan.pruned.append(source)
    return plan


def other_site(source: Source, entry: SourceEntry) -> str:
    """Return why a source cannot move to another domain."""
    return (
        f"{source.slug!r} is a source of {source.domain} and holds its pages; {entry.domain} is another site: "
        f"give it a slug of its own, and remove this one if it is not wanted any more"
    )


def is_candidate(source: Source) -> bool:
    """Return whether a source is only proposed by discovery: nobody enabled it so far, or it was rejected."""
    found = source.discovery
    return found is not None and not source.enabled and ("reviewed_at" not in found or "rejected_at" in found)
