"""What becomes of a URL that redirected (C4): moved for good, gone, or unknown."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from db.urls import canonical_url
from lcl_spiders.base_spiders.answers import GONE, outcome, was_moved_for_good
from lcl_spiders.items import Outcome

if TYPE_CHECKING:
    from scrapy.http import Response

    from lcl_spiders.base_spiders.source import SourceSpider
    from lcl_spiders.items import PageItem


async def left_behind(spider: SourceSpider, response: Response, asked: str) -> PageItem:
    """Return the outcome of a known page whose URL redirected to `response`.

    Gone where it moved for good to a page that is there, or where the site itself says that there is none: 404 or 410
    at the end, or the page to which it redirects what does not exist. A temporary redirect is no evidence of anything,
    and what another site answers is none about this one.
    """
    status = response.status
    try:
        target = canonical_url(response.url)
    except ValueError:
        spider.run.count("redirects/malformed")
        return outcome(asked, Outcome.UNKNOWN, "redirected", status, "redirects to what is no URL")
    inside = spider.frontier.is_inside(target)
    is_permanent = was_moved_for_good(response)
    if status in GONE and (inside or is_permanent):
        return outcome(asked, Outcome.GONE, f"http_{status}", status)
    if is_permanent and (status == HTTPStatus.OK or (inside and await spider.run.is_known(target))):
        item = outcome(asked, Outcome.GONE, "redirect" if inside else "redirect_offsite", None)
        item.target = target
        return item
    if inside and status == HTTPStatus.OK and await spider.reader.missing.is_where_missing_pages_lead(target):
        return outcome(asked, Outcome.GONE, "soft_404", status)
    return outcome(asked, Outcome.UNKNOWN, "redirected", status, f"redirects to {target}")
