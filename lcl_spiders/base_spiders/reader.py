"""One answer of a site -> one item: what the page says, and what its site had said of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from scrapy import Request

from db.page_rows import Fetch
from lcl_spiders.base_spiders.answers import header, is_same_page, robots_directives
from lcl_spiders.base_spiders.conditional import (
    claims_of,
    conditional_headers,
    deciding_signal,
    is_unmoved,
    usable_etag,
    usable_last_modified,
)
from lcl_spiders.base_spiders.missing import MissingPages
from lcl_spiders.base_spiders.not_found import Text
from lcl_spiders.extraction import ExtractedPage, ExtractionCrashed, ExtractionError, body_hash
from lcl_spiders.items import Outcome, PageItem
from pipelines.schedule import audit_offset
from pipelines.similarity import containment, shingles
from pipelines.trust import Signal
from pipelines.unchanged import content_hash

if TYPE_CHECKING:
    from scrapy.http import HtmlResponse, Response

    from db.pages import KnownPage
    from lcl_spiders.base_spiders.source import SourceSpider
    from pipelines.run import Run

LEFT = 0.2  # of a page's old text, below which it is rather another page
LIES_LOOKED_FOR = 3  # changed pages of a run for which the site is asked whether it would have said so


class PageReader:
    """Turns the answers of one crawl into items. `missing` knows what the site answers for pages that are not there."""

    def __init__(self, spider: SourceSpider, run: Run) -> None:
        self._spider = spider
        self._run = run
        self.missing = MissingPages(spider)
        self._present: set[str] = set()
        self._lastmods: dict[str, str] = {}
        self._lies_looked_for = 0

    def remember_lastmod(self, url: str, lastmod: str | None) -> None:
        """Note what the sitemaps say of a page that may be asked for."""
        if lastmod is not None:
            self._lastmods[url] = lastmod

    def not_modified(self, response: Response, known: KnownPage) -> PageItem:
        """Return the item of a page that answered 304: its stored links are replayed (C3), its validators kept.

        Those that the answer carries replace them (RFC 9110 section 15.4.5).
        """
        self._present.add(known.url)
        etag, last_modified = self._validators(response, known)
        return PageItem(
            url=known.url,
            outcome=Outcome.UNCHANGED,
            body_hash=known.body_hash,
            etag=etag or known.etag,
            last_modified=last_modified or known.last_modified,
            outlinks=known.outlinks,
            http_status=response.status,
            known=known,
            signal=response.meta["signal"],
        )

    def is_called_changed(self, known: KnownPage) -> bool:
        """Return whether a believed sitemap says that a page changed since its download: then it is read, not asked."""
        lastmod = self._lastmods.get(known.url)
        stored = known.check and known.check.sitemap_lastmod
        differs = lastmod is not None and stored is not None and lastmod != stored
        return differs and self._run.trust.believes(Signal.SITEMAP_LASTMOD)

    def claims_over_nothing(self, known: KnownPage | None) -> frozenset[Signal]:
        """Return the signal that calls a page unchanged which is not there any more."""
        if known is None or not is_unmoved(known.check, self._lastmods.get(known.url)):
            return frozenset()
        return frozenset({Signal.SITEMAP_LASTMOD})

    async def read(self, response: HtmlResponse, url: str) -> PageItem | None:
        """Return the item of a page that was downloaded, its text read unless its body is known.

        None when there is nothing to say of it: the page that it calls itself was read in this run, or the crawl is
        being shut down.
        """
        self._present.add(url)
        known: KnownPage | None = response.meta["known"]
        if known is None or known.url != url:
            known = await self._run.known(url)
        item = self._downloaded(response, url, known)
        directives = robots_directives(response)
        is_alike = known is not None and self._spider.is_read_alike(known)
        is_same = known is not None and known.body_hash == item.body_hash
        if known is not None and is_same and is_alike:
            if "noindex" in directives:
                item.claims = frozenset()  # the page did not change, and who said so told the truth
            elif not self._run.arguments.reembed:
                item.outcome, item.outlinks = Outcome.UNCHANGED, known.outlinks
                self._run.count("pages/same_body")
                return item
        elif known is not None and is_alike and not is_same:
            item.claims = frozenset(item.claims) | await self._false_claims(response, known)
        return item if await self._extract(item, response, directives) else None

    async def is_replaced(self, item: PageItem, known: KnownPage) -> bool:
        """Return whether hardly anything of a page's stored text is left."""
        if known.content_hash == content_hash(item.title, item.content):
            return False
        _, text = await self._run.stored_text(known.url) or (None, "")
        old = shingles(text)
        return bool(old) and containment(old, shingles(item.content)) < LEFT

    def _downloaded(self, response: HtmlResponse, url: str, known: KnownPage | None) -> PageItem:
        """Return the item of a page that was downloaded, before its text is read."""
        etag, last_modified = self._validators(response, known)
        lastmod = self._lastmods.get(url)
        claims: frozenset[Signal] = frozenset()
        if known is not None and self._spider.is_read_alike(known):  # else it may change without its site's doing
            claims = claims_of(known, etag, last_modified, lastmod)
        # Where nothing is believed, all pages are downloaded in every run: their first audits must not come together.
        begins = known is None or not self._run.trust.believes_any
        return PageItem(
            url=url,
            outcome=Outcome.PRESENT,
            body_hash=body_hash(response.body, self._spider.reads_as),
            etag=etag,
            last_modified=last_modified,
            http_status=response.status,
            known=known,
            claims=claims,
            fetch=Fetch(
                at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=response.meta.get("download_latency", 0)),
                body_bytes=len(response.body),
                reader=self._spider.reads_as,
                lastmod=lastmod,
                audit_offset=audit_offset(url, self._run.config.trust_audit_every) if begins else 0,
            ),
        )

    async def _false_claims(self, response: Response, known: KnownPage) -> frozenset[Signal]:
        """Return the signal by which a site calls a page unchanged of which it has just sent another body.

        A server may renew its validators and answer 304 all the same: it is asked once more, for a few pages of a run.
        """
        headers = conditional_headers(known, lambda _: True)
        if not headers or response.meta["signal"] is not None or self._lies_looked_for >= LIES_LOOKED_FOR:
            return frozenset()
        self._lies_looked_for += 1
        try:
            request = Request(known.url, headers=headers, meta={"dont_retry": True})
            answer = await self._spider.download(request)
        except Exception as error:  # noqa: BLE001 - no answer says nothing, whatever the reason
            self._spider.logger.debug("%s: the site was not heard: %s", known.url, type(error).__name__)
            return frozenset()
        is_lie = answer.status == HTTPStatus.NOT_MODIFIED
        return frozenset({deciding_signal(headers)}) if is_lie else frozenset()

    async def _extract(self, item: PageItem, response: HtmlResponse, directives: frozenset[str]) -> bool:
        """Read the page's text into the item; return False when there is nothing to say of it."""
        try:
            page = await self._spider.extract(response, item.url)
        except ExtractionCrashed as error:
            if not self._spider.crawler.crawling:  # the shutdown took the workers with it: that says nothing
                return False
            item.outcome, item.reason, item.message = Outcome.FAILED, error.kind, str(error)
        except ExtractionError as error:
            item.outcome, item.reason, item.message = Outcome.FAILED, error.kind, str(error)
            item.outlinks = item.known.outlinks if item.known is not None else ()
        else:
            self._fill(item, response, page, directives)
            if item.outcome is Outcome.PRESENT and await self.missing.is_not_found(
                Text(item.url, item.title, item.content)
            ):
                item.outcome, item.reason = Outcome.GONE, "soft_404"
            return self._take_identity(item, page)
        return True

    def _take_identity(self, item: PageItem, page: ExtractedPage) -> bool:
        """Give the item the URL that its page calls canonical; False when that page was read in this run itself."""
        canonical = page.canonical
        if page.is_canonical_malformed:
            self._run.count("canonicals/malformed")
        if canonical is None or canonical == item.url:
            return True
        # A page that is known under its URL stays there until the other has been seen.
        if item.known is not None or not is_same_page(item.url, canonical):
            if self._spider.frontier.is_in_scope(canonical):
                item.canonical = canonical
            else:
                self._run.count("canonicals/not_believed")
            return True
        if canonical in self._present:
            self._run.count("pages/repeated")
            return False
        if self._spider.frontier.meet(canonical):
            self._present.add(canonical)
            item.url, item.known = canonical, None
        return True

    def _fill(self, item: PageItem, response: HtmlResponse, page: ExtractedPage, directives: frozenset[str]) -> None:
        item.title, item.language, item.content = page.title, page.language, page.content
        item.structured = page.stated
        if not page.nofollow and "nofollow" not in directives:
            item.outlinks = self._spider.links(response, page)
        if page.noindex or "noindex" in directives:
            item.outcome, item.reason = Outcome.GONE, "noindex"
        self._run.count(f"extracted/{page.extractor}")
        self._run.count("extracted/selector_missed", page.is_selector_missed)
        self._run.count("boilerplate/left_out", len(page.boilerplate))
        if page.kind is not None:
            self._run.count(f"kinds/{page.kind}")
            if item.fetch is not None:
                item.fetch = replace(item.fetch, recognised=self._spider.boilerplate.recognised(page, item.url))

    def _validators(self, response: Response, known: KnownPage | None) -> tuple[str | None, str | None]:
        """Return the ETag and Last-Modified that can be sent back; a malformed one is counted and left out."""
        sent = header(response, "ETag"), header(response, "Last-Modified")
        if known is not None and None not in sent and sent == (known.etag, known.last_modified):
            return sent  # found usable before
        etag = last_modified = None
        try:
            etag = usable_etag(sent[0])
        except ValueError:
            self._run.count("validators/malformed")
        try:
            last_modified = usable_last_modified(sent[1], header(response, "Date"), dt.datetime.now(dt.UTC))
        except ValueError:
            self._run.count("validators/malformed")
        return etag, last_modified
