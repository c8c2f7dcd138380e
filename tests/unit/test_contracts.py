"""Contracts that run on saved pages: what passes, and above all what does not."""

from __future__ import annotations

from pathlib import Path
from unittest import TestResult as Result

import pytest
from scrapy import Request
from scrapy.contracts import ContractsManager
from scrapy.exceptions import NotConfigured
from scrapy.http import HtmlResponse, XmlResponse
from scrapy.utils.misc import load_object

from lcl_spiders import settings
from lcl_spiders.base_spiders import WebsiteSpider
from lcl_spiders.contracts import SavedPageMiddleware

PAGE = "../fixtures/contracts/harbour.html"
URL = "https://example.org/harbour"
SAVED = f"@saved_page {PAGE} {URL}"


def check(*lines: str, callback=None) -> Result:
    """Run a callback with these lines in its docstring, as `scrapy check` does."""

    class Harbour(WebsiteSpider):
        name = "harbour"

        def page(self, response):
            return callback(self, response) if callback else self.read_page(response)

    Harbour.page.__doc__ = "\n".join(lines)
    manager = ContractsManager(map(load_object, settings.SPIDER_CONTRACTS))
    result = Result()
    for request in manager.from_spider(Harbour(), result):
        assert request is not None
        response = SavedPageMiddleware().process_request(request)
        assert response is not None
        request.callback(response)
    return result


def problems(result: Result) -> str:
    return "\n".join(text for _, text in [*result.failures, *result.errors])


@pytest.mark.parametrize(
    "contract",
    [
        "@has_fields title language content outlinks",
        '@main_text "The ferry leaves at seven"',
        "@main_text The ferry leaves at seven",
        '@main_text "every morning from the north pier"',
        '@lacks_text "Accept all cookies"',
        "@leads_to /timetable https://example.org/tickets?a=1&b=2",
    ],
)
def test_a_contract_that_holds_passes(contract: str) -> None:
    result = check(SAVED, contract)
    assert result.wasSuccessful(), problems(result)
    assert result.testsRun == 1


@pytest.mark.parametrize(
    ("contract", "told"),
    [
        ("@has_fields title canonical", "nothing in canonical of https://example.org/harbour; there is title"),
        ("@has_fields headline", "nothing in headline"),
        ('@main_text "The ferry leaves at eight"', '"The ferry leaves at eight" does not stand in the text'),
        ('@main_text "Accept all cookies"', "does not stand in the text"),
        ('@lacks_text "The ferry leaves at seven"', "and should not"),
        ("@leads_to /timetable /elsewhere", "does not lead to /elsewhere"),
    ],
)
def test_a_contract_that_is_broken_fails_and_says_what_is_there(contract: str, told: str) -> None:
    result = check(SAVED, contract)
    assert len(result.failures) == 1
    assert told in problems(result)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["@has_fields title"], "give one page, as @saved_page <file"),
        ([f"@saved_page {PAGE}", "@has_fields title"], "give one page"),
        ([SAVED, SAVED, "@has_fields title"], "give one page"),
        ([SAVED, "@has_fields"], "@has_fields without words checks nothing"),
        ([SAVED, '@main_text ""'], "@main_text without words checks nothing"),
        ([SAVED, "@main_txt words"], "main_txt"),
        ([f"@saved_page nowhere.html {URL}"], f"scrapy fetch --nolog {URL} > nowhere.html"),
        ([f"@saved_page {PAGE} harbour"], "harbour"),
    ],
)
def test_a_contract_that_could_check_nothing_is_an_error(lines: list[str], told: str) -> None:
    result = check(*lines)
    assert len(result.errors) == 1
    assert told in problems(result)


@pytest.mark.parametrize("contract", ["@has_fields title", "@main_text x", "@lacks_text x", "@leads_to /x"])
def test_a_callback_that_returns_nothing_fails_every_contract(contract: str) -> None:
    assert len(check(SAVED, contract, callback=lambda spider, response: None).failures) == 1


@pytest.mark.parametrize("contract", ["@has_fields title", "@main_text x", "@lacks_text x"])
def test_requests_are_no_text(contract: str) -> None:
    assert len(check(SAVED, contract, callback=lambda spider, response: [Request(URL)]).failures) == 1


def test_requests_are_links() -> None:
    def follow(spider, response):
        yield Request(response.urljoin("next"))

    assert check(SAVED, "@leads_to /next", callback=follow).wasSuccessful()


def test_a_callback_that_raises_is_an_error() -> None:
    result = check(SAVED, "@has_fields title", callback=lambda spider, response: 1 / 0)
    assert "ZeroDivisionError" in problems(result)


def test_the_answer_is_the_file_as_its_name_says_under_the_url_of_the_page() -> None:
    answers = {}
    for name, kind in (("page.html", HtmlResponse), ("feed.xml", XmlResponse)):
        request = Request(URL, meta={"lcl_saved_page": (name, b"<a>text</a>")})
        answers[name] = SavedPageMiddleware().process_request(request)
        assert type(answers[name]) is kind
    assert (answers["page.html"].url, answers["page.html"].body) == (URL, b"<a>text</a>")


def test_no_other_request_is_answered_and_no_crawl_has_the_middleware(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SavedPageMiddleware().process_request(Request(URL)) is None
    monkeypatch.delenv("SCRAPY_CHECK", raising=False)
    with pytest.raises(NotConfigured):
        SavedPageMiddleware.from_crawler(None)


def test_the_page_of_these_tests_is_there() -> None:
    assert (Path(__file__).parent / PAGE).is_file()
