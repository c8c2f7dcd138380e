"""Worked example: the manual of a program, with a copy of every chapter for each of its releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lcl_spiders.base_spiders import WebsiteSpider
from lcl_spiders.source_config import SourceConfig

if TYPE_CHECKING:
    from scrapy.http import HtmlResponse

    from lcl_spiders.extraction import ExtractedPage


class ReferenceManualSpider(WebsiteSpider):
    """A documentation site: settings say all there is to say, and contracts keep them true to the site.

    Only the current release is indexed. Generated indexes and the sources of pages repeat what the chapters say.
    """

    name = "reference_manual"
    start_url = "https://docs.example.org/current/"
    config = SourceConfig(
        allow=[r"^https?://[^/]+/current/"],
        deny=[r"/_sources/", r"/(?:genindex|modindex|search)\.html"],
        content_css=["main article"],
        exclude_css=[".headerlink", ".breadcrumbs", ".prev-next", ".copy-button"],
        title_css="h1",
    )

    def chapter(self, response: HtmlResponse) -> ExtractedPage:
        """A chapter keeps its headings and examples, and loses the marks and menus around them.

        @saved_page pages/reference_manual.html https://docs.example.org/current/pumps.html
        @has_fields title language content outlinks
        @main_text "# Pumps"
        @main_text "## Starting a pump"
        @main_text "The valve opens before the motor starts, never after."
        @main_text "pump start --slow"
        @lacks_text "¶"
        @lacks_text "Search the manual"
        @lacks_text "Next: Valves"
        @leads_to valves.html
        """
        return self.read_page(response)
