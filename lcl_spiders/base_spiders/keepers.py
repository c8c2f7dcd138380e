"""The pages that go on having what is taken out of all others of their kind, so that no text stands nowhere (D6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db import boilerplate, pages
from lcl_spiders.base_spiders.stored import as_item
from lcl_spiders.extraction.boilerplate import unit_hash, unit_hashes
from pipelines.unchanged import RESTORED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from uuid import UUID

    from db.boilerplate import Learned, Unit
    from db.connection import Connection
    from db.pages import StoredPage
    from lcl_spiders.items import PageItem


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is boilerplate, each with its keeper, and the keepers whose stored texts lack units that they are to keep.

    Those lost them when another page kept them. A unit that no page of the sample has any more stays with whom it was.
    """

    learned: Sequence[Learned]
    lacking: Sequence[tuple[StoredPage, Sequence[Learned]]] = ()


async def keeping(
    connection: Connection, source_id: UUID, found: Sequence[Learned], *, reader: str, gone: Collection[str]
) -> Keeping:
    """Return who keeps what was found to be boilerplate; `gone` are pages that are about to leave the index.

    A keeper stays one while its text has the unit, whatever becomes of the sample or of its kind, so that no page is
    embedded anew because others come and go.
    """
    orphans = orphaned(found, await boilerplate.keepers(connection, source_id), gone)
    if not orphans:
        return Keeping(found)
    urls = await boilerplate.successors(connection, source_id, orphans, reader=reader, gone=gone)
    learned = [
        replace(each, keeper=urls.get(each.unit, each.keeper)) if each.unit in orphans else each for each in found
    ]
    heirs = [each for each in learned if each.unit in urls]
    stored = await pages.of_urls(connection, source_id, sorted(set(urls.values())))
    return Keeping(learned, [(page, units) for page in stored if (units := lacked_by(page, heirs))])


def orphaned(found: Sequence[Learned], texts: Mapping[str, str], gone: Collection[str]) -> set[Unit]:
    """Return the units that no keeper has: `texts` are those of the keepers by URL, as they are indexed."""
    has = {url: unit_hashes(text) for url, text in texts.items() if url not in gone}
    return {each.unit for each in found if each.unit_hash not in has.get(each.keeper or "", ())}


def lacked_by(page: StoredPage, learned: Sequence[Learned]) -> list[Learned]:
    """Return what a page is to keep and does not have."""
    has = unit_hashes(page.content)
    return [each for each in learned if each.keeper == page.known.url and each.unit_hash not in has]


def put_back(lacking: Sequence[tuple[StoredPage, Sequence[Learned]]]) -> Iterator[PageItem]:
    """Yield pages with what they lack at their ends, as far as its whole text is known: found until they are read."""
    for page, units in lacking:
        texts = {each.text for each in units if each.text is not None and unit_hash(each.text) == each.unit_hash}
        content = "\n\n".join(filter(None, [page.content, *sorted(texts)]))
        if not texts or not unit_hashes(content).issuperset(map(unit_hash, texts)):  # its end may be open code
            continue
        item = as_item(page)
        item.content, item.reason = content, RESTORED
        yield item
