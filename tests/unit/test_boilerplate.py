"""What is taken out of a text because most of its site's pages say it, and what never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.boilerplate import Learned, Repeated, place
from lcl_spiders.base_spiders.boilerplate import FLOOR, SAMPLE, Boilerplate, judged
from lcl_spiders.extraction.boilerplate import repeatable, unit_hash, units, without
from tests.support.extraction import page

LEGAL = "Prices are given without warranty, and the town is not liable for errors."
URL = "https://example.org/harbour"
OWN = "The harbour was dug in 1652, when everything still came by boat."
LINES = st.sampled_from(["", "# A", "## B", LEGAL, OWN, "- one of a few items here", "```", "| a | b |", ": said", "x"])


def learned(*texts: str, kind: str = "article", pages: int = 12, sampled: int = 12) -> list[Learned]:
    return [Learned(kind, unit_hash(text), pages, sampled) for text in texts]


def test_units_are_what_empty_lines_part() -> None:
    text = "# A\n\nOne\ntwo\n\n- a\n- b\n\n```\nx\n\ny\n```\n\nlast"
    assert units(text) == ["# A", "One\ntwo", "- a\n- b", "```\nx\n\ny\n```", "last"]


def test_white_space_makes_no_other_unit() -> None:
    assert unit_hash("a  b\nc") == unit_hash("a b c") != unit_hash("a b d")


def test_what_is_boilerplate_leaves_the_text_and_the_rest_is_as_it_was() -> None:
    text, left_out = without(f"# Harbour\n\n{OWN}\n\n{LEGAL}", {unit_hash(LEGAL)})
    assert (text, left_out) == (f"# Harbour\n\n{OWN}", [LEGAL])


def test_a_heading_with_nothing_left_below_it_goes_too_and_the_main_heading_never() -> None:
    said = {unit_hash(LEGAL)}
    assert without(f"# A\n\n{LEGAL}\n\n## B\n\n{OWN}", said)[0] == f"# A\n\n## B\n\n{OWN}"
    assert without(f"# A\n\n{OWN}\n\n## Legal\n\n### Prices\n\n{LEGAL}", said)[0] == f"# A\n\n{OWN}"
    assert without(f"# A\n\n## Legal\n\n{LEGAL}\n\n### Prices\n\n{OWN}", said)[0].count("#") == 1 + 2 + 3


def test_the_page_whose_own_text_it_is_keeps_it() -> None:
    text = f"# Legal notice\n\n{LEGAL}\n\nShort, though."
    assert without(text, {unit_hash(LEGAL)}) == (text, [])


@pytest.mark.parametrize(
    "unit",
    [
        "# A heading of more than five words in all",
        "```\none two three four five six\n```",
        "| one | two | three |\n| --- | --- | --- |\n| four | five | six |",
        "Term\n: what it means, in some words",
        "Read it here",
    ],
)
def test_structure_and_short_lines_are_no_boilerplate(unit: str) -> None:
    assert repeatable(unit) == set()
    assert without(f"{OWN}\n\n{unit}", {unit_hash(unit)}) == (f"{OWN}\n\n{unit}", [])


def test_cards_of_a_listing_are_no_boilerplate() -> None:
    card = "[A concert in the church](https://example.org/1)\n12 May, free entrance"
    known = Boilerplate(learned(LEGAL, card))
    text = f"{OWN}\n\n{card}\n\n{LEGAL}"
    assert known.without(page(text, "listing", card), URL).content == f"{OWN}\n\n{card}"


@given(st.lists(LINES, max_size=30), st.sets(st.sampled_from([LEGAL, OWN, "- one of a few items here"])))
def test_nothing_but_what_is_known_ever_leaves_and_taking_out_twice_is_taking_out_once(
    lines: list[str], known: set[str]
) -> None:
    text = "\n".join(lines).strip()
    hashes = {unit_hash(each) for each in known}
    once, left_out = without(text, hashes)
    assert all(each in known or each.lstrip("> ").startswith("#") for each in left_out)
    assert without(once, hashes)[0] == once
    if left_out:
        assert sorted([*units(once), *left_out]) == sorted(units(text))


def test_what_half_of_the_pages_of_a_kind_say_is_learned_and_what_fewer_say_is_not() -> None:
    half, fewer = unit_hash(LEGAL), unit_hash(OWN)
    found = Repeated({"article": 40}, {("article", half): 20, ("article", fewer): 19})
    assert [each.unit_hash for each in judged(found, [])] == [half]


def test_on_fewer_than_ten_pages_nothing_is_learned() -> None:
    assert judged(Repeated({"article": FLOOR - 1}, {("article", unit_hash(LEGAL)): FLOOR - 1}), []) == []


def test_what_is_known_stays_known_down_to_a_quarter_so_that_it_does_not_come_and_go() -> None:
    known = learned(LEGAL)
    count = {("article", unit_hash(LEGAL)): 10}
    assert [each.unit_hash for each in judged(Repeated({"article": 40}, count), known)] == [unit_hash(LEGAL)]
    assert judged(Repeated({"article": 41}, count), known) == []


def test_what_is_known_stays_known_while_few_pages_were_read_in_a_new_way() -> None:
    assert judged(Repeated({"article": 3}, {}), learned(LEGAL)) == learned(LEGAL)
    assert judged(Repeated({"article": 20}, {}), learned(LEGAL)) == []


def test_on_a_small_site_what_few_pages_say_any_more_is_forgotten() -> None:
    known = learned(LEGAL, pages=10, sampled=12)
    for pages, expected in ((9, known), (FLOOR // 2, known), (FLOOR // 2 - 1, []), (0, [])):
        found = judged(Repeated({"article": 12}, {("article", unit_hash(LEGAL)): pages}), known)
        assert [each.unit_hash for each in found] == [each.unit_hash for each in expected]


def test_a_kind_is_only_rid_of_its_own_boilerplate_and_listings_of_all() -> None:
    known = Boilerplate(learned(LEGAL, kind="thread"))
    text = f"{OWN}\n\n{LEGAL}"
    assert known.without(page(text, "article"), URL).content == text
    for kind in ("thread", "listing"):
        assert known.without(page(text, kind), URL).content == OWN
        assert known.without(page(text, kind), URL).boilerplate == (LEGAL,)
    assert known.without(page(text, None), URL).content == text


def test_what_is_left_out_of_a_page_still_counts() -> None:
    seen = Boilerplate(learned(LEGAL), is_learning=True)
    for text in (f"{OWN}\n\n{LEGAL}", f"{LEGAL}\n\n## A\n\n{OWN}"):
        recognised = seen.recognised(seen.without(page(text), URL), URL)
        assert recognised is not None
        assert recognised.units == sorted([unit_hash(OWN), unit_hash(LEGAL)])


def test_the_sample_is_bounded_and_the_same_in_whatever_order_pages_are_read() -> None:
    urls = [f"https://example.org/{n}" for n in range(3 * SAMPLE)]
    smallest = set(sorted(urls, key=place)[:SAMPLE])
    for order in (urls, urls[::-1]):
        seen = Boilerplate(is_learning=True)
        taken = [url for url in order if seen.recognised(page(OWN), url).units is not None]
        assert smallest <= set(taken)
        assert len(taken) < 2.5 * SAMPLE
        again = [url for url in order if seen.recognised(page(OWN), url).units is not None]
        assert set(again) == smallest


def test_listings_and_shells_and_pages_of_no_kind_are_not_learned_from() -> None:
    seen = Boilerplate(is_learning=True)
    for kind in ("listing", "shell"):
        assert seen.recognised(page(OWN, kind), "https://example.org/").units is None
    assert seen.recognised(page(OWN, None), "https://example.org/") is None
    assert not seen.is_sampled
