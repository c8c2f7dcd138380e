"""Several local sites as sources of one index."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from db import sources
from lcl_spiders.local_site import LocalSite
from tests.support.site import small_town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

QUICK = {"LCL_WORKER_HEARTBEAT": "1", "LCL_BUSY_RETRY_DELAY": "1"}


@contextmanager
def local_sites(count: int) -> Iterator[list[LocalSite]]:
    """Sites of four pages each, which run until the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(LocalSite(small_town())) for _ in range(count)]


async def register(connection: Connection, sites: list[LocalSite]) -> list[str]:
    """Store each site as a source and return the slugs."""
    return [(await sources.add(connection, site.url("/")))[0].slug for site in sites]
