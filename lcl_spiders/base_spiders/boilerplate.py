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
from lcl_spiders.base_spiders.answers import is_same_page
from lcl_spiders.base_spiders.keepers import keeping, put_back
from lcl_spiders.base_spiders.stored import as_item
from lcl_spiders.extraction.boilerplate import is_prose, parted, repeatable, unit_hash, units, without
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
LONGEST = 10_000  # characters of a unit that are stored: of a longer one, how it begins


class Boilerplate:
    """What a run knows to be boilerplate, and which of the pages that it reads are in the source's sample."""

    def __init__(self, known: Sequence[Learned] = (), places: Sequence[int] = (), *, is_learning: bool = False) -> None:
        self.known = known
        self.is_sampled = False  # any page of this run
        self._is_learning = is_learning
        self._units: dict[str, set[bytes]] = {LISTING: {each.unit_hash for each in known}}
        self._kept: dict[str, set[bytes]] = {}
        for each in known:
            self._units.setdefault(each.kind, set()).add(each.unit_hash)
            if each.keeper is not None:
                self._kept.setdefault(each.keeper, set()).add(each.unit_hash)
        self._sampled = set(places)
        self._largest = [-place for place in places]
        heapq.heapify(self._largest)

    def of(self, kind: str | None) -> set[bytes]:
        """Return the hashes of what is boilerplate on pages of a kind; on listings, what is on any other."""
        return self._units.get(kind or "", set())

    def kept_by(self, url: str, canonical: str | None = None) -> set[bytes]:
        """Return the hashes of what stays on a page, because it is the one that keeps it.

        `canonical` is what the page calls itself: it may be read under the one URL, and indexed under the other.
        """
        kept = self._kept.get(url, set())
        if canonical is not None and canonical in self._kept and is_same_page(url, canonical):
            kept = kept | self._kept[canonical]
        return kept

    def without(self, page: ExtractedPage, url: str) -> ExtractedPage:
        """Return a page as it was read at a URL, without what is known to be boilerplate and not its to keep."""
        if not (known := self.of(page.kind)):
            return page
        stays = self.kept_by(url, page.canonical)
        content, left_out = without(page.content, known, parted(page.cards) | stays)
        if not left_out and not stays:
            return page
        kept = [unit for unit in units(content) if stays and unit_hash(unit) in stays]
        return replace(page, content=content, boilerplate=tuple(left_out), kept=tuple(kept))

    def recognised(self, page: ExtractedPage, url: str) -> Recognised | None:
        """Return what is stored of how a page was read; with what may be boilerplate on it, if it is in the sample."""
        if page.kind is None:
            return None
        is_sampled = self._is_learning and page.kind not in UNTOLD and self._takes(boilerplate.place(url))
        if not is_sampled:
            return Recognised(page.kind, page.evidence)
        found = repeatable(page.content) | {unit_hash(unit) for unit in page.boilerplate if is_prose(unit)}
        return Recognised(page.kind, page.evidence, sorted(found))

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
    before = {each.unit: each for each in known}
    learned = []
    for (kind, unit), count in found.pages.items():
        sampled = found.sampled[kind]
        part = 2 if (kind, unit) in before else 1
        if count * part >= FLOOR and count * part >= SHARE * sampled:
            each = before.get((kind, unit), Learned(kind, unit, count, sampled))
            learned.append(replace(each, pages=count, sampled=sampled))
    learned += [each for each in known if found.sampled.get(each.kind, 0) < min(FLOOR / SHARE, each.sampled)]
    distinct = {each.unit: each for each in reversed(learned)}
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
    without it. One page goes on having it: where that leaves the index, or has it no more, another has it back at once.
    What is no boilerplate any more, and is still on some pages, comes back as these are read again. Where pages are to
    be kept whole, all is forgotten: it is learned anew when that ends.
    """
    run, before = spider.run, spider.boilerplate
    source_id = run.source.id
    if spider.config.boilerplate == "kept":
        await _write(run, partial(boilerplate.learn, source_id=source_id, found=()))
        return
    if run.arguments.max_pages is not None or not (before.is_sampled or before.known):
        return  # a few pages may all be of one corner
    known = await run.runtime.use_connection(partial(boilerplate.learned, source_id=source_id))
    judged_now: Sequence[Learned] = known
    if before.is_sampled:
        repeated = partial(boilerplate.repeated, source_id=source_id, reader=spider.reads_as, least=FLOOR // 2)
        judged_now = judged(await run.runtime.use_connection(repeated), known)
    keepers = partial(keeping, source_id=source_id, found=judged_now, reader=spider.reads_as, gone=run.departures)
    found = await run.runtime.use_connection(keepers)
    if not before.is_sampled and not found.lacking and found.learned == known:
        return
    forgotten = {each.unit for each in known} - {each.unit for each in found.learned}
    # Keepers that leave, too: where their deletion is refused, they are read without what they have handed on.
    leaving = {each.keeper for each in known if each.keeper is not None} & run.departures.keys()
    soon = leaving.union(page.known.url for page, _ in found.lacking)

    async def store(connection: Connection) -> None:
        await boilerplate.learn(connection, source_id, found.learned)
        await boilerplate.read_anew(connection, source_id, forgotten, [LISTING])
        await boilerplate.read_soon(connection, source_id, sorted(soon))
        await boilerplate.trim(connection, source_id, SAMPLE)

    await _write(run, store)
    if not found.learned or run.stop_reason is not None:
        return
    run.count("boilerplate/learned", len({each.unit for each in found.learned} - {each.unit for each in known}))
    for item in put_back(found.lacking):
        yield item
    async for item in _stripped(spider, found.learned):
        yield item


async def _stripped(spider: SourceSpider, known: Sequence[Learned]) -> AsyncIterator[PageItem]:
    """Yield stored pages without the boilerplate that has just become known, and note when only its keeper has it."""
    run = spider.run
    texts: dict[Unit, str | None] = {each.unit: None for each in known if not each.is_applied}
    if not texts:
        return
    taken_out = Boilerplate(known)
    for _ in range(PASSES):
        count = 0
        async for page, kind in _stored(spider, sorted({LISTING, *(kind for kind, _ in texts)})):
            kept = taken_out.kept_by(page.known.url)
            content, left_out = without(page.content, taken_out.of(kind), kept)
            # Those that it keeps as well: a run that was killed may have taken them out of all others.
            for unit in [*left_out, *(units(page.content) if kept else ())]:
                key = kind, unit_hash(unit)
                if texts.get(key, unit) is None:
                    texts[key] = unit[:LONGEST]
            if not left_out:
                continue
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
