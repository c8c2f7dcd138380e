import pytest

from lcl_spiders.base_spiders.frontier import Frontier
from lcl_spiders.source_config import SourceConfig


def frontier(max_pages=None, **config):
    return Frontier("example.org", SourceConfig(**config), max_pages)


@pytest.mark.parametrize(
    ("url", "belongs"),
    [
        ("https://example.org/a", True),
        ("http://example.org/a", True),
        ("https://example.org/a.html?x=1", True),
        ("https://www.example.org/a", False),
        ("https://example.org.evil.test/a", False),
        ("https://example.org:8443/a", False),
        ("https://example.org/photo.JPG", False),
        ("https://example.org/list?file=photo.jpg", True),
        ("https://example.org/film.mp4", False),
    ],
)
def test_a_site_is_its_host_and_its_pages_are_no_media_files(url, belongs):
    assert frontier().is_in_scope(url) is belongs


def test_a_url_must_match_one_allowed_pattern_and_no_denied_one():
    scope = frontier(allow=["/docs/", "/blog/"], deny=[r"/docs/old/"])
    assert scope.is_in_scope("https://example.org/docs/a")
    assert scope.is_in_scope("https://example.org/blog/a")
    assert not scope.is_in_scope("https://example.org/docs/old/a")
    assert not scope.is_in_scope("https://example.org/shop")


def test_a_url_is_given_out_once():
    scope = frontier()
    assert scope.take("https://example.org/a")
    assert not scope.take("https://example.org/a")
    assert scope.unmet(["https://example.org/a", "https://example.org/b"]) == ["https://example.org/b"]


def test_nothing_is_given_out_past_the_limit():
    scope = frontier(max_pages=2)
    assert [scope.take(f"https://example.org/{n}") for n in range(4)] == [True, True, False, False]
    assert scope.is_exhausted


def test_a_run_cannot_raise_the_limit_of_its_source():
    scope = Frontier("e.org", SourceConfig(max_pages=1), 50)
    assert [scope.take(f"https://e.org/{n}") for n in range(2)] == [True, False]
