"""What commands show of sources: standing, facts, politeness, evidence and changes, as words and tables."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from db.errors import InvalidSource
from db.jobs import EMPTY_RUNS
from lcl_spiders.console import ago, lasting, plain_table
from lcl_spiders.politeness import FADES_IN, Politeness, faded
from lcl_spiders.source_config import SourceConfig
from lcl_spiders.sources.entry import shown
from pipelines.trust import is_earned, runs_needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.table import Table

    from db.boilerplate import Learned
    from db.overview import Counts, SourceState
    from db.signals import Record
    from db.sources import Source
    from lcl_spiders.politeness import RateLimit
    from lcl_spiders.sources.plan import Plan

UNKNOWN = "unknown"
SAMPLE = 80  # characters of a text that are shown
LONGEST_TEXT = 200  # of one in JSON
_STATES = {
    "disabled": "disabled",
    "auto_disabled": "disabled after failures",
    "review": "waits for review",
    "rejected": "rejected in review",
}


def standing(state: SourceState) -> str:
    """Return in a few words whether a source is crawled, and whether it is worth it."""
    words = _STATES.get(state.state, "enabled")
    if state.state == "backoff":
        words = f"waits, again {ago(state.backoff_until)}"
    return f"{words}; empty, {EMPTY_RUNS} runs" if state.is_empty else words


def source_table(states: Iterable[SourceState]) -> Table:
    """Return sources as `scrapy sources list` shows them."""
    table = plain_table("source", "start URL", "kind", "state", "pages", "last success", right=["pages"])
    for state in states:
        pages, success = f"{state.pages:,}", ago(state.last_success_at)
        table.add_row(state.slug, state.start_url, state.spider, standing(state), pages, success)
    return table


def facts(source: Source, state: SourceState, counts: Counts, now: dt.datetime) -> dict[str, str]:
    """Return what is known of one source, by the names that it is shown under."""
    return {
        "source": source.slug,
        "id": str(source.id),
        "start URL": source.start_url,
        "domain": source.domain,
        "kind": source.spider,
        "state": standing(state),
        "priority": str(source.priority),
        "failures": f"{source.consecutive_failures} in a row",
        "refreshed": f"every {lasting(source.refresh_interval)}",
        "last run": ago(source.last_run_at),
        "last success": ago(source.last_success_at),
        "pages": f"{counts.pages:,} in {counts.chunks:,} chunks",
        "failed": f"{counts.failed_pages:,}",
        "gone": f"{counts.tombstones:,}",
        **({"discovery": found(source)} if source.discovery is not None else {}),
        **politeness(Politeness.from_json(source.politeness), now),
        **_settings(source),
    }


def _settings(source: Source) -> dict[str, str]:
    try:
        effective = SourceConfig.parse(source.config)
    except InvalidSource as error:
        return {"settings": f"not valid: {error}"}
    return {
        name: f"{shown(value)}{'' if name in source.config else ' (default)'}"
        for name, value in effective.model_dump().items()
    }


def politeness(known: Politeness, now: dt.datetime) -> dict[str, str]:
    """Return what a site was learned to ask for; nothing for a site that never asked."""
    told = {}
    if known.at is not None:
        left = faded(known.delay, now - known.at)
        fading = (
            f"{left:.1f} s between requests, gone {ago(known.at + FADES_IN, now)}" if left else "nothing left of it"
        )
        told["learned delay"] = f"{known.delay:.1f} s from {known.status} answers {ago(known.at, now)}; {fading}"
    if known.crawl_delay is not None:
        told["crawl delay"] = f"{known.crawl_delay:g} s, by its robots.txt"
    if known.rate_limit is not None:
        told["rate limit"] = _rate_limit(known.rate_limit, now)
    return told


def _rate_limit(limit: RateLimit, now: dt.datetime) -> str:
    parts = [
        f"{limit.remaining:,} requests left" if limit.remaining is not None else "",
        f"of {limit.limit:,}" if limit.limit is not None else "",
        f"in {lasting(limit.window)}" if limit.window is not None else "",
    ]
    times = [
        f"new {ago(limit.reset_at, now)}" if limit.reset_at is not None else "",
        f"Retry-After {ago(limit.retry_at, now)}" if limit.retry_at is not None else "",
        f"told {ago(limit.at, now)} with status {limit.status}",
    ]
    return "; ".join(filter(None, [" ".join(filter(None, parts)), *times]))


def found(source: Source) -> str:
    """Return in a line what discovery thought of a source."""
    return f"{scored(source.discovery or {})}; scrapy sources review {source.slug} shows the evidence"


def scored(discovery: Mapping[str, Any]) -> str:
    """Return the score that discovery gave, and why it is so low where it says that."""
    score, reason = _number(discovery.get("score")), discovery.get("reason")
    return f"{f'score {score}' if score else 'no score'}{f': {reason}' if reason else ''}"


def review_table(waiting: Iterable[Source]) -> Table:
    """Return sources that wait for review."""
    table = plain_table("source", "start URL", "kind", "score", "reason", right=["score"])
    for source in waiting:
        discovery = source.discovery or {}
        reason = str(discovery.get("reason") or "")
        table.add_row(source.slug, source.start_url, source.spider, _number(discovery.get("score")), reason)
    return table


def evidence_table(discovery: Mapping[str, Any]) -> Table:
    """Return what a candidate's score is made of."""
    table = plain_table("evidence", "score", "weight", "found", right=["score", "weight"])
    for each in discovery.get("evidence") or []:
        value = each.get("value")
        text = "" if value is None else value if isinstance(value, str) else shown(value)
        table.add_row(str(each.get("name")), _number(each.get("score")), _number(each.get("weight")), text)
    return table


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, (int, float)) else ""


def changes(fields: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return what changes, one line a field."""
    return [f"{name}: {shown(before)} -> {shown(after)}" for name, (before, after) in fields.items()]


def plan_lines(plan: Plan, *, prune: bool) -> list[str]:
    """Return what a sync changes: + added, ~ changed with its fields, - disabled, ? only in the table."""
    lines = [f"+ {entry.slug}  {entry.url}" for entry in plan.added]
    for change in plan.changed:
        lines += [f"~ {change.slug}", *(f"    {line}" for line in changes(change.fields))]
    pruned = {source.slug for source in plan.pruned} if prune else set()
    lines += [f"- {slug}  is not in the file: disabled" for slug in sorted(pruned)]
    return lines + [f"? {slug}  is not in the file: left alone" for slug in plan.missing if slug not in pruned]


def plan_json(plan: Plan, *, prune: bool, dry_run: bool) -> dict[str, Any]:
    """Return what a sync changes as JSON."""
    return {
        "dry_run": dry_run,
        "added": [entry.slug for entry in plan.added],
        "changed": [
            {
                "slug": change.slug,
                "fields": {name: {"before": old, "after": new} for name, (old, new) in change.fields.items()},
            }
            for change in plan.changed
        ],
        "unchanged": plan.unchanged,
        "missing": plan.missing,
        "disabled": [source.slug for source in plan.pruned] if prune else [],
    }


def signal_told(record: Record, needed: int) -> dict[str, Any]:
    """Return what a signal of a source is worth, as JSON; `needed`: so many runs without a lie earn trust."""
    return {
        **asdict(record),
        "believed": is_earned(record, needed),
        "runs_needed": runs_needed(record, needed),
    }


def signal_standing(told: Mapping[str, Any]) -> str:
    """Return in a few words what a signal of a source is worth."""
    agreed, needed = told["agreed_runs"], told["runs_needed"]
    words = "believed" if told["believed"] else "not believed"
    words += f", {agreed:,} runs without a lie (it takes {needed:,})"
    if told["lies"]:
        words += f"; lied {told['lies']:,} times, last {ago(told['revoked_at'])} of {told['last_lie_url']}"
    elif not told["agreed_runs"]:
        words = "nothing known: no page was seen to keep it"
    return words


def kinds_json(kinds: Mapping[str | None, int]) -> dict[str, int]:
    """Return how many pages there are of each kind; those that were recognised as none are "unknown"."""
    return {kind or UNKNOWN: count for kind, count in kinds.items()}


def kinds_told(kinds: Mapping[str | None, int]) -> str:
    """Return in a line how many pages there are of each kind."""
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds_json(kinds).items())


def learned_json(each: Learned) -> dict[str, Any]:
    """Return a unit of text that was learned to be boilerplate, as JSON."""
    return {
        "kind": each.kind,
        "pages": each.pages,
        "sampled": each.sampled,
        "text": each.text[:LONGEST_TEXT] if each.text is not None else None,
        "applied": each.is_applied,
        "keeper": each.keeper,
    }


def learned_told(each: Learned) -> str:
    """Return in a line what was learned to be boilerplate, and on how many pages of the sample it is."""
    text = " ".join((each.text or "").split())
    what = f'"{text if len(text) <= SAMPLE else f"{text[:SAMPLE]} …"}"' if text else "a text that no stored page has"
    where = f"; kept on {each.keeper}" if each.keeper is not None else ""
    state = "" if each.is_applied else " (not yet)"
    return f"{each.pages:,} of {each.sampled:,} {each.kind} pages: {what}{state}{where}"
