"""Pages that were read and can only be judged when others have been."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lcl_spiders.items import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lcl_spiders.base_spiders.reader import PageReader
    from lcl_spiders.base_spiders.replaced import ReplacedPages
    from lcl_spiders.items import PageItem

MAX_PARKED = 16_000_000  # characters of text that wait for the pages which they name as canonical


class ParkedPages:
    """Keeps pages back that name another as canonical, and by `ReplacedPages` those of which hardly a text is left.

    There is no room for more than `MAX_PARKED` characters of text: what comes after that goes on at once.
    """

    def __init__(self, reader: PageReader, replaced: ReplacedPages) -> None:
        self._reader = reader
        self._replaced = replaced
        self._items: list[PageItem] = []
        self._size = 0

    async def ready(self, item: PageItem) -> Sequence[PageItem]:
        """Return the pages that can go on now that this one was read: itself, none when it can only be judged later."""
        if item.outcome is not Outcome.PRESENT or self._size + len(item.content) > MAX_PARKED:
            return [item]
        ready = [item]
        if item.known is not None and await self._reader.is_replaced(item, item.known) and self._replaced.keep(item):
            ready = self._replaced.release() if self._replaced.is_redesign() else []
        now = self.park(ready)
        if not any(each is item for each in now):
            self._size += len(item.content)
        return now

    def park(self, items: Iterable[PageItem]) -> list[PageItem]:
        """Keep those back that name another page as canonical, until it has been judged; return the others."""
        now = []
        for item in items:
            if item.outcome is Outcome.PRESENT and item.canonical is not None:
                self._items.append(item)
            else:
                now.append(item)
        return now

    def release(self) -> list[PageItem]:
        """Return what is parked, and keep it no more."""
        items, self._items = self._items, []
        return items
