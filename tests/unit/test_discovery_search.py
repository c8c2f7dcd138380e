"""The search provider, against a real server on loopback."""

import json
import logging
from collections.abc import Iterator

import pytest

from lcl_spiders.discovery import search
from lcl_spiders.discovery.search import BraveSearch, SearchFailed
from lcl_spiders.local_site import LocalSite, Page

SECRET = "key-that-nobody-may-see"


def answer(*urls: str, more: bool = False) -> str:
    results = [{"title": "A", "url": url} for url in urls]
    return json.dumps({"query": {"more_results_available": more}, "web": {"type": "search", "results": results}})


@pytest.fixture
def server() -> Iterator[LocalSite]:
    with LocalSite() as site:
        yield site


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "ATTEMPTS", 1)


def brave(server: LocalSite) -> BraveSearch:
    return BraveSearch(SECRET, server.url("/search"))


async def test_results_come_from_as_many_pages_as_are_asked_for(server: LocalSite) -> None:
    path = "/search?q=agenda+leiden&count=20&offset={}&result_filter=web"
    server[path.format(0)] = answer("https://a.example/1", "https://b.example/", more=True)
    server[path.format(1)] = answer("https://a.example/1", "https://c.example/", more=True)
    assert await brave(server).search("agenda leiden", 3) == [
        "https://a.example/1",
        "https://b.example/",
        "https://c.example/",
    ]
    assert [request.headers["x-subscription-token"] for request in server.requests] == [SECRET, SECRET]
    assert all(SECRET not in request.path for request in server.requests)


async def test_a_search_ends_where_there_are_no_more_results(server: LocalSite) -> None:
    server["/search"] = answer("https://a.example/")
    assert await brave(server).search("x", 50) == ["https://a.example/"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (Page(SECRET, status=401), search.KEY),
        (Page(SECRET, status=422), search.KEY),
        (Page(SECRET, status=429), "quota"),
        (Page(SECRET, status=500), "500"),
        (Page(status=302, headers={"Location": "/elsewhere"}), "302"),
        (Page(f"<p>{SECRET}"), search.URL),
        (Page("[]"), search.URL),
    ],
)
async def test_a_failure_is_told_without_the_key(
    server: LocalSite, page: Page, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server["/search"] = page
    with pytest.raises(SearchFailed, match=says) as error:
        await brave(server).search("x", 5)
    assert SECRET not in f"{error.value!r} {error.value.__cause__!r} {caplog.text}"
    assert [request.path for request in server.requests if request.path == "/elsewhere"] == []


async def test_a_provider_that_does_not_answer_is_told(server: LocalSite) -> None:
    provider = brave(server)
    server.stop()
    with pytest.raises(SearchFailed, match="does not answer"):
        await provider.search("x", 5)


async def test_results_without_a_url_are_left_out(server: LocalSite) -> None:
    server["/search"] = json.dumps({"web": {"results": [{"title": "A"}, 3, {"url": 4}, {"url": "https://a.example/"}]}})
    assert await brave(server).search("x", 5) == ["https://a.example/"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"LCL_SEARCH_KEY": "a\nb"}, {"LCL_SEARCH_KEY": "k", "LCL_SEARCH_URL": "file:///etc/passwd"}],
)
def test_a_provider_needs_a_key_and_an_address(environ: dict[str, str]) -> None:
    with pytest.raises(SearchFailed, match="LCL_SEARCH_"):
        search.provider(environ)
