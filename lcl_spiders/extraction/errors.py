"""Why a page could not be extracted. `kind` is what `failed_pages` and the counters call it."""

from typing import ClassVar


class ExtractionError(Exception):
    """The page cannot be read, which says nothing about whether it exists or changed; each cause has its subclass."""

    kind: ClassVar[str] = "extraction_failed"


class EmptyBody(ExtractionError):
    """Nothing but white space or comments: raised by `extract_page`."""

    kind = "empty_body"


class NotHtml(ExtractionError):
    """Binary data (an image, a PDF) under a page's address: raised by `extract_page`."""

    kind = "not_html"


class TooDeep(ExtractionError):
    """Nested so deeply that the parser stopped, and the rest of the page was never seen: raised by `extract_page`."""

    kind = "too_deep"


class BadFeed(ExtractionError):
    """A body that is no feed: raised by `parse_feed`."""

    kind = "bad_feed"


class NoText(ExtractionError):
    """No way of extraction finds text, and no link leads on: raised by `extract_page`."""

    kind = "no_text"


class NeedsRendering(NoText):
    """An empty shell in which scripts would write the page: raised by `extract_page`."""

    kind = "needs_rendering"


class SpiderFailed(ExtractionError):
    """A spider's own `read_page` raised or returned something else than a page: raised by `SourceSpider.extract`."""

    kind = "spider_error"


class ExtractionFailed(ExtractionError):
    """An unexpected exception while reading the page, its cause: raised by `ExtractionPool.extract`."""

    kind = "extraction_failed"


class ExtractionTimeout(ExtractionError):
    """The page was given up after the pool's time limit: raised by `ExtractionPool.extract`."""

    kind = "extraction_timeout"


class ExtractionCrashed(ExtractionError):
    """The worker died over the page or ran out of memory: raised by `ExtractionPool.extract`."""

    kind = "extraction_crashed"
