"""A listing: an agenda, a shop's list, a directory. Its pages lead to items and to more of its pages, items nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from db.urls import canonical_url
from lcl_spiders.base_spiders.refresh import RefreshSpider
from lcl_spiders.extraction.cards import item_links
from lcl_spiders.extraction.links import folder_of, selected
from lcl_spiders.extraction.paging import next_pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from scrapy import Request
    from scrapy.http import HtmlResponse, Response

    from db.pages import KnownPage
    from lcl_spiders.extraction import ExtractedPage
    from lcl_spiders.items import PageItem

_OWN_VERSION = 1


class ListingSpider(RefreshSpider):
    """Index the pages of a listing and the items that they list; no other link is followed.

    Items and next pages are found by the source's `item_links` and `next_page` (CSS), or by themselves. Listing pages
    are asked for in every run, by validators like others. `scrapy crawl listing -a url=https://…` registers a listing
    and crawls it.

    The outlinks of a listing page are its items, then the start URL, then its next pages: so one that is not downloaded
    leads on all the same (C3, A29), and the start URL among its outlinks tells it from an item.
    """

    name = "listing"

    def __init__(self, name: str | None = None, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self._listings: set[str] = set()
        self._left: set[str] = set()
        self._folders: set[str] = set()

    def ways_of_reading(self) -> list[str]:
        """Return what decides what is read: also the selectors by which links are found."""
        return [
            *super().ways_of_reading(),
            f"listing-{_OWN_VERSION}: {self.config.item_links}, {self.config.next_page}",
        ]

    async def first_requests(self) -> AsyncIterator[Request]:
        """Yield requests for the listing's pages, as far as they are known."""
        for request in await self._ask_for_listings(self.starts):
            yield request

    def is_read_alike(self, known: KnownPage) -> bool:
        """Return whether a page was read as it would be now, and as a listing page if it is one."""
        return super().is_read_alike(known) and (known.url not in self._listings or self.start_url in known.outlinks)

    def links(self, response: HtmlResponse, page: ExtractedPage) -> Sequence[str]:
        """Return the items and next pages of a listing page, and links to other domains; of an item only these."""
        foreign = [url for url in page.outlinks if not self.frontier.is_inside(url)]
        if not self._is_listing(response):
            return foreign
        items, onward = self._read_listing(response)
        self._learn(items)
        self.run.count("listings/read")
        if not items:
            self.run.count("listings/without_items")
            self.logger.warning("%s: no items were found on this page of the listing; set item_links", response.url)
        return [*items, self.start_url, *onward, *foreign]

    async def lead_on(self, response: Response, item: PageItem) -> list[Request]:
        """Return requests for what a listing page leads to; of an item, for the page that it names as canonical."""
        named = [item.canonical] if item.canonical is not None else []
        items, onward = parted(item.outlinks, self.start_url)
        return [*await self._ask_for_listings(onward), *await self.follow([*items, *named], depth=1)]

    async def _ask_for_listings(self, urls: Iterable[str]) -> list[Request]:
        """Return requests for pages of the listing, and for those to which stored links of these lead.

        One that was checked lately is not asked for, but what it leads to is. Pages do not count as deeper.
        """
        requests: list[Request] = []
        waiting = list(urls)
        while waiting:
            admitted = self._admit(waiting)
            standing, known = await self.known_among(admitted)
            waiting = []
            for url in admitted:
                page = known.get(url)
                if page is None or not self.is_read_alike(page):
                    items: Sequence[str] = ()
                    is_fresh = False
                else:
                    items, onward = parted(page.outlinks, self.start_url)
                    waiting += onward
                    is_fresh = not standing[url].is_free
                self._learn(items)
                if is_fresh:
                    self.frontier.meet(url)
                    requests += await self.follow(items, depth=1)
                elif request := self.ask_for(url, known=page, is_start=url in self.starts):
                    if page is not None and not standing[url].is_due:
                        self.ask_before_its_time(page)
                    requests.append(request)
        return requests

    def _admit(self, urls: Iterable[str]) -> list[str]:
        """Return those URLs that become pages of the listing in this run: new ones, in scope, while there is room."""
        admitted = []
        for url in dict.fromkeys(urls):
            if url in self._listings or not self.frontier.is_in_scope(url):
                continue
            if len(self._listings) >= self.config.max_listing_pages:
                if url not in self._left:
                    self._left.add(url)
                    self.run.count("listings/left")
                    self.logger.info("%s: it is left out, the listing has more than max_listing_pages", url)
                continue
            self._listings.add(url)
            admitted.append(url)
        return admitted

    def _is_listing(self, response: Response) -> bool:
        known: KnownPage | None = response.meta["known"]
        was_one = known is not None and super().is_read_alike(known) and self.start_url in known.outlinks
        return was_one or response.meta["url"] in self._listings

    def _read_listing(self, response: HtmlResponse) -> tuple[list[str], list[str]]:
        """Return items and next pages of a listing page, as it was downloaded."""
        tree, url, config = response.selector.root, canonical_url(response.url), self.config
        found = next_pages(tree, url) if config.next_page is None else selected(tree, url, config.next_page)
        onward = [each for each in found if each not in self.starts and self.frontier.is_in_scope(each)]
        may_be_item = self._tells_items({*onward, *self._listings, *self.starts})
        if config.item_links is None:
            return item_links(tree, url, may_be_item, self._folders), onward
        return list(filter(may_be_item, selected(tree, url, config.item_links))), onward

    def _tells_items(self, listings: set[str]) -> Callable[[str], bool]:
        return lambda url: url not in listings and self.frontier.is_in_scope(url)

    def _learn(self, items: Iterable[str]) -> None:
        """Remember where items are, for pages that have too few of them to be told by their likeness."""
        self._folders.update(map(folder_of, items))


def parted(outlinks: Sequence[str], start_url: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return the items and next pages among a listing page's outlinks, nothing for a page that is an item."""
    if start_url not in outlinks:
        return (), ()
    at = list(outlinks).index(start_url)
    return outlinks[:at], outlinks[at + 1 :]
