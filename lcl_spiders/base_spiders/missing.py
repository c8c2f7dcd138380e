"""What a site answers for a page that does not exist, found out by asking for some (C5)."""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from scrapy import Request
from scrapy.http import HtmlResponse

from db.urls import canonical_url
from lcl_spiders.base_spiders.not_found import NotFoundTemplate, Text
from lcl_spiders.extraction import ExtractionError

if TYPE_CHECKING:
    from lcl_spiders.base_spiders.source import SourceSpider

FOLDERS = 5
PROBE = "probe"  # rendered where the site's pages are
_NAMES_ITSELF = re.compile(r"\b404\b|not[\s_-]?found", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a site answers for paths that cannot exist.

    `template`: a text of its own; `target`: where it redirects them, if that is a page that says so.
    """

    template: NotFoundTemplate | None = None
    target: str | None = None


class MissingPages:
    """Probes a site when the first page needs it: one request where it answers 404 as it should.

    Once at its root, and once in each of its first few folders from which a page comes, because parts of a site may be
    served by different programs. One that answers 200 is probed again with a path of another shape, and the start page
    is read, and the folder's own: what these have in common with the probes is no evidence.
    """

    def __init__(self, spider: SourceSpider) -> None:
        self._spider = spider
        self._learnt: dict[str, asyncio.Task[Answer]] = {}

    async def is_not_found(self, page: Text) -> bool:
        """Return whether a page that was answered with 200 is the site's not-found template.

        Not one whose stored text is that already: the site answers unknown paths with a page of its own.
        """
        root, folder = "/", f"/{urlsplit(page.url).path.lstrip('/').partition('/')[0]}/"
        has_folder = "/" in urlsplit(page.url).path.lstrip("/")
        for base in (root, folder) if has_folder else (root,):
            if page.url == canonical_url(urljoin(page.url, base)):
                continue  # a folder's own page may be what it answers for all that it does not have
            template = (await self._learn(base)).template
            if template is not None and template.matches(page):
                stored = await self._stored(page.url)
                return stored is None or not template.matches(stored)
        return False

    async def is_where_missing_pages_lead(self, url: str) -> bool:
        """Return whether the site redirects requests for pages that do not exist to this URL."""
        target = (await self._learn("/")).target
        return target is not None and target == url

    async def _learn(self, base: str) -> Answer:
        if base not in self._learnt:
            if len(self._learnt) > FOLDERS:
                return Answer()
            self._learnt[base] = asyncio.get_running_loop().create_task(self._probe(base))
        return await asyncio.shield(self._learnt[base])

    async def _probe(self, base: str) -> Answer:
        start = self._spider.front_page
        token = secrets.token_hex
        texts, targets = [], set()
        for path in (f"{base}{token(12)}", f"{base}{token(6)}/{token(8)}.html"):
            answer = await self._read(urljoin(start, path))
            if answer is None:
                return Answer()
            texts.append(answer[0])
            targets.add(answer[1])
        real = await self._read(start)
        if real is None:
            return Answer()
        reals = [real[0]]
        own = canonical_url(urljoin(start, base))
        # A folder's own page, if there is one: where none leads to it, it is missing, too.
        if base != "/" and (self._spider.frontier.has_met(own) or await self._spider.run.is_known(own)):
            landing = await self._read(own)
            reals += [landing[0]] if landing is not None else []
        template = NotFoundTemplate.learn(texts, reals)
        target = targets.pop() if len(targets) == 1 else None
        # A log-in is where missing pages lead, too, on a day on which all pages lead there.
        if real[1] is not None or template is None or target is None or not _names_itself(texts[0], target):
            target = None
        if template is not None:
            self._spider.logger.info("missing pages below %s are answered with 200; they are known by their text", base)
        return Answer(template, target)

    async def _stored(self, url: str) -> Text | None:
        stored = await self._spider.run.stored_text(url)
        return Text(url, *stored) if stored is not None else None

    async def _read(self, url: str) -> tuple[Text, str | None] | None:
        """Return what a URL answers and where it was redirected to; None for anything but a page and a 200."""
        try:
            response = await self._spider.download(Request(url, meta={"lcl": PROBE}))
            if response.status != HTTPStatus.OK or not isinstance(response, HtmlResponse):
                return None
            page = await self._spider.extract(response, response.url)
            target = canonical_url(response.url) if "redirect_urls" in response.meta else None
        except (ExtractionError, ValueError):
            return None
        except Exception as error:  # noqa: BLE001 - a probe without an answer says nothing, whatever the reason
            self._spider.logger.info("a probe for missing pages got no answer: %s", type(error).__name__)
            return None
        return Text(url, page.title, page.content), target


def _names_itself(page: Text, url: str) -> bool:
    return _NAMES_ITSELF.search(f"{url} {page.title or ''} {page.content[:2_000]}") is not None
