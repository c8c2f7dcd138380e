"""The settings of one source, `scraper_sources.config`: checked when it is stored and again when it is crawled."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cssselect import ExpressionError, HTMLTranslator, SelectorError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from db.errors import InvalidSource
from db.urls import canonical_url
from lcl_spiders.rendering.config import ENABLED, HANDLERS
from lcl_spiders.sources.durations import Seconds
from pipelines.schedule import bounds

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def reason(error: ErrorDetails) -> str:
    """Return what is wrong with a value, without the words that pydantic puts before our own."""
    return (
        "there is no such setting" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    )


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        msg = f"{value!r} is no regular expression: {error}"
        raise ValueError(msg) from None
    return value


def _selector(value: str) -> str:
    try:
        HTMLTranslator().css_to_xpath(value)
    except (SelectorError, ExpressionError) as error:
        msg = f"{value!r} is no CSS selector: {error}"
        raise ValueError(msg) from None
    return value


def _address(value: str) -> str:
    try:
        canonical_url(value)
    except ValueError as error:
        msg = f"{error}. Give it whole, as in https://example.org/"
        raise ValueError(msg) from None
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]
Selector = Annotated[str, AfterValidator(_selector)]
Address = Annotated[str, AfterValidator(_address)]


class SourceConfig(BaseModel):
    """What an operator may set for a source with `scrapy sources add --set name=value`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: list[Pattern] = Field(default=[], description="regular expressions; a URL must match one of them")
    deny: list[Pattern] = Field(default=[], description="regular expressions; a URL must match none of them")
    start_urls: list[Address] = Field(default=[], description="more URLs of the domain to begin with")
    sitemaps: bool = Field(default=True, description="follow the sitemaps that robots.txt names")
    item_links: Selector | None = Field(
        default=None, description="CSS of the links to items on a listing; without it they are found by themselves"
    )
    next_page: Selector | None = Field(
        default=None, description="CSS of the link to a listing's next page; without it, it is found by itself"
    )
    max_listing_pages: int = Field(default=50, ge=1, description="pages of a listing that are followed in one run")
    extractor: Literal["auto", "trafilatura", "resiliparse", "full"] = Field(
        default="auto", description="how the main text is found: auto, trafilatura, resiliparse or full (all text)"
    )
    content_css: list[Selector] = Field(default=[], description="CSS of the elements that hold the main text")
    exclude_css: list[Selector] = Field(default=[], description="CSS of elements that are left out of the text")
    title_css: Selector | None = Field(default=None, description="CSS of the element that holds a page's title")
    links: Literal["cards", "all", "none"] = Field(
        default="cards", description="links kept in the text: cards (those of a listing's cards), all or none"
    )
    boilerplate: Literal["learned", "kept"] = Field(
        default="learned", description="text that most pages of a kind have: learned (and left out) or kept"
    )
    render: Literal["never", "always"] = Field(
        default="never", description="whether pages are rendered in a browser: never or always"
    )
    render_wait: Selector | None = Field(
        default=None, description="CSS of an element that a rendered page waits for (default: a quiet network)"
    )
    max_pages: int = Field(default=10_000, ge=1, description="page requests in one run")
    max_depth: int = Field(default=30, ge=1, description="links from the start URL")
    min_check_interval: Seconds | None = Field(
        default=None, description="seconds in which a checked page is not asked for (default LCL_RECRAWL_AFTER)"
    )
    max_check_interval: Seconds = Field(
        default=7 * 86_400, description="seconds after which a page that never changes is checked all the same"
    )
    delay: float | None = Field(default=None, ge=0, le=300, description="seconds between two requests")
    concurrency: int | None = Field(default=None, ge=1, le=64, description="requests to the site at a time")

    @classmethod
    def parse(cls, given: dict[str, Any]) -> SourceConfig:
        """Check the settings of a source. Raises `InvalidSource` that names each wrong one and what there is."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {reason(e)}" for e in error.errors())
            msg = f"{wrong}. A source has the settings {', '.join(cls.model_fields)}."
            raise InvalidSource(msg) from None

    def check_bounds(self, recrawl_after: float, max_staleness: float) -> tuple[dt.timedelta, dt.timedelta]:
        """Return the shortest and the longest time between two checks of a page; arguments in seconds."""
        shortest = recrawl_after if self.min_check_interval is None else self.min_check_interval
        return bounds(shortest, dt.timedelta(seconds=self.max_check_interval), max_staleness)

    def scrapy_settings(self) -> dict[str, Any]:
        """Return what these settings mean to Scrapy."""
        settings: dict[str, Any] = {}
        if self.delay is not None:
            settings |= {"DOWNLOAD_DELAY": self.delay, "AUTOTHROTTLE_START_DELAY": self.delay}
        if self.concurrency is not None:
            settings |= {"CONCURRENT_REQUESTS_PER_DOMAIN": self.concurrency}
            # Without any delay Scrapy hands out a burst before it counts what is under way.
            settings.setdefault("DOWNLOAD_DELAY", 0.01)
        if self.render == "always":
            settings |= {ENABLED: True, "LCL_RENDER_WAIT": self.render_wait, "DOWNLOAD_HANDLERS": HANDLERS}
        return settings
