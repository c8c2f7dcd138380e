"""Candidates: URLs that may be sources, from words, lines of a file, patterns over place names, links and searches."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from db.urls import canonical_url

if TYPE_CHECKING:
    from collections.abc import Iterable

FEW = 10
PLACE = "place"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# Letters that Unicode does not take apart into a letter and an accent.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "ı": "i", "ĳ": "ij"}
)
_APOSTROPHES = str.maketrans("", "", "'’‘`´")


class BadCandidates(ValueError):
    """Candidates that cannot be read. The message names each one, and what was wrong with it."""


@dataclass(frozen=True)
class Candidate:
    """A URL that may be a source, canonical, and where it came from in a few words.

    `is_guess`: it was made up, so that there may be no such host; `is_named`: a person named it, noise domain or not.
    """

    url: str
    origin: str
    is_guess: bool = False
    is_named: bool = False


def from_words(words: Iterable[str]) -> list[Candidate]:
    """Return the URLs of a command line. Raises `BadCandidates`."""
    return _parsed(((word, word, "named") for word in words), is_named=True)


def from_lines(lines: Iterable[str], name: str) -> list[Candidate]:
    """Return the URLs of a file, one a line; `#` begins a comment. Raises `BadCandidates` that names the lines."""
    return _parsed(
        (text, f"{name}, line {number}: {text}", f"{name}, line {number}")
        for number, line in enumerate(lines, 1)
        if (text := without_comment(line))
    )


def from_urls(urls: Iterable[str], origin: str) -> list[Candidate]:
    """Return the sites that these pages belong to, by their roots; what is no URL of a page is left out."""
    found = []
    for url in urls:
        try:
            found.append(Candidate(urljoin(canonical_url(url), "/"), origin))
        except ValueError:
            continue
    return found


def from_pattern(pattern: str, places: Iterable[str]) -> list[Candidate]:
    """Return a pattern's URLs for every place name, in each of its spellings.

    Raises `BadCandidates` for a pattern without `{place}`, or with another placeholder, and for names that have no
    spelling in a host name.
    """
    check_pattern(pattern)
    candidates: dict[str, Candidate] = {}
    unreadable = []
    for place in places:
        spellings = host_names(place)
        if not spellings:
            unreadable.append(place)
        for spelling in spellings:
            text = pattern.replace(f"{{{PLACE}}}", spelling)
            (candidate,) = _parsed([(text, f"{pattern} for {place}", f"{place}")], is_guess=True)
            candidates.setdefault(candidate.url, candidate)
    if unreadable:
        msg = f"no letters or digits for a host name in: {', '.join(unreadable[:FEW])}"
        raise BadCandidates(msg)
    return list(candidates.values())


def check_pattern(pattern: str) -> None:
    """Raise `BadCandidates` unless a pattern has `{place}` and no other placeholder."""
    names = _PLACEHOLDER.findall(pattern)
    if strange := sorted({name for name in names if name != PLACE}):
        msg = f"the pattern {pattern!r} has {{{strange[0]}}}: the only placeholder is {{{PLACE}}}"
        raise BadCandidates(msg)
    if not names or "{" in (rest := _PLACEHOLDER.sub("", pattern)) or "}" in rest:
        msg = f"the pattern {pattern!r} has no {{{PLACE}}}: write, for example, https://www.visit{{{PLACE}}}.nl/"
        raise BadCandidates(msg)


def place_names(lines: Iterable[str]) -> list[str]:
    """Return the place names of a file, one a line, each once; `#` begins a comment."""
    return list(dict.fromkeys(text for line in lines if (text := without_comment(line))))


def host_names(place: str) -> tuple[str, ...]:
    """Return how a place name is spelt in host names: "Den Haag" is den-haag and denhaag, "Århus" is arhus.

    Accents go, and so do apostrophes; whatever else is neither letter nor digit joins or parts. Empty for a name
    without Latin letters and digits.
    """
    plain = unicodedata.normalize("NFKD", place.casefold().translate(_APOSTROPHES).translate(_LETTERS))
    letters = "".join(each for each in plain if not unicodedata.combining(each)).translate(_LETTERS)
    words = re.findall(r"[a-z0-9]+", letters)
    if re.search(r"[^\W_a-z0-9]", letters):  # letters of another script: what is left would be another name
        return ()
    return tuple(dict.fromkeys(("-".join(words), "".join(words)))) if words else ()


def without_comment(line: str) -> str:
    """Return a line without its comment, which begins with a `#` at its start or after white space."""
    return re.sub(r"(?:^|\s)#.*", "", line.removeprefix("\ufeff").rstrip("\r\n"), flags=re.DOTALL).strip()


def _parsed(
    given: Iterable[tuple[str, str, str]], *, is_guess: bool = False, is_named: bool = False
) -> list[Candidate]:
    """Return a candidate for each (text, how an error calls it, origin)."""
    found: dict[str, Candidate] = {}
    wrong = []
    for text, called, origin in given:
        try:
            # A list of sites is often one of domains: https is what they have in common.
            url = canonical_url(text if "://" in text else f"https://{text}")
            if "://" not in text and "." not in text and not text.startswith("localhost"):
                msg = "neither a URL nor a domain"
                raise ValueError(msg)
        except ValueError as error:
            wrong.append(f"{called}: {error}")
        else:
            found.setdefault(url, Candidate(url, origin, is_guess, is_named))
    if wrong:
        more = f"; and {len(wrong) - FEW} more" if len(wrong) > FEW else ""
        msg = f"{'; '.join(wrong[:FEW])}{more}. Nothing was done."
        raise BadCandidates(msg)
    return list(found.values())
