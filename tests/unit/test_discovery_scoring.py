"""From findings to a score, a kind and a reason: the formula of docs/discovery.md."""

from dataclasses import replace
from typing import Any

import pytest
from scrapy.settings import Settings

from lcl_spiders.discovery.config import WEIGHTS, DiscoveryConfig, parse_weights
from lcl_spiders.discovery.findings import Findings, Listed, PageFacts
from lcl_spiders.discovery.noise import NOISE_DOMAINS, is_noise
from lcl_spiders.discovery.scoring import judge

URL = "https://example.org/"
CONFIG = DiscoveryConfig()
PAGE = PageFacts(URL, visible=3_000, text=2_000, has_scripts=True, language="nl")
EVENT = replace(PAGE, types=frozenset({"Event"}))
SHELL = PageFacts(URL, visible=0, text=0, has_scripts=True)
BLANK = PageFacts(URL, visible=0, text=0, has_scripts=False)
SITEMAP = Listed(f"{URL}sitemap.xml", 213, 213)
FEED = Listed(f"{URL}feed", 20, 20)


def findings(**known: Any) -> Findings:
    """A site that can be read, and nothing more, unless it is said otherwise."""
    values: dict[str, Any] = {"status": 200, "start": PAGE, "samples": [PAGE, PAGE], "sampled": 2, "links": 9}
    return Findings(URL, URL, **{**values, "sitemap": False, "feed": False, **known})


@pytest.mark.parametrize(
    ("known", "score"),
    [
        ({}, 0.55),
        ({"sitemap": SITEMAP}, 0.70),
        ({"feed": FEED}, 0.70),
        ({"samples": [PAGE, EVENT]}, 0.70),
        ({"sitemap": SITEMAP, "feed": FEED, "samples": [EVENT, EVENT]}, 1.0),
        ({"sitemap": replace(SITEMAP, count=5)}, 0.62),
        ({"feed": replace(FEED, total=0)}, 0.62),
        ({"sampled": 4}, 0.42),  # two of the sampled pages did not answer
        ({"sampled": 3, "forbidden": 1}, 0.54),
        ({"samples": [replace(PAGE, text=250)] * 2}, 0.42),
        ({"start": SHELL, "samples": [SHELL], "sampled": 1}, 0.15),
        ({"start": replace(PAGE, language=None), "samples": [], "sampled": 0}, 0.50),
    ],
)
def test_the_score_is_the_weighted_mean_of_the_evidence(known: dict[str, Any], score: float) -> None:
    assert judge(findings(**known), CONFIG).score == pytest.approx(score, abs=0.011)


def test_a_readable_site_with_one_more_sign_reaches_the_threshold_exactly() -> None:
    for sign in ({"sitemap": SITEMAP}, {"feed": FEED}, {"samples": [PAGE, EVENT]}):
        assert judge(findings(**sign), CONFIG).score == CONFIG.threshold
    assert judge(findings(), CONFIG).score < CONFIG.threshold


@pytest.mark.parametrize(
    ("known", "languages", "reason"),
    [
        ({"failure": "it answered 404", "start": None, "samples": []}, set(), "it answered 404"),
        ({"start": BLANK, "samples": []}, set(), "no text"),
        ({"sitemap": SITEMAP, "samples": [EVENT]}, {"de", "fr"}, "its language is nl, asked for are de, fr"),
        ({"start": None, "samples": [], "is_cut_short": True}, set(), "nothing could be read before the time"),
    ],
)
def test_a_gate_makes_the_score_zero_and_says_why(known: dict[str, Any], languages: set[str], reason: str) -> None:
    judged = judge(findings(**known), replace(CONFIG, languages=frozenset(languages)))
    assert judged.score == 0.0
    assert reason in (judged.reason or "")


def test_what_was_not_looked_at_is_no_evidence() -> None:
    (only,) = judge(findings(failure="robots.txt forbids it", is_robots=True), CONFIG).evidence
    assert (only.name, only.score) == ("robots", 0.0)
    late = judge(findings(sitemap=None, feed=None, is_cut_short=True), CONFIG)
    assert {each.name for each in late.evidence if each.value.startswith("not looked at")} == {"sitemap", "feed"}


def test_an_unknown_language_is_not_taken_for_a_wrong_one() -> None:
    unknown = replace(PAGE, language=None)
    judged = judge(findings(start=unknown, samples=[unknown]), replace(CONFIG, languages=frozenset({"nl"})))
    assert judged.score > 0
    assert judged.evidence[-1].value == "unknown"


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        ({}, "website"),
        ({"cards": 12}, "listing"),
        ({"feed": FEED}, "website"),
        ({"feed": FEED, "links": 0}, "feed"),
        ({"feed": FEED, "links": 0, "sitemap": SITEMAP}, "website"),
        ({"feed": replace(FEED, url="https://feeds.example.net/1"), "links": 0}, "website"),
        ({"feed": FEED, "is_feed": True, "start": None}, "feed"),
    ],
)
def test_the_kind_is_how_the_site_gives_up_its_pages(known: dict[str, Any], kind: str) -> None:
    assert judge(findings(**known), CONFIG).kind == kind


def test_a_source_of_kind_feed_starts_at_its_feed() -> None:
    assert judge(findings(feed=FEED, links=0), CONFIG).start_url == FEED.url


def test_a_site_that_needs_rendering_is_said_to() -> None:
    judged = judge(findings(start=SHELL, samples=[]), CONFIG)
    assert "render=always" in (judged.reason or "")
    assert judged.score > 0


def test_below_the_threshold_the_reason_names_what_is_weak() -> None:
    assert judge(findings(), CONFIG).reason == "weak: sitemap, feed, structured"
    assert judge(findings(sitemap=SITEMAP), CONFIG).reason is None


def test_weights_that_are_given_replace_the_defaults() -> None:
    assert parse_weights('{"feed": 2}') == {**WEIGHTS, "feed": 2.0}
    only_feed = parse_weights({name: float(name == "feed") for name in WEIGHTS})
    assert judge(findings(feed=FEED), replace(CONFIG, weights=only_feed)).score == 1.0
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "given",
    [
        '{"fed": 1}',
        '{"feed": -1}',
        '{"feed": true}',
        '{"feed": "1"}',
        '{"feed": NaN}',
        "[1]",
        "feed",
        dict.fromkeys(WEIGHTS, 0),
    ],
)
def test_weights_that_make_no_sense_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="LCL_DISCOVERY_WEIGHTS"):
        parse_weights(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LCL_DISCOVERY_THRESHOLD", "1.1"),
        ("LCL_DISCOVERY_SAMPLES", "2.5"),
        ("LCL_DISCOVERY_TIMEOUT", "soon"),
        ("LCL_DISCOVERY_CONCURRENCY", "0"),
        ("LCL_DISCOVERY_DELAY", "nan"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        DiscoveryConfig.from_settings(Settings({name: value}))


def test_noise_domains_are_replaced_or_added_to() -> None:
    def read(value: str) -> frozenset[str]:
        return DiscoveryConfig.from_settings(Settings({"LCL_DISCOVERY_NOISE_DOMAINS": value})).noise_domains

    assert read("a.example, www.b.example") == {"a.example", "b.example"}
    assert read("+a.example,b.example") == NOISE_DOMAINS | {"a.example", "b.example"}
    assert read("") == NOISE_DOMAINS


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("facebook.com", True),
        ("nl-nl.facebook.com", True),
        ("facebook.com:8443", True),
        ("notfacebook.com", False),
        ("facebook.com.example.org", False),
        ("com", False),
    ],
)
def test_noise_is_a_domain_or_a_host_below_it(domain: str, expected: bool) -> None:
    assert is_noise(domain, NOISE_DOMAINS) is expected
