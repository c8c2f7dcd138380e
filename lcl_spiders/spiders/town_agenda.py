"""Worked example: the agenda of a town, where the days of events are told as a reader of today would say them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lcl_spiders.base_spiders import WebsiteSpider
from lcl_spiders.source_config import SourceConfig

if TYPE_CHECKING:
    from scrapy.http import HtmlResponse

    from lcl_spiders.extraction import ExtractedPage


class TownAgendaSpider(WebsiteSpider):
    """An agenda of cards, twenty a page, and a page for each event.

    Cards and pages say "tonight" or "on Saturday" and keep the date in `<time datetime>`. Left as it is, such a text
    is wrong a day later, and every page would be embedded again each night.
    """

    name = "town_agenda"
    start_url = "https://agenda.example.org/agenda"
    config = SourceConfig(
        item_links=".agenda .card h2 a",
        next_page=".pager a[rel=next]",
        deny=[r"/agenda/(?:print|ical)/", r"[?&]view="],
        content_css=[".agenda", "article.event"],
        exclude_css=[".share", ".pager"],
        title_css="h1",
        min_check_interval=6 * 3600,
        max_check_interval=2 * 86_400,
    )
    read_revision = 1

    def read_page(self, response: HtmlResponse) -> ExtractedPage:
        """Read a page with each `<time datetime>` as its date, whatever words stand there today."""
        dated = response.copy()
        for time in dated.css("time[datetime]"):
            words = time.root
            del words[:]
            words.text = words.get("datetime").replace("T", " ")
        return super().read_page(dated.replace(body=dated.selector.get().encode(), encoding="utf-8"))

    def agenda_page(self, response: HtmlResponse) -> ExtractedPage:
        """Every card is kept, with its date; the header and the cookie notice are not.

        @saved_page pages/town_agenda.html https://agenda.example.org/agenda
        @has_fields title language content outlinks
        @main_text "Jazz at the Old Mill"
        @main_text "2026-12-04 20:30"
        @main_text "Winter market on the quay"
        @main_text "Repair café"
        @lacks_text "Tonight"
        @lacks_text "Plan your visit"
        @lacks_text "We use cookies"
        @leads_to /agenda/jazz-at-the-old-mill /agenda/winter-market /agenda/repair-cafe /agenda?page=2
        """
        return self.read_page(response)

    def event_page(self, response: HtmlResponse) -> ExtractedPage:
        """An event's page has its date, place and price, and not the buttons to share it.

        @saved_page pages/town_agenda_event.html https://agenda.example.org/agenda/jazz-at-the-old-mill
        @has_fields title language content
        @main_text "2026-12-04 20:30"
        @main_text "The quartet plays two sets and stays for questions."
        @main_text "14 euros"
        @lacks_text "Tonight"
        @lacks_text "Share this event"
        @leads_to /places/old-mill
        """
        return self.read_page(response)
