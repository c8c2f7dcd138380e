"""Contracts for saved pages: `scrapy check` runs a callback on a file and looks at what it says; nothing is fetched.

    def event_page(self, response: HtmlResponse) -> ExtractedPage:
        \"\"\"An event with its date.

        @saved_page pages/town_agenda_event.html https://agenda.example.org/events/jazz
        @has_fields title content
        @main_text "The quartet plays until midnight"
        @lacks_text "Cookie settings"
        @leads_to /venues/old-mill
        \"\"\"
        return self.read_page(response)

A contract that is misspelt, has no saved page, or finds nothing to check is a failure, not a pass.
"""

from __future__ import annotations

import os
import pkgutil
import re
import unicodedata
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin

from itemadapter import ItemAdapter, is_item
from scrapy import Request
from scrapy.contracts import Contract
from scrapy.exceptions import ContractFail, NotConfigured
from scrapy.responsetypes import responsetypes

from db.urls import canonical_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scrapy.crawler import Crawler
    from scrapy.http import Response

SAVED_PAGE = "lcl_saved_page"
_SAVED = re.compile(r"^[ \t]*@saved_page[ \t]+(?P<file>\S+)[ \t]+(?P<url>\S+)[ \t]*$", re.MULTILINE)
_NAMED = re.compile(r"^[ \t]*@saved_page\b", re.MULTILINE)


class PageContract(Contract):
    """A contract of a callback that is given a saved page. Raises `ValueError` where the callback has none."""

    def __init__(self, method: Callable[..., Any], *args: str) -> None:
        super().__init__(method, *(arg for arg in args if arg))
        saved = list(_SAVED.finditer(method.__doc__ or ""))
        if len(saved) != 1 or len(_NAMED.findall(method.__doc__ or "")) != 1:
            msg = f"{method.__qualname__}: give one page, as @saved_page <file beside the spider> <URL of the page>"
            raise ValueError(msg)
        if not self.args:
            msg = f"{method.__qualname__}: @{self.name} without words checks nothing"
            raise ValueError(msg)
        self.url = canonical_url(saved[0]["url"])


class SavedPageContract(PageContract):
    """`@saved_page <file> <url>`: the callback is given this file as the answer of the URL.

    The file's path is relative to the module in which the callback stands. Raises `FileNotFoundError`.
    """

    name = "saved_page"

    def __init__(self, method: Callable[..., Any], *args: str) -> None:
        super().__init__(method, *args)
        self._module = method.__module__

    def adjust_request_args(self, args: dict[str, Any]) -> dict[str, Any]:
        file, url = self.args
        args["url"] = url
        args["meta"] = {**(args.get("meta") or {}), SAVED_PAGE: (file, self._body(file, url))}
        return args

    def _body(self, file: str, url: str) -> bytes:
        try:
            body = pkgutil.get_data(self._module, file)
        except OSError:  # of a folder or of an egg
            body = None
        if body is None:
            msg = f"there is no {file} beside {self._module}. Save the page: scrapy fetch --nolog {url} > {file}"
            raise FileNotFoundError(msg)
        return body


class SavedPageMiddleware:
    """Answers the requests of `@saved_page` with their files, before robots.txt or the network is asked for anything.

    There only under `scrapy check`.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Build for one crawl. Raises `NotConfigured` outside of `scrapy check`."""
        if not os.environ.get("SCRAPY_CHECK"):
            raise NotConfigured
        return cls()

    def process_request(self, request: Request) -> Response | None:
        """Return the saved page of a request that has one."""
        saved = request.meta.get(SAVED_PAGE)
        if saved is None:
            return None
        file, body = saved
        answer: Response = responsetypes.from_args(filename=file, body=body)(request.url, body=body, request=request)
        return answer


class OutputContract(PageContract):
    """A contract over the items or pages that the callback returns, of which there must be one at least."""

    def post_process(self, output: Sequence[Any]) -> None:
        pages = [ItemAdapter(each) for each in output if is_item(each)]
        links = [each.url for each in output if isinstance(each, Request)]
        if not pages and not links:
            msg = f"nothing was returned for {self.url}, neither a page nor a request"
            raise ContractFail(msg)
        self.check(pages, links)

    @abstractmethod
    def check(self, pages: list[ItemAdapter], requested: list[str]) -> None:
        """Raise `ContractFail` with what is wrong of the pages, or of the URLs of the requests."""


class HasFieldsContract(OutputContract):
    """`@has_fields title content …`: each page that is returned has these fields, and something in them."""

    name = "has_fields"

    def check(self, pages: list[ItemAdapter], requested: list[str]) -> None:
        if not pages:
            msg = f"no page was returned for {self.url}, only requests"
            raise ContractFail(msg)
        for page in pages:
            empty = [field for field in self.args if not page.get(field)]
            if empty:
                msg = f"nothing in {', '.join(empty)} of {self.url}; there is {', '.join(_filled(page)) or 'nothing'}"
                raise ContractFail(msg)


class TextContract(OutputContract):
    """A contract over words that stand one after the other in the pages' text; line breaks count as spaces."""

    def __init__(self, method: Callable[..., Any], *args: str) -> None:
        super().__init__(method, *args)
        self.words = _plain(" ".join(self.args)).strip("\"“”'").strip()
        if not self.words:
            msg = f"{method.__qualname__}: @{self.name} without words checks nothing"
            raise ValueError(msg)

    def check(self, pages: list[ItemAdapter], requested: list[str]) -> None:
        if not pages:
            msg = f"no page was returned for {self.url}, only requests"
            raise ContractFail(msg)
        self.check_texts([_plain(page.get("content") or "") for page in pages])

    @abstractmethod
    def check_texts(self, texts: list[str]) -> None:
        """Raise `ContractFail` with what is wrong of the texts."""


class MainTextContract(TextContract):
    """`@main_text "words"`: they stand in the text of a page that is returned."""

    name = "main_text"

    def check_texts(self, texts: list[str]) -> None:
        if not any(self.words in text for text in texts):
            msg = f'"{self.words}" does not stand in the text of {self.url}, which begins "{texts[0][:200]}"'
            raise ContractFail(msg)


class LacksTextContract(TextContract):
    """`@lacks_text "words"`: they stand in the text of no page that is returned."""

    name = "lacks_text"

    def check_texts(self, texts: list[str]) -> None:
        if any(self.words in text for text in texts):
            msg = f'"{self.words}" stands in the text of {self.url}, and should not'
            raise ContractFail(msg)


class LeadsToContract(OutputContract):
    """`@leads_to /path …`: each of them is among the links of the pages and the requests that are returned.

    They are URLs, or paths as a link on the page would give them.
    """

    name = "leads_to"

    def check(self, pages: list[ItemAdapter], requested: list[str]) -> None:
        links = [*requested, *(link for page in pages for link in page.get("outlinks") or ())]
        found = {canonical_url(urljoin(self.url, link)) for link in links}
        missing = [target for target in self.args if canonical_url(urljoin(self.url, target)) not in found]
        if missing:
            msg = f"{self.url} does not lead to {', '.join(missing)}; it leads to {len(found)} pages"
            raise ContractFail(msg)


def _filled(page: ItemAdapter) -> list[str]:
    return [field for field in page.field_names() if page.get(field)]


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
