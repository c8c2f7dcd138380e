"""The benchmark of extraction measures what it says."""

from collections import Counter
from random import Random

import pytest

from benchmarks import text_held_out, text_seen
from benchmarks.text import main_of
from benchmarks.text_learned import learned_of
from benchmarks.text_pages import KINDS, make_page
from benchmarks.text_score import Score, shingles, words
from benchmarks.text_words import DUTCH, ENGLISH, Writer

MARKUPS = {**text_seen.MARKUPS, **text_held_out.MARKUPS}
TEXT = "one two three four five six seven eight nine ten"


def score(kept: str, *neutral: str) -> Score:
    found = Score()
    found.add(kept, [TEXT], neutral, [("three four", "ten")])
    return found


def test_the_whole_text_and_nothing_else_scores_one() -> None:
    found = score(f"# {TEXT}")
    assert (found.precision, found.recall, found.f1, found.boilerplate) == (1, 1, 1, 0)
    assert (found.cards, found.titles_kept, found.dates_kept) == (1, 1, 1)


def test_what_is_missing_costs_recall_and_what_is_foreign_precision() -> None:
    half = score("one two three four five")
    assert half.precision == 1
    assert half.recall == pytest.approx(1 / 6)
    assert (half.titles_kept, half.dates_kept) == (1, 0)
    more = score(f"{TEXT} and then some menu of the site")
    assert more.recall == 1
    assert more.precision < 0.5
    assert more.boilerplate == pytest.approx(7 / 17)


def test_neutral_text_counts_neither_way() -> None:
    assert score(f"By Her, May 2026. {TEXT}", "By Her, May 2026").precision == 1
    assert score(TEXT, "By Her, May 2026").recall == 1


def test_nothing_kept_of_a_page_scores_nothing_and_nothing_kept_of_no_text_is_right() -> None:
    assert score("").f1 == 0
    empty = Score()
    empty.add("", [])
    assert empty.f1 == 1


def test_the_targets_of_links_and_marks_of_markdown_are_no_words() -> None:
    assert words(r"## [Two](https://example.org/a_(b)) *words* \_and\_ `code_here`") == [
        "two", "words", "and", "code", "here",
    ]  # fmt: skip
    assert shingles(["a"]) == Counter({("a",): 1})


@pytest.mark.parametrize("kind", KINDS)
def test_every_markup_shows_the_whole_truth_and_equal_seeds_make_equal_pages(kind: str) -> None:
    for name, markup in MARKUPS.items():
        made = []
        for _ in range(2):
            page = make_page(kind, Writer(Random(f"{kind}{name}"), ENGLISH if len(name) % 2 else DUTCH))
            made.append(markup(page).html())
        assert made[0] == made[1]
        shown = set(words(made[0]))
        assert set(words(" ".join(page.truth(markup.order)))) <= shown, name


def test_the_main_element_of_documentation_is_found_by_its_own_markup() -> None:
    docbook = b"<body><div class=navheader>Next</div><div class=sect1><p>Text<b>s</b></p><p>More</p></div></body>"
    assert words(main_of(docbook)) == ["texts", "more"]
    sphinx = (
        b"<div class=related>Up</div><div class=body role=main><h1>A<a class=headerlink>x</a></h1></div><p>Foot</p>"
    )
    assert words(main_of(sphinx)) == ["a"]


def test_what_would_be_learned_is_told_with_what_it_would_take() -> None:
    own = [f"Page {n} says something else than all of the others." for n in range(20)]
    legal = "No rights can be derived from this."
    told = learned_of("a site", [f"{text}\n\n{legal}" for text in own])
    assert told.startswith("a site: 1 units learned to be boilerplate, ")
    assert "most pages, 100.0%, have: 'No rights" in told
    assert learned_of("a site", own).startswith("a site: 0 units learned to be boilerplate, 0.00% of the text; most")
