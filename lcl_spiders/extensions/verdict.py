"""How a run ended, decided from its counters and reasons alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.run import Run

EXIT_BUSY = 75  # EX_TEMPFAIL of sysexits.h

FAULTS_OF_THE_SOURCE = frozenset({"site_unreachable", "robots_unavailable", "yield_collapse"})
FINISHED = "finished"
LIMITED = "max_pages"
PRESENT = (
    "new",
    "changed",
    "reembedded",
    "unchanged",
    "not_modified",
    "duplicate",
    "skipped_recent",
    "skipped_lastmod",
)


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
        return {"succeeded": 0, "skipped": EXIT_BUSY}.get(self.status, 1)

    @classmethod
    def refusal(cls, reason: str, message: str) -> Verdict:
        """A run that ended before its first request."""
        return cls("skipped" if reason == "domain_locked" else "failed", reason, message, None)

    @classmethod
    def failure(cls, reason: str, message: str) -> Verdict:
        """A run that was made, and failed."""
        return cls("failed", reason, message, False if reason in FAULTS_OF_THE_SOURCE else None)


def judge(run: Run, closed_because: str) -> Verdict:
    """Return the verdict over a run that was opened and has now closed for the given reason."""
    if run.stop_reason is not None:
        return Verdict.failure(run.stop_reason, run.stop_message or run.stop_reason)
    if closed_because != FINISHED:
        return Verdict.failure(closed_because, f"the crawl was ended early ({closed_because}); what it did is kept")
    present = sum(run.counter(f"pages/{kind}") for kind in PRESENT)
    unknown, failed = run.counter("pages/unknown"), run.counter("pages/failed")
    bad = unknown + failed
    if run.start_failure is not None:
        return Verdict.failure("site_unreachable", f"the start URL could not be read: {run.start_failure}")
    if not present and unknown and not failed:
        return Verdict.failure(
            "site_unreachable",
            f"no page of {run.source.start_url} could be read ({bad} tried); `scrapy status` lists them",
        )
    if not present and not bad:
        return Verdict.failure("yield_collapse", f"the run found no page at {run.source.start_url}")
    if bad > (present + bad) * run.config.max_failure_share:
        return Verdict.failure("too_many_failures", f"{bad} of {present + bad} pages could not be read")
    return Verdict("succeeded", LIMITED if run.has_left_out() else closed_because, None, blame=True)
