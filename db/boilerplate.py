"""What repeats across the pages of a source: a sample of its pages, and what was learned from it to be boilerplate.

The sample are the pages whose URLs have the smallest hashes (a bottom-k sketch; Cohen 1997): of any size of source the
same number of rows, chosen alike in whatever order and however often the pages are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from db.sql import load

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from db.connection import Connection

_SQL = load("boilerplate")

Unit = tuple[str, bytes]
"""The kind of page and the hash of a unit of text."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A page of the sample: the hashes of its units that may be boilerplate, as `reader` read them."""

    page_id: int
    place: int
    kind: str
    reader: str
    units: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Repeated:
    """How many pages of the sample there are of each kind, and on how many of them a unit is that is on several."""

    sampled: Mapping[str, int]
    pages: Mapping[Unit, int]


@dataclass(frozen=True, slots=True)
class Learned:
    """A row of `source_boilerplate`.

    `text` is the unit, or how a long one begins, None before it was taken out of a stored page. `keeper` is the URL of
    the page that goes on having it, None where there is none any more.
    """

    kind: str
    unit_hash: bytes
    pages: int
    sampled: int
    text: str | None = None
    is_applied: bool = False
    keeper: str | None = None

    @property
    def unit(self) -> Unit:
        """What tells it from the others of its source."""
        return self.kind, self.unit_hash


def place(url: str) -> int:
    """Return where a page stands in the order that samples are taken by: 63 bits of its URL's hash."""
    return int.from_bytes(blake2b(url.encode(), digest_size=8).digest()) >> 1


async def record_samples(connection: Connection, source_id: UUID, samples: Sequence[Sample]) -> None:
    """Store pages of the sample as they are read now, inside a `write` transaction."""
    await connection.execute(
        _SQL["record_samples"],
        {
            "source_id": source_id,
            "page_ids": [sample.page_id for sample in samples],
            "places": [sample.place for sample in samples],
            "kinds": [sample.kind for sample in samples],
            "readers": [sample.reader for sample in samples],
            "unit_counts": [len(sample.units) for sample in samples],
            "units": [unit for sample in samples for unit in sample.units],
        },
        prepare=True,
    )


async def places(connection: Connection, source_id: UUID, limit: int) -> list[int]:
    """Return the places of the sample, smallest first."""
    cursor = await connection.execute(_SQL["places"], {"source_id": source_id, "limit": limit})
    return [row[0] for row in await cursor.fetchall()]


async def trim(connection: Connection, source_id: UUID, limit: int) -> None:
    """Leave at most `limit` pages in the sample."""
    await connection.execute(_SQL["trim"], {"source_id": source_id, "limit": limit})


async def repeated(connection: Connection, source_id: UUID, *, reader: str, least: int) -> Repeated:
    """Return which units are on `least` pages or more of the sample, of the pages that `reader` read.

    The text of a duplicate counts where it is indexed.
    """
    values = {"source_id": source_id, "reader": reader, "least": least}
    sampled = await (await connection.execute(_SQL["sampled"], values)).fetchall()
    units = await (await connection.execute(_SQL["repeated"], values, binary=True)).fetchall()
    return Repeated(dict(sampled), {(kind, unit): pages for kind, unit, pages in units})


async def learned(connection: Connection, source_id: UUID) -> list[Learned]:
    """Return what is known to be boilerplate, by kind, what is on most pages first."""
    cursor = await connection.execute(_SQL["learned"], {"source_id": source_id}, binary=True)
    return [Learned(*row) for row in await cursor.fetchall()]


async def keepers(connection: Connection, source_id: UUID) -> dict[str, str]:
    """Return the texts under which the pages are indexed that keep what is known to be boilerplate, by URL."""
    cursor = await connection.execute(_SQL["keepers"], {"source_id": source_id})
    return dict(await cursor.fetchall())


async def successors(
    connection: Connection, source_id: UUID, wanted: Collection[Unit], *, reader: str, gone: Collection[str]
) -> dict[Unit, str]:
    """Return for units the page of the sample that is to keep them: it has the unit, as `reader` read it.

    The one with the fewest units besides, and of these the one that stands first in the sample; an original of
    duplicates only where all others are, none that is `gone` or of another kind by now. A unit that no such page has
    is not in the answer.
    """
    hashes = [unit for _, unit in wanted]
    values = {"source_id": source_id, "unit_hashes": hashes, "reader": reader, "gone": list(gone)}
    cursor = await connection.execute(_SQL["successors"], values, binary=True)
    return {(kind, unit): url for kind, unit, url in await cursor.fetchall() if (kind, unit) in wanted}


async def learn(connection: Connection, source_id: UUID, found: Collection[Learned]) -> None:
    """Let this be all that is known to be boilerplate, inside a `write` transaction; what was known stays applied."""
    values = {
        "source_id": source_id,
        "kinds": [each.kind for each in found],
        "unit_hashes": [each.unit_hash for each in found],
        "pages": [each.pages for each in found],
        "sampled": [each.sampled for each in found],
        "keepers": [each.keeper for each in found],
    }
    await connection.execute(_SQL["forget"], values)
    await connection.execute(_SQL["learn"], values)


async def read_anew(connection: Connection, source_id: UUID, forgotten: Collection[Unit], also: Sequence[str]) -> None:
    """Let pages be downloaded and read at their next check, inside a `write` transaction: their texts may lack units.

    Those of the kinds on which pages of the sample have units that are `forgotten`; where there are any, `also` those
    of other kinds.
    """
    if forgotten:
        kinds, hashes = [kind for kind, _ in forgotten], [unit for _, unit in forgotten]
        values = {"source_id": source_id, "kinds": kinds, "unit_hashes": hashes, "also": list(also)}
        await connection.execute(_SQL["read_anew"], values)


async def read_soon(connection: Connection, source_id: UUID, urls: Collection[str]) -> None:
    """Let these pages be downloaded and read by the next run, inside a `write` transaction."""
    await connection.execute(_SQL["read_soon"], {"source_id": source_id, "urls": list(urls)})


async def applied(connection: Connection, source_id: UUID, texts: Mapping[Unit, str | None]) -> None:
    """Note that only their keepers have these units any more, inside a `write` transaction; `texts`: how each reads."""
    kinds, hashes = [kind for kind, _ in texts], [unit for _, unit in texts]
    values = {"source_id": source_id, "kinds": kinds, "unit_hashes": hashes, "texts": list(texts.values())}
    await connection.execute(_SQL["applied"], values)


async def kinds(connection: Connection, source_id: UUID) -> dict[str | None, int]:
    """Return how many pages of a source are of each kind, most first.

    None are those that were recognised as no kind, or not read since that is stored.
    """
    cursor = await connection.execute(_SQL["kinds"], {"source_id": source_id})
    return dict(await cursor.fetchall())
