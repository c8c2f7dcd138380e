"""From findings to a judgement: pure functions. docs/discovery.md has the formula.

The score is the weighted mean of the evidence, 0 to 1, rounded to two decimals; a gate makes it 0 and says why.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from db.urls import domain_of
from lcl_spiders.discovery.findings import Listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lcl_spiders.discovery.config import DiscoveryConfig
    from lcl_spiders.discovery.findings import Findings, PageFacts

ENOUGH_TEXT = 500  # characters of main text: some eighty words, more than navigation and a notice make
ENOUGH_URLS = 10
LITTLE_VISIBLE = 200  # characters: a heading and a "please enable JavaScript"
WEAK = 0.5
NOT_LOOKED_AT = "not looked at: the time for this candidate was over"


@dataclass(frozen=True)
class Evidence:
    """One thing that speaks for a candidate (1) or does not (0), with its weight and what it was seen by."""

    name: str
    score: float
    weight: float
    value: str


@dataclass(frozen=True)
class Judgement:
    """What became of a candidate. `reason` says why the score is 0, or what stands out; None when nothing does."""

    start_url: str
    kind: str
    score: float
    reason: str | None
    evidence: tuple[Evidence, ...]


def judge(findings: Findings, config: DiscoveryConfig) -> Judgement:
    """Return the judgement of a candidate."""
    if findings.failure is not None:
        name = "robots" if findings.is_robots else "reachable"
        evidence = _weighed([(name, 0.0, findings.failure)], config.weights)
        return Judgement(findings.start_url, "website", 0.0, findings.failure, evidence)
    evidence = _weighed(
        [
            ("reachable", 1.0, _reached(findings)),
            ("robots", *_robots(findings)),
            ("sitemap", *_sitemap(findings)),
            ("feed", *_feed(findings)),
            ("structured", *_structured(findings.pages)),
            ("text", *_text(findings)),
            ("rendering", *_rendering(findings.pages)),
            ("language", *_language(findings.pages, config.languages)),
        ],
        config.weights,
    )
    kind = kind_of_source(findings)
    start_url = findings.feed.url if kind == "feed" and isinstance(findings.feed, Listed) else findings.start_url
    if closed := _gate(findings, config.languages):
        return Judgement(start_url, kind, 0.0, closed, evidence)
    score = weighted_mean(evidence)
    return Judgement(start_url, kind, score, _remarks(findings, evidence, score, config), evidence)


def weighted_mean(evidence: Sequence[Evidence]) -> float:
    """Return the weighted mean of the scores, rounded to two decimals; 0 without any weight."""
    total = sum(each.weight for each in evidence)
    return round(sum(each.score * each.weight for each in evidence) / total, 2) if total else 0.0


def kind_of_source(findings: Findings) -> str:
    """Return the kind to propose: a feed where only that leads to pages, a listing where the start page is one."""
    feed = findings.feed
    leads_on = isinstance(feed, Listed) and feed.count > 0 and domain_of(feed.url) == domain_of(findings.start_url)
    if findings.is_feed or (leads_on and not findings.links and not isinstance(findings.sitemap, Listed)):
        return "feed"
    return "listing" if findings.cards else "website"


def needs_rendering(page: PageFacts) -> bool:
    """Return whether a page has scripts and hardly any text without them."""
    return page.has_scripts and page.visible < LITTLE_VISIBLE


def language_of(pages: Sequence[PageFacts]) -> str | None:
    """Return the language of most pages, None when none is known."""
    known = Counter(page.language for page in pages if page.language is not None)
    return known.most_common(1)[0][0] if known else None


def _weighed(found: Sequence[tuple[str, float, str]], weights: Mapping[str, float]) -> tuple[Evidence, ...]:
    return tuple(Evidence(name, round(score, 2), weights[name], value) for name, score, value in found)


def _gate(findings: Findings, languages: frozenset[str]) -> str | None:
    """Return why a candidate is nothing at all to index, None when it may be something."""
    pages = findings.pages
    if not any(page.visible or page.text for page in pages) and not any(page.has_scripts for page in pages):
        if findings.is_cut_short:
            return "nothing could be read before the time for this candidate was over"
        return "there is no text on it, and there are no scripts that could make any"
    language = language_of(pages)
    if languages and language is not None and language not in languages:
        return f"its language is {language}, asked for are {', '.join(sorted(languages))}"
    return None


def _reached(findings: Findings) -> str:
    what = "feed" if findings.is_feed else "HTML"
    moved = f" after a redirect to {findings.start_url}" if findings.start_url != findings.url else ""
    return f"answered {findings.status} with {what}{moved}"


def _robots(findings: Findings) -> tuple[float, str]:
    asked = findings.sampled + 1
    if not findings.forbidden:
        return 1.0, "allowed"
    return 1 - findings.forbidden / asked, f"{findings.forbidden} of {asked} pages forbidden"


def _sitemap(findings: Findings) -> tuple[float, str]:
    found = findings.sitemap
    if not isinstance(found, Listed):
        return 0.0, NOT_LOOKED_AT if found is None else "none found"
    foreign = "" if found.count else f", of {found.total:,}, all of another domain"
    return min(1.0, found.count / ENOUGH_URLS), f"{found.count:,} URLs in {_path(found.url)}{foreign}"


def _feed(findings: Findings) -> tuple[float, str]:
    found = findings.feed
    if not isinstance(found, Listed):
        return 0.0, NOT_LOOKED_AT if found is None else "none found"
    return 1.0 if found.total else 0.5, f"{found.total:,} entries in {_path(found.url)}"


def _structured(pages: Sequence[PageFacts]) -> tuple[float, str]:
    types = sorted(frozenset[str]().union(*(page.types for page in pages)))
    if not types:
        return 0.0, "no Event or Article data"
    having = sum(bool(page.types) for page in pages)
    return 1.0, f"{', '.join(types)} on {having} of {len(pages)} pages"


def _text(findings: Findings) -> tuple[float, str]:
    """The mean over the sampled pages; one that did not answer has none. Over the start page where there are none."""
    asked = findings.sampled - findings.forbidden
    pages = findings.samples if asked else findings.pages
    asked = asked or len(pages)
    if not asked:
        return 0.0, NOT_LOOKED_AT if findings.is_cut_short else "no page to read"
    score = sum(min(1.0, page.text / ENOUGH_TEXT) for page in pages) / asked
    mean = sum(page.text for page in pages) / asked
    unread = f", {asked - len(pages)} of which could not be read" if asked > len(pages) else ""
    return score, f"{mean:,.0f} characters of main text on average of {asked} pages{unread}"


def _rendering(pages: Sequence[PageFacts]) -> tuple[float, str]:
    if not pages:
        return 0.0, "no page to read"
    empty = sum(needs_rendering(page) for page in pages)
    if not empty:
        return 1.0, "not needed"
    return 1 - empty / len(pages), f"{empty} of {len(pages)} pages have hardly any text without their scripts"


def _language(pages: Sequence[PageFacts], languages: frozenset[str]) -> tuple[float, str]:
    language = language_of(pages)
    if language is None:
        return 0.0, "unknown"
    return float(not languages or language in languages), language


def _remarks(findings: Findings, evidence: Sequence[Evidence], score: float, config: DiscoveryConfig) -> str | None:
    remarks = []
    pages = findings.pages
    if sum(map(needs_rendering, pages)) * 2 > len(pages):
        remarks.append("it seems to need rendering (render=always)")
    if findings.is_cut_short:
        remarks.append("the time for this candidate was over before all of it was seen")
    if score < config.threshold:
        weak = [each.name for each in evidence if each.score < WEAK and each.weight]
        remarks.append(f"weak: {', '.join(weak)}" if weak else "nothing is missing, and much is halfway")
    return "; ".join(remarks) or None


def _path(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
