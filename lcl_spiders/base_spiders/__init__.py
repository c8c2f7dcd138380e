"""Base spiders, one for each way of finding a site's pages."""

from lcl_spiders.base_spiders.feed import FeedSpider
from lcl_spiders.base_spiders.source import SourceSpider
from lcl_spiders.base_spiders.website import WebsiteSpider

KINDS: dict[str, type[SourceSpider]] = {"website": WebsiteSpider, "feed": FeedSpider}
"""The kinds of sources by the name that `scraper_sources.spider` holds; no slug may take one."""

__all__ = ["KINDS", "FeedSpider", "SourceSpider", "WebsiteSpider"]
