"""The not-found template of a site that answers 200 for pages that do not exist (soft-404, C5): pure functions."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from pipelines.similarity import containment, resemblance, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NEARLY_ALL = 0.9
LOOKS_REAL = 0.8
MOST_VARYING = 30
_SIZE = 3  # words in a shingle
_DISTINCTIVE = 2  # the shortest message there is: "Not found"
_LONGEST_NUMBER = 9  # "2026-01-02T10:42:07.123+01:00"; a UUID has 5. A longer run is a table, which is content.
_TITLE_EDGE, _CONTENT_EDGE = "", " "
_NUMBER = "0"
_HAS_DIGIT = re.compile(r"\d").search
# What a page says when it was not rendered, or not shown to a robot: nothing about whether it exists.
_WALLS = frozenset({"javascript", "captcha", "recaptcha", "hcaptcha", "cloudflare"})


@dataclass(frozen=True)
class Text:
    """What a page says: `content` is Markdown, `url` the one that was asked for."""

    url: str
    title: str | None
    content: str


class NotFoundTemplate:
    """What a site's answers for missing pages have in common, and real pages have not.

    Texts are compared by runs of three words (shingles). The edges of title and content count as words, so that each
    word is in three runs, the shortest text has some, and a quotation inside another text is not the text itself.
    Words with a digit (times, request ids) are one word, and so is a short run of them.

    `matches` must never be wrong about a page that exists, since a match deletes it; one that it misses is asked for
    again in the next run. Hence all of its bounds hold at once:

    - 0.9 of the template's shingles are in the page, and each of its words is in one of those. The share alone would
      let a short page pass on a site whose navigation is many times as long as its message, when the real pages given
      to `learn` have another navigation. What the tenth is for: a word that gets between two of the template's.
    - The page's own words, beyond template and boilerplate (what all probes have; the rest of a start page is no
      boilerplate), are at most 3/2 of what the probes were seen to vary in (suggested pages), plus one for each 20
      shingles of the template, up to 5. A short template whose probes are equal allows none. Never more than the
      template has shingles, nor than 30: the length of a short real page.
    - Words of the page's own URL are no words of its own where the probes repeat theirs, as many times as they did.
    """

    def __init__(
        self,
        template: frozenset[int],
        each_word: frozenset[frozenset[int]],
        common: frozenset[int],
        echoes: int,
        own_words: int,
    ) -> None:
        self._template = template
        self._each_word = each_word
        self._common = common
        self._echoes = echoes
        self._own_words = own_words

    @classmethod
    def learn(cls, probes: Sequence[Text], real: Sequence[Text]) -> NotFoundTemplate | None:
        """Return the template of a site's answers (status 200) to paths that cannot exist, None when there is none.

        `real` are pages known to exist, fetched in the same run and in the same way. Two probes tell what varies, one
        is enough where nothing does. A probe's path is best one random word: its words are taken out of its text.

        There is no template when a probe is like a real page (a resemblance of 0.8: the site shows its start page),
        when fewer than two words of its content are in no real page (an empty shell, boilerplate only), when it talks
        of JavaScript or captchas, or when more varies than stays. Without a real page nothing tells a message from
        boilerplate: then, and where only the title is distinctive, the probes have to name the status, 404.
        """
        if not probes:
            return None
        answers = [_shingled(_tokens(_without(_words(probe), _url_words(probe)))) for probe in probes]
        pages = [_shingled(_tokens(_words(page))) for page in real]
        boilerplate = frozenset().union(*(page.as_set for page in pages))
        common = frozenset.intersection(*(answer.as_set for answer in answers))
        template = common - boilerplate
        if any(resemblance(answer.as_set, page.as_set) >= LOOKS_REAL for answer in answers for page in pages):
            return None
        if not _is_distinctive(answers[0], template, boilerplate, bool(real), all(map(_names_status, probes))):
            return None
        varying = max(answer.words_outside(common) for answer in answers)
        if varying > min(len(template), MOST_VARYING):
            return None
        own_words = min(varying * 3 // 2 + min(len(template) // 20, 5), len(template), MOST_VARYING)
        return cls(template, answers[0].each_word(template), common, max(map(_echoes, probes)), own_words)

    def matches(self, page: Text) -> bool:
        """Return whether a page is the site's not-found answer and nothing else.

        Some sites answer unknown paths with one of their pages (contact, search), which then matches like the others:
        a page whose stored text matches already has not turned into the template.
        """
        text = _shingled(_tokens(_words(page)))
        repeated = 0
        if self._echoes:
            text, repeated = self._without_echo(text, _url_words(page))
        if containment(self._template, text.as_set) < NEARLY_ALL:
            return False
        if any(text.as_set.isdisjoint(shingles) for shingles in self._each_word):
            return False
        return text.words_outside(self._common) + repeated <= self._own_words

    def _without_echo(self, text: _Shingled, url_words: Counter[str]) -> tuple[_Shingled, int]:
        """Return a text without its URL's words, and how many of those were more than an echo.

        They stay where they stand in text of the probes: a page called /page is told that "the page was not found".
        """
        kept: list[str] = []
        dropped: Counter[str] = Counter()
        for token, is_known in zip(text.tokens, text.covered_by(self._common), strict=True):
            for word in token.words:
                if is_known or word not in url_words:
                    kept.append(word)
                else:
                    dropped[word] += 1
        repeated = sum(max(0, count - self._echoes * url_words[word]) for word, count in dropped.items())
        return _shingled(_tokens(kept)), repeated


class _Token(NamedTuple):
    text: str
    words: tuple[str, ...]


class _Shingled(NamedTuple):
    """A text as tokens; the shingle at an index begins with the token there."""

    tokens: list[_Token]
    shingles: list[int]
    as_set: frozenset[int]

    def covered_by(self, known: frozenset[int]) -> list[bool]:
        """Return for each token whether one of its shingles is known."""
        covered = [False] * len(self.tokens)
        for start, shingle in enumerate(self.shingles):
            if shingle in known:
                covered[start : start + _SIZE] = [True] * _SIZE
        return covered

    def words_outside(self, known: frozenset[int]) -> int:
        """Return the number of words in no known shingle."""
        covered = self.covered_by(known)
        return sum(
            len(token.words)
            for token, is_known in zip(self.tokens, covered, strict=True)
            if not is_known and token.text.strip()
        )

    def each_word(self, template: frozenset[int]) -> frozenset[frozenset[int]]:
        """Return for each token in the template, edges too, those of its shingles that are."""
        around = (self.shingles[max(0, at - _SIZE + 1) : at + 1] for at in range(len(self.tokens)))
        return frozenset(filter(None, (template.intersection(shingles) for shingles in around)))


def _is_distinctive(
    answer: _Shingled, template: frozenset[int], boilerplate: frozenset[int], has_real: bool, names_status: bool
) -> bool:
    in_template, in_boilerplate = answer.covered_by(template), answer.covered_by(boilerplate)
    texts = [token.text for token in answer.tokens]
    # A word of the template that real pages have too is in it for its neighbour: what is missing between them.
    own = [at for at, text in enumerate(texts) if text.strip() and in_template[at] and not in_boilerplate[at]]
    if any(texts[at] in _WALLS for at in own):
        return False
    if names_status:
        return len(own) >= _DISTINCTIVE
    content = texts.index(_CONTENT_EDGE) if _CONTENT_EDGE in texts else len(texts)
    return has_real and sum(at > content for at in own) >= _DISTINCTIVE


def _shingled(tokens: Iterable[_Token]) -> _Shingled:
    found = list(tokens)
    texts = [token.text for token in found]
    shingles = list(map(hash, zip(texts, texts[1:], texts[2:], strict=False)))
    return _Shingled(found, shingles, frozenset(shingles))


def _tokens(all_words: Iterable[str]) -> Iterable[_Token]:
    for is_number, run in groupby(all_words, key=lambda word: _HAS_DIGIT(word) is not None):
        found = tuple(run)
        if is_number and len(found) <= _LONGEST_NUMBER:
            yield _Token(_NUMBER, found)
        else:
            yield from (_Token(word, (word,)) for word in found)


def _words(page: Text) -> list[str]:
    """Return the words of title and content, each between two edges on either side."""
    found: list[str] = []
    for edge, text in ((_TITLE_EDGE, page.title or ""), (_CONTENT_EDGE, page.content)):
        if inner := words(text):
            found += [edge, edge, *inner, edge, edge]
    return found


def _without(all_words: list[str], left_out: Counter[str]) -> list[str]:
    return [word for word in all_words if word not in left_out]


def _url_words(page: Text) -> Counter[str]:
    parts = urlsplit(page.url)
    as_sent = f"{parts.path} {parts.query}"
    return Counter(words(unquote(as_sent))) | Counter(words(as_sent))


def _echoes(probe: Text) -> int:
    """Return how many times a probe repeats the most repeated word of its URL."""
    counted, url_words = Counter(_words(probe)), _url_words(probe)
    return max((-(-counted[word] // count) for word, count in url_words.items()), default=0)


def _names_status(probe: Text) -> bool:
    return "404" in _without(_words(probe), _url_words(probe))
