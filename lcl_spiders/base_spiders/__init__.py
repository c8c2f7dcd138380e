"""Base spiders, one for each way of finding a site's pages."""

from lcl_spiders.base_spiders.feed import FeedSpider
from lcl_spiders.base_spiders.listing import ListingSpider
from lcl_spiders.base_spiders.source import SourceSpider
from lcl_spiders.base_spiders.website import WebsiteSpider

KINDS: dict[str, type[SourceSpider]] = {"website": WebsiteSpider, "feed": FeedSpider, "listing": ListingSpider}
"""The kinds of sources by the name that `scraper_sources.spider` holds; no slug may take one."""

__all__ = ["KINDS", "FeedSpider", "ListingSpider", "SourceSpider", "WebsiteSpider"]
