"""Candidates from words, files, patterns and pages."""

import pytest

from lcl_spiders.discovery import candidates
from lcl_spiders.discovery.candidates import BadCandidates
from lcl_spiders.discovery.noise import is_private


def urls(found: list[candidates.Candidate]) -> list[str]:
    return [candidate.url for candidate in found]


def test_a_file_has_a_url_or_a_domain_on_each_line() -> None:
    lines = [
        "\ufeff# sites",
        "",
        "https://Example.org/a#top  # the old one",
        "example.net",
        " https://example.org/a ",
        "x.example/#b",
    ]
    found = candidates.from_lines(lines, "sites.txt")
    assert urls(found) == ["https://example.org/a", "https://example.net/", "https://x.example/"]
    assert found[0].origin == "sites.txt, line 3"


def test_every_bad_line_is_named_with_its_number() -> None:
    with pytest.raises(
        BadCandidates, match=r"(?s)sites.txt, line 2: ftp://x.*sites.txt, line 4: two words.*Nothing"
    ) as error:
        candidates.from_lines(["example.org", "ftp://x/", "example.net", "two words"], "sites.txt")
    assert "example.org" not in str(error.value)


@pytest.mark.parametrize(
    ("place", "spellings"),
    [
        ("Leiden", ("leiden",)),
        ("Den Haag", ("den-haag", "denhaag")),
        ("'s-Hertogenbosch", ("s-hertogenbosch", "shertogenbosch")),
        ("Súdwest-Fryslân", ("sudwest-fryslan", "sudwestfryslan")),
        ("Århus", ("arhus",)),
        ("Tromsø", ("tromso",)),
        ("Łódź", ("lodz",)),
        ("Gießen", ("giessen",)),
        ("St. Gallen", ("st-gallen", "stgallen")),
        ("IJmuiden", ("ijmuiden",)),
        ("Ĳmuiden", ("ijmuiden",)),
        ("東京", ()),
        ("Tokyo 東京", ()),
        ("--", ()),
    ],
)
def test_place_names_are_spelt_as_in_host_names(place: str, spellings: tuple[str, ...]) -> None:
    assert candidates.host_names(place) == spellings


def test_a_pattern_is_tried_with_each_spelling() -> None:
    found = candidates.from_pattern("https://www.visit{place}.nl/{place}", ["Den Haag", "Leiden", "leiden"])
    assert urls(found) == [
        "https://www.visitden-haag.nl/den-haag",
        "https://www.visitdenhaag.nl/denhaag",
        "https://www.visitleiden.nl/leiden",
    ]
    assert all(candidate.is_guess for candidate in found)


@pytest.mark.parametrize(
    "pattern", ["https://example.org/", "https://{town}.nl/", "https://{place}.nl/{x}", "https://{place}.nl/{"]
)
def test_a_pattern_has_the_one_placeholder_there_is(pattern: str) -> None:
    with pytest.raises(BadCandidates, match="place"):
        candidates.from_pattern(pattern, ["Leiden"])


def test_a_place_without_a_spelling_is_named() -> None:
    with pytest.raises(BadCandidates, match="東京"):
        candidates.from_pattern("https://{place}.example/", ["Leiden", "東京"])


def test_pages_that_were_found_stand_for_their_sites() -> None:
    found = candidates.from_urls(
        ["https://example.org/a/b?c=d", "mailto:x@example.org", "http://example.net"], "search"
    )
    assert urls(found) == ["https://example.org/", "http://example.net/"]


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("169.254.169.254", True),
        ("10.0.0.5:8080", True),
        ("127.0.0.1", True),
        ("[::1]:80", True),
        ("localhost:8000", True),
        ("intranet", True),
        ("printer.local", True),
        ("db.internal", True),
        ("8.8.8.8", False),
        ("example.org:8080", False),
        ("localhost.example.org", False),
    ],
)
def test_hosts_that_are_no_part_of_the_public_internet_are_told_by_their_name(domain: str, expected: bool) -> None:
    assert is_private(domain) is expected
