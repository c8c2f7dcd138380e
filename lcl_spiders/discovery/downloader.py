"""One request at a time to a host, whoever makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.core.downloader import Downloader
from scrapy.utils.httpobj import urlparse_cached

if TYPE_CHECKING:
    from scrapy import Request


class HostDownloader(Downloader):
    """Scrapy's own, with a slot for each host and port.

    Scrapy takes the slot of a request over to the one that a redirect makes of it, so that the host it leads to would
    get that site's requests beside its own; and it takes all ports of a host for one site.
    """

    def get_slot_key(self, request: Request) -> str:
        """Return the host and port of a request."""
        return urlparse_cached(request).netloc.lower()
