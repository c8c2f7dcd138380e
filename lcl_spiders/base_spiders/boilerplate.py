"""Boilerplate learned across a source's pages (D6): what a run knows of it, learns anew, and takes out of the index.

What is known is read once at the start of a run and stays as it is for the run, so that every page of it is read alike.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from db import boilerplate, page_writes, pages
from db.boilerplate import Learned
from db.errors import FenceLost
from db.page_rows import Recognised
from lcl_spiders.base_spiders.stored import as_item
from lcl_spiders.extraction.boilerplate import is_prose, parted, repeatable, unit_hash, without
from pipelines.unchanged import STRIPPED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from db.boilerplate import Repeated, Unit
    from db.connection import Connection
    from db.pages import StoredPage
    from lcl_spiders.base_spiders.source import SourceSpider
    from lcl_spiders.extraction import ExtractedPage
    from lcl_spiders.items import PageItem
    from pipelines.run import Run

FLOOR = 10
"""Pages of one kind that have a unit which is learned, at least."""

SHARE = 0.5
"""The share of the sample's pages of one kind that have it; a unit that is known stays so down to half of both."""

LISTING = "listing"
UNTOLD = frozenset({LISTING, "shell"})
"""Kinds that are not learned from: all pages of one listing are introduced alike, by what they are about."""

SAMPLE = 512  # pages of a source
MOST = 200  # units of a source
BATCH = 100
PASSES = 4  # twins take each other's place while their originals are stripped
SHOWN = 200  # characters of a unit that are stored for a person


class Boilerplate:
    """What a run knows to be boilerplate, and which of the pages that it reads are in the source's sample."""

    def __init__(self, known: Sequence[Learned] = (), places: Sequence[int] = (), *, is_learning: bool = False) -> None:
        self.known = known
        self.is_sampled = False  # any page of this run
        self._is_learning = is_learning
        self._units: dict[str, set[bytes]] = {LISTING: {each.unit_hash for each in known}}
        for each in known:
            self._units.setdefault(each.kind, set()).add(each.unit_hash)
        self._sampled = set(places)
        self._largest = [-place for place in places]
        heapq.heapify(self._largest)

    def of(self, kind: str | None) -> set[bytes]:
        """Return the hashes of what is boilerplate on pages of a kind; on listings, what is on any other."""
        return self._units.get(kind or "", set())

    def without(self, page: ExtractedPage) -> ExtractedPage:
        """Return a page as it was read, without what is known to be boilerplate."""
        if not (known := self.of(page.kind)):
            return page
        content, left_out = without(page.content, known, parted(page.cards))
        return replace(page, content=content, boilerplate=tuple(left_out)) if left_out else page

    def recognised(self, page: ExtractedPage, url: str) -> Recognised | None:
        """Return what is stored of how a page was read; with what may be boilerplate on it, if it is in the sample."""
        if page.kind is None:
            return None
        is_sampled = self._is_learning and page.kind not in UNTOLD and self._takes(boilerplate.place(url))
        if not is_sampled:
            return Recognised(page.kind, page.evidence)
        units = repeatable(page.content) | {unit_hash(unit) for unit in page.boilerplate if is_prose(unit)}
        return Recognised(page.kind, page.evidence, sorted(units))

    def _takes(self, place: int) -> bool:
        if place not in self._sampled:
            if len(self._largest) < SAMPLE:
                heapq.heappush(self._largest, -place)
            elif place > -self._largest[0]:
                return False
            else:
                self._sampled.discard(-heapq.heappushpop(self._largest, -place))
            self._sampled.add(place)
        self.is_sampled = True
        return True


NOTHING = Boilerplate()


def judged(found: Repeated, known: Sequence[Learned]) -> list[Learned]:
    """Return what is boilerplate by what the sample shows, at most `MOST` units, those on most pages first.

    What is known stays known while too few pages of its kind have been read to say otherwise: fewer than it was counted
    on, and than can have anything learned of them.
    """
    before = {(each.kind, each.unit_hash) for each in known}
    learned = []
    for (kind, unit), count in found.pages.items():
        sampled = found.sampled[kind]
        part = 2 if (kind, unit) in before else 1
        if count * part >= FLOOR and count * part >= SHARE * sampled:
            learned.append(Learned(kind, unit, count, sampled))
    learned += [each for each in known if found.sampled.get(each.kind, 0) < min(FLOOR / SHARE, each.sampled)]
    distinct = {(each.kind, each.unit_hash): each for each in reversed(learned)}
    return sorted(distinct.values(), key=lambda each: (-each.pages / each.sampled, each.kind, each.unit_hash))[:MOST]


async def learned_by(spider: SourceSpider) -> Boilerplate:
    """Return what the source's earlier runs have learned; nothing where its pages are to be kept whole."""
    if spider.config.boilerplate == "kept":
        return NOTHING
    source_id = spider.run.source.id

    async def read(connection: Connection) -> Boilerplate:
        known = await boilerplate.learned(connection, source_id)
        return Boilerplate(known, await boilerplate.places(connection, source_id, SAMPLE), is_learning=True)

    return await spider.run.runtime.use_connection(read)


async def take_out(spider: SourceSpider) -> AsyncIterator[PageItem]:
    """Yield stored pages that have what is known to be boilerplate, where an earlier run did not come to the end of it.

    Before any page is asked for: what is read is compared with texts that have none of it.
    """
    async for item in _stripped(spider, spider.boilerplate.known):
        yield item


async def learn(spider: SourceSpider) -> AsyncIterator[PageItem]:
    """Store what the sample shows by now, for the runs to come, and yield the stored pages that have any of it.

    So a page that was read in this run with what was not known yet is changed once, and compared in the next run
    without it. What is no boilerplate any more, and is still on some pages, comes back as these are read again. Where
    pages are to be kept whole, all is forgotten: it is learned anew when that ends.
    """
    run, before = spider.run, spider.boilerplate
    if spider.config.boilerplate == "kept":
        await _write(run, partial(boilerplate.learn, source_id=run.source.id, found=()))
        return
    if not before.is_sampled or run.arguments.max_pages is not None:  # a few pages may all be of one corner
        return
    repeated = partial(boilerplate.repeated, source_id=run.source.id, reader=spider.reads_as, least=FLOOR // 2)
    found = judged(await run.runtime.use_connection(repeated), before.known)

    forgotten = {*map(_unit, before.known)} - {*map(_unit, found)}

    async def store(connection: Connection) -> None:
        await boilerplate.learn(connection, run.source.id, found)
        await boilerplate.read_anew(connection, run.source.id, forgotten, [LISTING])
        await boilerplate.trim(connection, run.source.id, SAMPLE)

    await _write(run, store)
    if not found or run.stop_reason is not None:
        return
    known = await run.runtime.use_connection(partial(boilerplate.learned, source_id=run.source.id))
    run.count("boilerplate/learned", len({*map(_unit, known)} - {*map(_unit, before.known)}))
    async for item in _stripped(spider, known):
        yield item


async def _stripped(spider: SourceSpider, known: Sequence[Learned]) -> AsyncIterator[PageItem]:
    """Yield stored pages without the boilerplate that has just become known, and note when none has it any more."""
    run = spider.run
    texts: dict[Unit, str | None] = {_unit(each): None for each in known if not each.is_applied}
    if not texts:
        return
    units = Boilerplate(known)
    for _ in range(PASSES):
        count = 0
        async for page, kind in _stored(spider, sorted({LISTING, *(kind for kind, _ in texts)})):
            content, left_out = without(page.content, units.of(kind))
            if not left_out:
                continue
            for unit in left_out:
                key = kind, unit_hash(unit)
                if texts.get(key, unit) is None:
                    texts[key] = unit[:SHOWN]
            item = as_item(page)
            item.content, item.reason = content, STRIPPED
            count += 1
            yield item
        await spider.pending.settled()
        if run.stop_reason is not None:
            return
        if not count:
            break
    await _write(run, partial(boilerplate.applied, source_id=run.source.id, texts=texts))


async def _stored(spider: SourceSpider, kinds: Sequence[str]) -> AsyncIterator[tuple[StoredPage, str]]:
    """Yield the stored pages of some kinds, a batch whenever the one before has been dealt with."""
    run, after = spider.run, ""
    while True:
        await spider.pending.settled()
        read = partial(pages.of_kinds, source_id=run.source.id, kinds=kinds, after=after, limit=BATCH)
        batch = await run.runtime.use_connection(read)
        for found in batch:
            yield found
        if len(batch) < BATCH or run.stop_reason is not None:
            return
        after = batch[-1][0].known.url


async def _write(run: Run, write: Callable[[Connection], Awaitable[None]]) -> None:
    """Write under the run's fence; a fence that is lost ends the run."""

    async def fenced(connection: Connection) -> None:
        async with page_writes.write(connection, run.source.domain, run.fence):
            await write(connection)

    try:
        await run.runtime.use_connection(fenced)
    except FenceLost as error:
        run.stop("lock_lost", str(error))


def _unit(each: Learned) -> Unit:
    return each.kind, each.unit_hash
