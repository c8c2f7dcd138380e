"""Log lines that never hold a page's text."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy.logformatter import LogFormatter, LogFormatterResult

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.http import Response
    from twisted.python.failure import Failure


class QuietLogFormatter(LogFormatter):
    """Names an item by its URL and outcome."""

    def scraped(self, item: Any, response: Response | Failure | None, spider: Spider) -> LogFormatterResult:
        """Log a scraped item."""
        page = ItemAdapter(item)
        return {"level": logging.DEBUG, "msg": "%(outcome)s %(url)s", "args": _names(page)}

    def dropped(
        self, item: Any, exception: BaseException, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult:
        """Log a dropped item with the reason."""
        level = getattr(exception, "log_level", None) or "WARNING"
        return {"level": getattr(logging, level), "msg": "dropped: %(reason)s", "args": {"reason": str(exception)}}

    def item_error(
        self, item: Any, exception: BaseException, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult:
        """Log an item that a pipeline could not take."""
        return {"level": logging.ERROR, "msg": "cannot process %(outcome)s %(url)s", "args": _names(ItemAdapter(item))}


def _names(page: ItemAdapter) -> dict[str, Any]:
    return {"url": page.get("url"), "outcome": page.get("outcome")}
