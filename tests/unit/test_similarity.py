from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.similarity import containment, resemblance, shingles, words

WORDS = st.sampled_from(["harbour", "boat", "nine", "ticket", "crown", "door", "Straße", "2026", "ü"])
SENTENCES = st.lists(WORDS, max_size=30)
SETS = st.frozensets(st.integers(0, 20), max_size=10)

ARTICLE = """# The harbour

Boats leave at **nine**, at noon and at three. A ticket costs _four_ crowns; children go free.
"""


def spaced(parts: Sequence[str]) -> str:
    return " ".join(parts)


def test_every_run_of_words_is_a_shingle():
    assert shingles("a b c d e f g") == {hash(tuple(run)) for run in ("abcde", "bcdef", "cdefg")}
    assert shingles("a b c", size=2) == {hash(("a", "b")), hash(("b", "c"))}


@pytest.mark.parametrize("text", ["", "  \n", "---", "**", "# _ * | `", "…?!"])
def test_a_text_without_words_has_no_shingle(text: str):
    assert shingles(text) == frozenset()


@pytest.mark.parametrize("text", ["contact", "# Contact\n\nus", "a b c d", "a b c d e"])
def test_a_short_text_is_one_shingle(text: str):
    assert len(shingles(text)) == 1


def test_two_short_texts_are_told_apart():
    assert shingles("opening hours") != shingles("hours opening")


@pytest.mark.parametrize(
    "other",
    [
        "The harbour. Boats leave at nine, at noon and at three. A ticket costs four crowns; children go free.",
        ARTICLE.upper(),
        ARTICLE.replace("\n", "\n\n> "),
        ARTICLE.replace(" ", "\u00a0"),
        "- " + ARTICLE.replace(", ", " | ").replace("**", "__"),
    ],
)
def test_markdown_marks_punctuation_case_and_white_space_play_no_part(other: str):
    assert shingles(other) == shingles(ARTICLE)


def test_case_is_folded_as_unicode_says():
    assert words("STRASSE Straße ΣΊΣΥΦΟΣ") == ["strasse", "strasse", "σίσυφοσ"]


@pytest.mark.parametrize("text", ["このページは見つかりません", "页面不存在", "ไม่พบหน้านี้"])
def test_scripts_without_spaces_are_cut_into_characters(text: str):
    assert words(f"404 {text} page") == ["404", *text, "page"]
    assert len(shingles(text, size=3)) > 1


def test_one_edit_of_a_long_text_leaves_most_shingles_the_same():
    text = [f"word{number}" for number in range(200)]
    edited = [*text[:100], "another", *text[101:]]
    assert len(shingles(spaced(text)) - shingles(spaced(edited))) == 5
    assert resemblance(shingles(spaced(text)), shingles(spaced(edited))) == pytest.approx(191 / 201)


@given(SENTENCES, st.lists(WORDS, min_size=6, max_size=30), SENTENCES, st.integers(1, 6))
def test_a_part_of_a_text_is_contained_in_it(before: list[str], part: list[str], after: list[str], size: int):
    whole = shingles(spaced([*before, *part, *after]), size)
    assert containment(shingles(spaced(part), size), whole) == 1.0


@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(1, 6))
def test_any_words_have_a_shingle_and_no_more_than_words(text: list[str], size: int):
    assert 1 <= len(shingles(spaced(text), size)) <= len(text)
    assert shingles(spaced(text), size) == shingles(spaced(text), size)


@given(SETS, SETS)
def test_shares_are_what_the_sets_say(a: frozenset[int], b: frozenset[int]):
    assert containment(a, b) == (len(a & b) / len(a) if a else 0.0)
    assert resemblance(a, b) == (len(a & b) / len(a | b) if a | b else 0.0)
    assert resemblance(a, b) == resemblance(b, a) <= (containment(a, b) if a else 0.0)


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str):
    own = shingles(text)
    assert containment(own, own) == resemblance(own, own) == (1.0 if words(text) else 0.0)
