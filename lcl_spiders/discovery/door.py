"""Where a judged candidate becomes a source, or turns out to be one already."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from db import discovery
from db.urls import domain_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.connection import Connection
    from db.discovery import Known
    from lcl_spiders.discovery.candidates import Candidate
    from lcl_spiders.discovery.config import DiscoveryConfig
    from lcl_spiders.discovery.findings import Findings
    from lcl_spiders.discovery.scoring import Evidence, Judgement


class Decision(StrEnum):
    """What became of a candidate."""

    ENABLED = "enabled"
    REVIEW = "waits for review"
    KNOWN = "already known"
    NOISE = "noise domain"
    ABSENT = "no such host"
    FAILED = "not judged"


@dataclass(frozen=True)
class Result:
    """A candidate and what became of it.

    `source` is the slug of the source that it is, None when it is none; `has_answered` tells whether its host said
    anything at all in this run.
    """

    url: str
    origin: str
    decision: Decision
    source: str | None = None
    start_url: str | None = None
    kind: str | None = None
    score: float | None = None
    reason: str | None = None
    checked_at: dt.datetime | None = None
    has_answered: bool = False
    evidence: tuple[Evidence, ...] = ()


class Door:
    """Stores judgements one at a time over one connection: two candidates that lead to one domain become one source.

    `dry_run` stores nothing, and says what would be done.
    """

    def __init__(self, connection: Connection, config: DiscoveryConfig, *, dry_run: bool = False) -> None:
        self._connection = connection
        self._config = config
        self._dry_run = dry_run
        self._lock = asyncio.Lock()
        self._passed: dict[str, str] = {}

    async def known_as(self, url: str) -> Known | None:
        """Return the source that a URL belongs to, by its start URL, else by its domain."""
        async with self._lock:
            return await self._known_as(url)

    async def settle(
        self, candidate: Candidate, findings: Findings, judgement: Judgement, again: Known | None
    ) -> Result:
        """Store a candidate with its judgement unless it is known, and return what became of it.

        `again`: the source that waits for review, and that this is a new judgement of.
        """
        checked_at = dt.datetime.now(dt.UTC)
        enabled = judgement.score >= self._config.threshold
        result = Result(
            url=candidate.url,
            origin=candidate.origin,
            decision=Decision.ENABLED if enabled else Decision.REVIEW,
            source=again.slug if again else None,
            start_url=judgement.start_url,
            kind=judgement.kind,
            score=judgement.score,
            reason=judgement.reason,
            checked_at=checked_at,
            has_answered=not findings.is_silent,
            evidence=judgement.evidence,
        )
        if findings.is_absent and candidate.is_guess and again is None:
            return replace(result, decision=Decision.ABSENT)
        async with self._lock:
            if again is None and (known := await self._known_as(judgement.start_url)) is not None:
                return already_known(candidate, [known], leads_to=judgement.start_url)
            if self._dry_run:
                return self._passing(result)
            connection, score, record = self._connection, judgement.score, as_stored(judgement, checked_at)
            if again is not None:
                await discovery.judge_again(connection, again.id, enabled=enabled, score=score, discovery=record)
                return result
            source, is_new = await discovery.store(
                connection, judgement.start_url, kind=judgement.kind, enabled=enabled, score=score, discovery=record
            )
        return replace(result, source=source.slug, decision=result.decision if is_new else Decision.KNOWN)

    async def _known_as(self, url: str) -> Known | None:
        found = await discovery.known(self._connection, [url], [domain_of(url)])
        return next((each for each in found if each.start_url == url), found[0] if found else None)

    def _passing(self, result: Result) -> Result:
        """Return the result of a dry run; a domain that came before is known, as it would be by then."""
        domain = domain_of(result.start_url or result.url)
        if (first := self._passed.setdefault(domain, result.url)) != result.url:
            return replace(result, decision=Decision.KNOWN, reason=f"it leads where {first} leads")
        return result


def already_known(candidate: Candidate, known: Sequence[Known], leads_to: str | None = None) -> Result:
    """Return the result of a candidate that is a source already: the one with its start URL, else its domain's."""
    one = next((each for each in known if each.start_url == candidate.url), known[0])
    reasons = []
    if leads_to is not None and leads_to != candidate.url:
        reasons.append(f"it leads to {leads_to}")
    if one.start_url != candidate.url and len(known) > 1:
        reasons.append(f"sources of this domain: {', '.join(each.slug for each in known)}")
    return Result(
        candidate.url,
        candidate.origin,
        Decision.KNOWN,
        source=one.slug,
        start_url=one.start_url,
        reason="; ".join(reasons) or None,
        has_answered=leads_to is not None,
    )


def as_stored(judgement: Judgement, checked_at: dt.datetime) -> dict[str, Any]:
    """Return what `scraper_sources.discovery` holds."""
    return {
        "score": judgement.score,
        "checked_at": checked_at.isoformat(),
        "reason": judgement.reason,
        "kind": judgement.kind,
        "evidence": [asdict(each) for each in judgement.evidence],
    }
