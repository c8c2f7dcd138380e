"""When pages whose text was replaced are a wall before the site, and when a redesign."""

from types import SimpleNamespace

import pytest

from lcl_spiders.base_spiders.replaced import ENOUGH, ReplacedPages, sketch
from lcl_spiders.items import Outcome, PageItem
from pipelines.similarity import resemblance
from tests.support.site import tale

WALL = " ".join(tale("maintenance", 2))


def kept(*texts: str, known: int = 100, there: int = 0) -> ReplacedPages:
    run = SimpleNamespace(known_pages=known, known_present=lambda *, by_sitemap: 0 if by_sitemap else there)
    pages = ReplacedPages(run)
    for number, text in enumerate(texts):
        assert pages.keep(PageItem(f"/{number}", Outcome.PRESENT, title="t", content=text))
    return pages


def own(count: int) -> list[str]:
    return [" ".join(tale(f"page {number}", 2)) for number in range(count)]


@pytest.mark.parametrize(
    ("texts", "known", "there", "wall"),
    [
        ([WALL] * 4, 4, 0, {0, 1, 2, 3}),
        ([WALL] * 4, 100, 3, {0, 1, 2, 3}),
        ([WALL] * 4, 100, 4, set()),  # half is not more than half
        ([*own(2), WALL, WALL, WALL, f"{WALL} with a token 123"], 100, 0, {2, 3, 4, 5}),
        ([WALL] * 2, 2, 0, {0, 1}),
        ([WALL] * 2, 100, 0, set()),  # two pages may well have become one
        ([WALL], 1, 0, set()),  # a page is not its own wall
        (own(9), 9, 0, set()),
        ([], 9, 0, set()),
    ],
)
def test_a_wall_is_what_more_than_half_of_the_pages_say(texts, known, there, wall):
    assert kept(*texts, known=known, there=there).wall() == wall


def test_enough_pages_that_do_not_agree_are_a_redesign_and_none_is_kept_any_more():
    pages = kept(*own(ENOUGH - 1))
    assert not pages.is_redesign()
    assert pages.keep(PageItem("/last", Outcome.PRESENT, content=own(60)[-1]))
    assert pages.is_redesign()
    assert len(pages.release()) == ENOUGH
    assert not pages.keep(PageItem("/next", Outcome.PRESENT, content="more"))


def test_a_wall_is_kept_however_many_pages_stand_behind_it():
    assert not kept(*[WALL] * (ENOUGH + 5)).is_redesign()


def test_a_sketch_is_as_alike_as_the_text():
    long = tale("long", 20)
    edited = [*long[:-1], " ".join(tale("other", 1))]
    assert resemblance(sketch(" ".join(long)), sketch(" ".join(edited))) > 0.8
    assert resemblance(sketch(" ".join(long)), sketch(" ".join(tale("short", 20)))) < 0.2
