"""What an operator should hear of a run besides whether it succeeded (A17, A21, A22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from db.jobs import PRESENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lcl_spiders.extensions.verdict import Verdict

FAILURE_SHARE = 0.1
REASONS = ("yield_collapse", "mass_delete_refused", "token_limit_reached")

_BAD = ("pages/unknown", "pages/failed")
_NOT_ASKED = ("pages/skipped_recent", "pages/skipped_lastmod")
_ATTEMPTED = (
    *(kind for kind in PRESENT if kind not in _NOT_ASKED),
    *("pages/gone", "pages/absent", "pages/kept_by_guard", "pages/left_unjudged"),
    *_BAD,
)


class Alert(TypedDict):
    """An entry of `alerts` in a run's record. The message is for a person."""

    name: str
    message: str


def alerts(counters: Mapping[str, int], verdict: Verdict) -> list[Alert]:
    """Return the alerts of a run that was opened and has ended with this verdict."""
    raised: list[Alert] = []
    bad, attempted = (sum(counters.get(kind, 0) for kind in kinds) for kinds in (_BAD, _ATTEMPTED))
    if bad > attempted * FAILURE_SHARE:
        message = (
            f"{bad} of {attempted} pages could not be read, more than {FAILURE_SHARE:.0%}; `scrapy status` of the "
            "source lists them, and the next run asks for those that are due first"
        )
        raised.append(Alert(name="failure_rate", message=message))
    if verdict.reason in REASONS:
        raised.append(Alert(name=verdict.reason, message=verdict.message or verdict.reason))
    if counters.get("signals/revoked", 0) > 0:
        message = (
            "a signal of the site said unchanged over changed content and is not believed any more; "
            "see `scrapy sources show`"
        )
        raised.append(Alert(name="trust_revoked", message=message))
    if barren := counters.get("listings/without_items", 0):
        message = (
            f"no items were found on {barren} of {counters.get('listings/read', 0)} listing pages that were read; "
            "see whether the source's item_links and next_page still fit: scrapy sources show"
        )
        raised.append(Alert(name="listing_without_items", message=message))
    if stale := counters.get("pages/stale", 0):
        message = (
            f"{stale} pages have not been seen for longer than the longest staleness; their last good version stays. "
            "`scrapy status` of the source lists those that fail"
        )
        raised.append(Alert(name="stale_pages", message=message))
    if uncovered := counters.get("pages/uncovered", 0):
        message = (
            f"{uncovered} pages have text and no embeddings for the index's model, so that searches miss them. Embed "
            "them with `-a reembed=true`; `scrapy doctor` looks at all sources"
        )
        raised.append(Alert(name="uncovered_pages", message=message))
    if counters.get("building/unavailable", 0):
        message = (
            "the run went on without a model that is being built, which covers the pages that changed no longer; "
            "`scrapy doctor` says how many, and `scrapy reembed` catches up"
        )
        raised.append(Alert(name="building_left_behind", message=message))
    return raised
