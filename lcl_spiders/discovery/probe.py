"""Probing one candidate: which requests are made, and what is noted of their answers.

One request after the other, each through the downloader with its middlewares: robots.txt, redirects, decompression.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urljoin, urlsplit

from scrapy import Request
from scrapy.http import HtmlResponse

from db.errors import one_line
from db.urls import canonical_url, domain_of
from lcl_spiders.base_spiders import sitemaps
from lcl_spiders.base_spiders.answers import charset, header, kind_of
from lcl_spiders.base_spiders.frontier import Frontier
from lcl_spiders.discovery import reading
from lcl_spiders.discovery.findings import Findings, Listed, PageFacts
from lcl_spiders.discovery.noise import is_noise
from lcl_spiders.downloadermiddlewares.typed import RobotsForbidden, RobotsUnavailable
from lcl_spiders.extraction import ExtractionError, NoText
from lcl_spiders.extraction.feeds import is_sitemap
from lcl_spiders.source_config import SourceConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from scrapy.http import Response

    from lcl_spiders.discovery.config import DiscoveryConfig
    from lcl_spiders.discovery.reading import Reading
    from lcl_spiders.extraction.feeds import Entry
    from lcl_spiders.extraction.pool import ExtractionPool

MAX_PAGE = 5 * 2**20  # bytes
MAX_SITEMAPS = 4
MAX_FEEDS = 3
USUAL_FEEDS = ("/feed", "/rss.xml", "/atom.xml")

_SILENT = frozenset({"dns", "connection_refused", "timeout", "no_answer"})
_FAILURES = {
    "timeout": "it gave no whole answer within {timeout:g} s",
    "dns": "there is no such host",
    "connection_refused": "it refuses connections",
    "redirect_loop": "its redirects do not end",
    "too_large": "its start page is larger than 5 MB",
    "body_cut_short": "its start page is cut short",
    "robots_forbidden": "robots.txt forbids it",
}


class NothingThere(Exception):
    """A candidate need not be looked at any further; its findings say why. Raised by `Probe.first_page`."""


@dataclass(frozen=True)
class Tools:
    """What every probe uses.

    `download` answers a request with a response of any status, and raises what went wrong. `robots_txt` returns the
    robots.txt of a URL's host.
    """

    download: Callable[[Request], Awaitable[Response]]
    robots_txt: Callable[[str], Awaitable[bytes]]
    pool: ExtractionPool
    config: DiscoveryConfig


@dataclass(frozen=True)
class _Page:
    facts: PageFacts
    reading: Reading
    outlinks: tuple[str, ...]


class Probe:
    """Looks at one candidate: `first_page` first, then `look_around`.

    What is seen is written into `findings` at once, so that a caller who gives up has what was found until then.
    """

    def __init__(self, url: str, tools: Tools) -> None:
        self.findings = Findings(url, url)
        self._tools = tools
        self._links: Sequence[str] = ()
        self._named_feeds: Sequence[str] = ()

    async def first_page(self) -> None:
        """Ask for the start page. Raises `NothingThere`."""
        response = await self._ask_first()
        if not isinstance(response, HtmlResponse):
            await self._take_feed(response)
            return
        page = await self._read(response, self.findings.start_url)
        if page is None:
            self._give_up("its start page cannot be read")
        if page.reading.parked:
            self._give_up(f"it looks like a parked domain or an empty server: {page.reading.parked}")
        self.findings.start = page.facts
        self._named_feeds = page.reading.feeds
        inside = self._inside(page.outlinks)
        self.findings.links = len(inside)
        self.findings.cards = len(page.reading.cards)
        self._links = page.reading.cards or inside

    async def look_around(self) -> None:
        """Look for a sitemap and a feed, and read sampled pages: linked ones, else listed ones."""
        listed = await self._look_for_sitemap()
        if self.findings.feed is None:
            listed = [*await self._look_for_feed(), *listed]
        for url in spread(self._links or self._inside(listed), self._tools.config.samples):
            await self._sample(url)

    async def _ask_first(self) -> Response:
        findings, noise_domains = self.findings, self._tools.config.noise_domains
        try:
            response = await self._get(findings.url)
        except Exception as error:  # noqa: BLE001 - whatever keeps a candidate from answering is what was found out
            self._give_up(self._why(error))
        findings.status = response.status
        findings.start_url = led_to(findings.url, response.url)
        domain = domain_of(findings.start_url)
        if domain != domain_of(findings.url):
            if reading.is_parking(domain):
                self._give_up(f"it looks like a parked domain: it leads to {domain}")
            if is_noise(domain, noise_domains):
                self._give_up(f"it leads to {domain}, which is one of the noise domains")
        if response.status != HTTPStatus.OK:
            self._give_up(f"it answered {response.status}")
        return response

    def _why(self, error: Exception) -> str:
        """Return why the start page did not answer, and note whether that is robots.txt's doing or the host's."""
        is_unread = isinstance(error, RobotsUnavailable)
        cause = error.__cause__ if is_unread and error.__cause__ is not None else error
        kind = kind_of(cause)
        self.findings.is_absent = kind == "dns"
        self.findings.is_silent = kind in _SILENT
        is_unread = is_unread and kind not in _SILENT
        self.findings.is_robots = is_unread or isinstance(error, RobotsForbidden)
        named = _FAILURES.get(kind, "").format(timeout=self._tools.config.timeout)
        if is_unread:
            return f"its robots.txt cannot be read, which forbids everything: {named or one_line(error)}"
        return named or f"it gave no answer: {type(cause).__name__}: {one_line(cause)}"[:300]

    async def _take_feed(self, response: Response) -> None:
        """Note a candidate that is itself a feed. Raises `NothingThere` for what is neither that nor HTML."""
        links = await self._listed_by(response)
        if links is None:
            self._give_up(f"it answers {header(response, 'Content-Type') or 'no content type'}, which is no page")
        inside = self._inside(links)
        self.findings.is_feed = True
        self.findings.feed = Listed(self.findings.start_url, len(inside), len(links))
        self._links = inside

    async def _look_for_sitemap(self) -> list[str]:
        """Note how many pages the sitemaps list that robots.txt names, or else the usual one; return some of them."""
        findings = self.findings
        base = urljoin(findings.start_url, "/")
        named = sitemaps.named_in_robots(await self._tools.robots_txt(base), base)
        waiting = named or [urljoin(base, "/sitemap.xml")]
        first, asked, has_any = waiting[0], 0, False
        urls: dict[str, None] = {}
        while waiting and asked < MAX_SITEMAPS:
            asked += 1
            is_index, entries = await self._sitemap(waiting.pop(0))
            has_any = has_any or bool(entries)
            found = [entry.url for entry in entries]
            if is_index:
                waiting += found
            else:
                urls |= dict.fromkeys(found)
        inside = self._inside(urls)
        findings.sitemap = Listed(first, len(inside), len(urls)) if has_any else False
        return inside

    async def _sitemap(self, url: str) -> tuple[bool, list[Entry]]:
        try:
            response = await self._tools.download(Request(url))
            if response.status == HTTPStatus.OK:
                return await asyncio.to_thread(sitemaps.parse, response.body)
        except Exception:  # noqa: BLE001 - a site that has no sitemap to give, for whatever reason, has none
            return False, []
        return False, []

    async def _look_for_feed(self) -> list[str]:
        """Note the first feed of those that the start page names, or else of the usual places; return its pages."""
        base = urljoin(self.findings.start_url, "/")
        self.findings.feed = None
        for url in (self._named_feeds or [urljoin(base, path) for path in USUAL_FEEDS])[:MAX_FEEDS]:
            try:
                response = await self._get(url)
                links = await self._listed_by(response)
            except Exception:  # noqa: BLE001, S112 - a feed that does not answer is none; the next may
                continue
            if response.status == HTTPStatus.OK and links is not None:
                inside = self._inside(links)
                self.findings.feed = Listed(canonical_url(response.url), len(inside), len(links))
                return inside
        self.findings.feed = False
        return []

    async def _listed_by(self, response: Response) -> list[str] | None:
        """Return the URLs of a feed's entries; None for what is no feed that can be read, as a sitemap is none."""
        if is_sitemap(response.body):
            return None
        try:
            feed = await self._tools.pool.read_feed(response.body, response.url, charset(response))
        except ExtractionError:
            return None
        return [entry.url for entry in feed.entries]

    async def _sample(self, url: str) -> None:
        findings = self.findings
        findings.sampled += 1
        try:
            response = await self._get(url)
        except RobotsForbidden:
            findings.forbidden += 1
            return
        except Exception:  # noqa: BLE001 - a page that does not answer counts as one without text
            return
        if response.status == HTTPStatus.OK and isinstance(response, HtmlResponse):
            page = await self._read(response, url)
            if page is not None:
                findings.samples.append(page.facts)

    async def _get(self, url: str) -> Response:
        return await self._tools.download(Request(url, meta={"download_maxsize": MAX_PAGE}))

    async def _read(self, response: HtmlResponse, url: str) -> _Page | None:
        """Return what a page says, None when it cannot be read."""
        encoding = charset(response)
        try:
            seen = await asyncio.to_thread(reading.read, response.body, response.url, encoding, self._tells_pages())
            page = await self._tools.pool.extract(response.body, response.url, encoding)
        except NoText:  # a shell, as a rule: how much of the site is one is evidence, too
            return _Page(PageFacts(url, seen.visible, 0, seen.has_scripts, seen.types, None), seen, ())
        except (ExtractionError, MemoryError):
            return None
        facts = PageFacts(
            url=url,
            visible=seen.visible,
            text=len(page.content),
            has_scripts=seen.has_scripts,
            types=seen.types,
            language=page.language or reading.language_of(page.content),
        )
        return _Page(facts, seen, page.outlinks)

    def _inside(self, urls: Iterable[str]) -> list[str]:
        """Return those URLs that are pages of the candidate's domain, without its start page, each once."""
        return list(filter(self._tells_pages(), dict.fromkeys(urls)))

    def _tells_pages(self) -> Callable[[str], bool]:
        frontier = Frontier(domain_of(self.findings.start_url), SourceConfig())
        own = {self.findings.url, self.findings.start_url}
        return lambda url: url not in own and frontier.is_in_scope(url)

    def _give_up(self, why: str) -> NoReturn:
        self.findings.failure = why
        raise NothingThere(why)


def led_to(asked: str, answered: str) -> str:
    """Return the start URL of a site: what was asked for, unless that leads to another domain or scheme.

    A crawl stays within the domain of its start URL, but follows redirects inside it by itself.
    """
    try:
        end = canonical_url(answered)
    except ValueError:
        return asked
    return asked if urlsplit(end)[:2] == urlsplit(asked)[:2] else end


def spread(urls: Sequence[str], count: int) -> list[str]:
    """Return at most `count` URLs, evenly spread over the sequence: its first ones are often all of one kind."""
    if len(urls) <= count:
        return list(urls)
    return [urls[at * len(urls) // count] for at in range(count)]
