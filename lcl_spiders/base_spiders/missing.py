"""What a site answers for a page that does not exist, found out by asking for some (C5)."""

from __future__ import annotations

import asyncio
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from scrapy import Request
from scrapy.http import HtmlResponse

from db import pages
from db.urls import canonical_url
from lcl_spiders.base_spiders.answers import charset
from lcl_spiders.base_spiders.not_found import NotFoundTemplate, Text
from lcl_spiders.extraction import ExtractionError

if TYPE_CHECKING:
    from lcl_spiders.base_spiders.source import SourceSpider


class MissingPages:
    """Probes a site once in a run, when the first page needs it: one request where it answers 404 as it should.

    A site that answers 200 is probed again with a path of another shape, and its start page is read: what that has in
    common with the probes is no evidence.
    """

    def __init__(self, spider: SourceSpider) -> None:
        self._spider = spider
        self._learnt: asyncio.Task[tuple[NotFoundTemplate | None, str | None]] | None = None

    async def is_not_found(self, page: Text) -> bool:
        """Return whether a page that was answered with 200 is the site's not-found template.

        Not one whose stored text is that already: the site answers unknown paths with a page of its own.
        """
        template, _ = await self._learn()
        if template is None or not template.matches(page):
            return False
        run = self._spider.run
        stored = await run.runtime.use_connection(
            lambda connection: pages.contents(connection, run.source.id, [page.url])
        )
        return page.url not in stored or not template.matches(Text(page.url, *stored[page.url]))

    async def is_where_missing_pages_lead(self, url: str) -> bool:
        """Return whether the site redirects requests for pages that do not exist to this URL."""
        _, target = await self._learn()
        return target is not None and target == url

    async def _learn(self) -> tuple[NotFoundTemplate | None, str | None]:
        if self._learnt is None:
            self._learnt = asyncio.get_running_loop().create_task(self._probe())
        return await asyncio.shield(self._learnt)

    async def _probe(self) -> tuple[NotFoundTemplate | None, str | None]:
        start = self._spider.start_url
        token = secrets.token_hex
        texts, targets = [], set()
        for path in (f"/{token(12)}", f"/{token(6)}/{token(8)}.html"):
            answer = await self._read(urljoin(start, path))
            if answer is None:
                return None, None
            texts.append(answer[0])
            targets.add(answer[1])
        target = targets.pop() if len(targets) == 1 else None
        real = await self._read(start)
        if real is None:
            return None, None
        if target is not None and target != real[0].url:
            self._spider.logger.info("missing pages are redirected to %s", target)
        template = NotFoundTemplate.learn(texts, [real[0]])
        if template is not None:
            self._spider.logger.info("missing pages are answered with 200; they are known by their text")
        return template, target

    async def _read(self, url: str) -> tuple[Text, str | None] | None:
        """Return what a URL answers and where it was redirected to; None for anything but a page and a 200."""
        try:
            response = await self._spider.download(Request(url, meta={"dont_retry": True}))
            if response.status != HTTPStatus.OK or not isinstance(response, HtmlResponse):
                return None
            page = await self._spider.pool.extract(response.body, response.url, charset(response))
            target = canonical_url(response.url) if "redirect_urls" in response.meta else None
        except (ExtractionError, ValueError):
            return None
        except Exception as error:  # noqa: BLE001 - a probe without an answer says nothing, whatever the reason
            self._spider.logger.info("a probe for missing pages got no answer: %s", type(error).__name__)
            return None
        return Text(url, page.title, page.content), target
