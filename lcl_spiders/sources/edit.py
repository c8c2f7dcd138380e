"""Carrying out changes to sources: one source's fields, or a whole file's, each in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from db import source_edits, sources
from db.errors import InvalidSource
from lcl_spiders.sources.entry import SourceEntry, differences, given_fields, stored_fields
from lcl_spiders.sources.plan import Plan, make, other_site

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from db.connection import Connection
    from db.sources import Source
    from lcl_spiders.sources.file import SourcesFile

_COLUMNS = {
    "url": "start_url",
    **{name: name for name in ("spider", "enabled", "priority", "refresh_interval")},
}


async def change(
    connection: Connection, source: Source, fields: Mapping[str, Any], emptied: Collection[str], kinds: Collection[str]
) -> dict[str, tuple[Any, Any]]:
    """Give a source's fields these values, those in `emptied` their defaults, and return what changed.

    Raises `InvalidSource` when the source would not be valid with them; nothing is changed then.
    """
    if strange := sorted(set(emptied) - SourceEntry.model_fields.keys()):
        msg = f"{strange[0]}: there is no such setting. A source has the fields {', '.join(SourceEntry.model_fields)}."
        raise InvalidSource(msg)
    if "slug" in fields or "slug" in emptied:
        msg = f"the slug {source.slug!r} is what the source is called everywhere: it does not change"
        raise InvalidSource(msg)
    async with connection.transaction():
        stored = await source_edits.locked(connection, source.id)
        kept = {name: value for name, value in given_fields(stored).items() if name not in emptied}
        entry = SourceEntry.checked({**kept, **fields}, kinds)
        if entry.domain != stored.domain:
            raise InvalidSource(other_site(stored, entry))
        changed = differences(stored_fields(stored), entry.fields)
        await source_edits.update(connection, stored.id, columns(entry, changed))
    return changed


async def synchronise(connection: Connection, file: SourcesFile, *, prune: bool, dry_run: bool) -> Plan:
    """Make the table match a file, or only say what that would change; all of it or nothing.

    `prune` disables the enabled sources that the file does not name. Raises `WrongFile`, `InvalidSource`.
    """
    async with connection.transaction(force_rollback=dry_run):
        await source_edits.one_sync_at_a_time(connection)
        plan = make(await sources.list_all(connection), file.entries)
        if plan.conflicts:
            raise file.wrong(plan.conflicts)
        if not dry_run:
            await _carry_out(connection, plan, prune=prune)
    return plan


async def _carry_out(connection: Connection, plan: Plan, *, prune: bool) -> None:
    await source_edits.insert(connection, map(_row, plan.added))
    for each in plan.changed:
        await source_edits.update(connection, each.source_id, columns(each.entry, each.fields))
    if prune:
        for source in plan.pruned:
            await source_edits.update(connection, source.id, {"enabled": False})


def columns(entry: SourceEntry, changed: Iterable[str]) -> dict[str, Any]:
    """Return the columns of `scraper_sources` that hold these fields, with their values; no others are named."""
    found: dict[str, Any] = {}
    for name in changed:
        if name in _COLUMNS:
            found[_COLUMNS[name]] = getattr(entry, name)
        elif name != "slug":
            found["config"] = entry.settings
    return found


def _row(entry: SourceEntry) -> dict[str, Any]:
    return {"slug": entry.slug, "domain": entry.domain, **columns(entry, SourceEntry.model_fields)}
