"""How a run ended, decided from its counters and reasons alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.jobs import PRESENT
from lcl_spiders.base_spiders.answers import SILENT

if TYPE_CHECKING:
    from pipelines.run import Run

EXIT_BUSY = 75  # EX_TEMPFAIL of sysexits.h

FAULTS_OF_THE_SOURCE = frozenset({"site_unreachable", "robots_unavailable", "yield_collapse"})
NOT_WANTED = frozenset({"domain_locked", "cancelled", "disabled"})
"""Reasons for which a run is passed over or ended by somebody's will, which is no failure."""
FINISHED = "finished"
LIMITED = "max_pages"
YIELD_SHARE = 0.5


@dataclass(frozen=True)
class Verdict:
    """The end of a run: its status in `scrape_jobs`, the reason, a message for a person, and the exit code.

    `blame` is what the backoff learns: True a success, False a failure of the source, None neither.
    """

    status: str
    reason: str
    message: str | None
    blame: bool | None

    @property
    def exit_code(self) -> int:
        """0 when the run succeeded, 75 when the domain was busy, 1 otherwise."""
        return 0 if self.status == "succeeded" else EXIT_BUSY if self.reason == "domain_locked" else 1

    @classmethod
    def refusal(cls, reason: str, message: str) -> Verdict:
        """A run that ended before its first request."""
        return cls("skipped" if reason in NOT_WANTED else "failed", reason, message, None)

    @classmethod
    def failure(cls, reason: str, message: str) -> Verdict:
        """A run that was made, and failed."""
        status = "skipped" if reason in NOT_WANTED else "failed"
        return cls(status, reason, message, False if reason in FAULTS_OF_THE_SOURCE else None)


def judge(run: Run, closed_because: str) -> Verdict:
    """Return the verdict over a run that was opened and has now closed for the given reason."""
    if run.stop_reason is not None:
        return Verdict.failure(run.stop_reason, run.stop_message or run.stop_reason)
    if closed_because != FINISHED:
        return Verdict.failure(closed_because, f"the crawl was ended early ({closed_because}); what it did is kept")
    present = sum(run.counter(kind) for kind in PRESENT)
    unknown, failed = run.counter("pages/unknown"), run.counter("pages/failed")
    bad = unknown + failed
    if run.start_failure is not None:
        return Verdict.failure(run.start_reason, f"the start URL could not be read: {run.start_failure}")
    if not present and unknown and not failed:
        return Verdict.failure(
            "site_unreachable",
            f"no page of {run.source.start_url} could be read ({bad} tried); `scrapy status` lists them",
        )
    if not present and not bad:
        return Verdict.failure("yield_collapse", f"the run found no page at {run.source.start_url}")
    if bad > (present + bad) * run.config.max_failure_share:
        return Verdict.failure("too_many_failures", f"{bad} of {present + bad} pages could not be read")
    # After the failures: pages that could not be read are a plainer reason than too few of them.
    if has_collapsed(run, present):
        return Verdict.failure(
            "yield_collapse",
            f"{present} pages are present, fewer than half of the {run.usual_yield:.0f} that the last successful runs "
            f"found on average. If the site really shrank, run "
            f"`scrapy crawl {run.source.slug} -a allow_mass_delete=true`",
        )
    return Verdict("succeeded", LIMITED if run.has_left_out() else closed_because, None, blame=True)


def may_be_excused(run: Run, verdict: Verdict) -> bool:
    """Return whether a failure that is blamed on the source may be that of this machine's network: nobody answered."""
    return verdict.blame is False and run.start_kind in SILENT


def excused(verdict: Verdict) -> Verdict:
    """Return the verdict over a run that failed because this machine is cut off from the network."""
    return Verdict.failure(
        "network_unavailable",
        f"{(verdict.message or '').rstrip('.')}. This machine is cut off: it has no way to the site, or no name server "
        "that answers. "
        "Nothing is held against the source",
    )


def has_collapsed(run: Run, present: int) -> bool:
    """Return whether a run that could have found every page found far fewer than is usual for its source (A21)."""
    if run.usual_yield is None or run.arguments.allow_mass_delete:
        return False
    is_limited = run.arguments.max_pages is not None or run.has_left_out()
    return not is_limited and present < run.usual_yield * YIELD_SHARE
