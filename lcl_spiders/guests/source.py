"""The source of a guest: derived from its spider, and registered at its first run."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from db import sources
from db.errors import AmbiguousSource, InvalidSource, SourceNotFound
from db.urls import canonical_url, domain_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Spider
    from scrapy.settings import BaseSettings

    from db.connection import Connection

SLUG, URL = "LCL_SOURCE", "LCL_SOURCE_URL"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The source that a guest writes to: its slug, where its site begins, and the name of the spider."""

    slug: str
    url: str
    spider: str


def slug_of_name(name: str) -> str:
    """Return the slug of a spider's source: its name in lower case, with hyphens for all that is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def wanted(spider: Spider, settings: BaseSettings) -> Wanted:
    """Derive a spider's source from its name, start URLs, sitemaps and domains; two settings overrule them.

    Raises `ValueError` where nothing can be derived, naming what to set.
    """
    slug = str(settings.get(SLUG) or slug_of_name(spider.name))
    if not slug or slug in sources.RESERVED_SLUGS:
        msg = f"the spider {spider.name!r} cannot give its name to a source: set {SLUG} to a name for it"
        raise ValueError(msg)
    if given := settings.get(URL):
        try:
            return Wanted(slug, canonical_url(str(given)), spider.name)
        except ValueError as error:
            msg = f"{URL} is no address of a site: {error}. Give it whole, as in https://example.org/"
            raise ValueError(msg) from None
    for candidate in _candidates(spider):
        with suppress(ValueError):  # a file, a pattern, a bare path: the next one may do
            return Wanted(slug, canonical_url(candidate), spider.name)
    msg = (
        f"it cannot be told which site the spider {spider.name} crawls: it has no start_urls, sitemap_urls or "
        f"allowed_domains with an address. Set {URL} to where the site begins, in its custom_settings for example"
    )
    raise ValueError(msg)


def _candidates(spider: Spider) -> Iterator[str]:
    yield from _strings(spider, "start_urls")
    for sitemap in _strings(spider, "sitemap_urls"):
        scheme, _, _ = sitemap.partition("://")
        with suppress(ValueError):
            yield f"{scheme}://{domain_of(sitemap)}/"
    for domain in _strings(spider, "allowed_domains"):
        yield f"https://{domain}/"


def _strings(spider: Spider, attribute: str) -> list[str]:
    value: Any = getattr(spider, attribute, None) or ()
    return [value] if isinstance(value, str) else [each for each in value if isinstance(each, str)]


async def registered(connection: Connection, source: Wanted) -> sources.Source:
    """Return the stored source, storing it at the first run; bears repetition.

    It is stored disabled: nobody but its own project can crawl it, so no schedule over the same database may take it.
    Raises `InvalidSource` when the slug or the address belongs to another source.
    """
    found = None
    with suppress(SourceNotFound, AmbiguousSource):
        found = await sources.get(connection, source.slug)
    if found is None or found.slug != source.slug:  # by its domain
        found, _ = await sources.add(connection, source.url, slug=source.slug, spider=source.spider, enabled=False)
    if found.slug != source.slug:
        msg = (
            f"{source.url} is the source {found.slug} already, of the spider {found.spider}. Set {URL} for "
            f"{source.spider} to an address of its own, or {SLUG} to {found.slug!r} if both are to write to one source"
        )
        raise InvalidSource(msg)
    if found.domain != domain_of(source.url):
        msg = (
            f"the source {source.slug} is {found.start_url}, and {source.spider} begins at {source.url}, on another "
            f"domain. Set {SLUG} to another name, or {URL} to an address of {found.domain} if it is the same site"
        )
        raise InvalidSource(msg)
    return found
