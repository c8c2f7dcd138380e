"""Which of the pages with one text is indexed."""

from pipelines.writer import part_twins
from tests.support.index import digest, page

A, B = digest("text a"), digest("text b")


def urls(parted):
    own, twins = parted
    return [row.url for row in own], [(row.url, original) for row, original in twins]


def test_new_pages_with_one_text_are_indexed_under_the_shortest_url():
    rows = [page("/long", "text a"), page("/a", "text a"), page("/c", "text b")]
    assert urls(part_twins(rows, {})) == (["/a", "/c"], [("/long", "/a")])


def test_a_page_that_is_indexed_already_stays_the_original():
    rows = [page("/a", "text a"), page("/longer", "text a")]
    assert urls(part_twins(rows, {A: "/longer"})) == (["/longer"], [("/a", "/longer")])


def test_a_twin_is_written_without_chunks():
    _, ((twin, _),) = part_twins([page("/a", "text a"), page("/b", "text a")], {})
    assert (twin.manifest, twin.chunks, twin.content) == ((), (), "text a")


def test_pages_without_text_are_nobodys_twins():
    assert urls(part_twins([page("/a"), page("/b")], {})) == (["/a", "/b"], [])


def test_a_page_that_takes_another_text_in_the_same_batch_is_nobodys_original():
    rows = [page("/a", "text b"), page("/b", "text a")]
    assert urls(part_twins(rows, {A: "/a"})) == (["/a", "/b"], [])
