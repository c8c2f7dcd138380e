"""How a source's pages are read: the hooks for what no setting can describe, and the name of the way it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Spider

from db.errors import one_line
from lcl_spiders.base_spiders.answers import charset
from lcl_spiders.base_spiders.boilerplate import NOTHING, Boilerplate
from lcl_spiders.extraction import ExtractedPage, ExtractionError, ExtractionOptions, SpiderFailed
from lcl_spiders.extraction.checked import checked
from lcl_spiders.source_config import SourceConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy.http import HtmlResponse

    from db.pages import KnownPage
    from lcl_spiders.extraction.pool import ExtractionPool


class ReadingSpider(Spider):
    """A spider that knows how its pages are read. `reads_as` names the way, and changes with everything it rests on."""

    config: ClassVar[SourceConfig] = SourceConfig()
    read_revision: ClassVar[int] = 0
    """Raise it when a `read_page` of your own reads the same body otherwise: every page is then read again."""

    options: ExtractionOptions
    reads_as: str
    pool: ExtractionPool
    boilerplate: Boilerplate = NOTHING

    def __init__(self, name: str | None = None, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self.options = ExtractionOptions.of(self.config)
        self.reads_as = self.options.version("; ".join(self.ways_of_reading()))

    def read_page(self, response: HtmlResponse) -> ExtractedPage:
        """Return what a page says: the hook for a source whose pages no setting can describe.

        Pure and synchronous: no network, no database, nothing kept from one page to the next. This one reads the page
        by the source's settings, and in a crawl it runs in the extraction pool. One of a subclass's own is called
        directly, in the crawl's process, for each downloaded page: keep it quick, begin it with
        `super().read_page(response)` where it only corrects what was read, and raise `read_revision` when it changes.
        Whatever it raises makes the page a failed one, of the kind `spider_error`; its old version stays.

        Raises:
            ExtractionError: the page cannot be read.
        """
        from lcl_spiders.extraction.extract import extract_page  # noqa: PLC0415 - a crawl leaves it to its workers

        return extract_page(response.body, response.url, charset(response), self.options)

    def ways_of_reading(self) -> list[str]:
        """Return what else than its options decides what is read in a source's pages, nothing for most sources.

        A page that was read in another way is read again, and its site is not held to have lied about it.
        """
        ways = []
        if self._has_own_reading:
            own = type(self).read_page
            ways.append(f"{own.__module__}.{own.__qualname__}:{self.read_revision}")
        if self.config.render == "always":
            ways.append("rendered")
        return ways

    @property
    def _has_own_reading(self) -> bool:
        return type(self).read_page is not ReadingSpider.read_page

    async def extract(self, response: HtmlResponse, url: str) -> ExtractedPage:
        """Read the page that was found at `url`: in the extraction pool, or by the spider's own `read_page`.

        Raises `ExtractionError`; a `SpiderFailed` stands for whatever a `read_page` of the spider's own raised.
        """
        if not self._has_own_reading:
            page = await self.pool.extract(response.body, url, charset(response), self.options)
            return self.boilerplate.without(page, url)
        try:
            return self.boilerplate.without(checked(self.read_page(response), url), url)
        except ExtractionError:
            raise
        except Exception as error:  # code of one source: its mistakes must not end the run
            self.logger.exception("%s: read_page of %s failed; the page stays as it was", url, type(self).__module__)
            raise SpiderFailed(f"read_page: {type(error).__name__}: {one_line(error)}"[:500]) from error

    def links(self, response: HtmlResponse, page: ExtractedPage) -> Sequence[str]:
        """Return which links of a page that was read are kept with it, to lead on also when it is not read again.

        Links to other domains are never followed; they are kept for discovery.
        """
        return page.outlinks

    def is_read_alike(self, known: KnownPage) -> bool:
        """Return whether a page's stored text and links were read out of its body as they would be now."""
        return known.check is None or known.check.reader in {None, self.reads_as}
