"""Why a page could not be rendered."""

from __future__ import annotations

from scrapy.exceptions import IgnoreRequest


class RenderingError(IgnoreRequest):
    """A page that the site answered could not be rendered: nothing is known of it."""


class RenderingFailed(RenderingError):
    """The browser or the page broke, or what the page is made of did not come."""


class RenderingTimeout(RenderingError):
    """A page was not complete in its time."""


class BrowserBroke(RenderingFailed):
    """The browser, or its process for a page, ended while it was rendered: often for another page's sake."""
