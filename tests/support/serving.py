"""`scrapy serve` as a process, and an index for it to search, embedded with the real local model."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from db import models, sources
from db.connection import connect
from pipelines.chunker import Chunker
from pipelines.providers.local import DIMENSIONS, MODEL, LocalProvider
from tests.support.index import Index, chunk, page
from tests.support.scrapy import started_scrapy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

PAGES = {
    "boats/": ("en", "The boatyard mends wooden hulls with larch planks and copper rivets, all winter long."),
    "knots/": ("en", "A bowline makes a loop that neither slips nor jams; sailors tie it with one hand."),
    "boten/": ("nl", "De werf herstelt houten boten met planken van lariks, de hele winter lang."),
}


async def fill(url: str) -> None:
    """Index three pages of https://example.org/ (slug example-org), the last of which changed in 2020."""
    texts = [text for _, text in PAGES.values()]
    vectors = (await LocalProvider().embed(texts)).vectors
    async with connect(url) as connection:
        source, _ = await sources.add(connection, "https://example.org/")
        model = await models.ensure_active(
            connection, provider="local", name=MODEL, dimensions=DIMENSIONS, chunker_version=Chunker(1000).version
        )
        index = await Index.opened(connection, source, model)
        for (name, (language, text)), vector in zip(PAGES.items(), vectors, strict=True):
            chunks = [chunk(text, heading=name, embedding=vector)]
            await index.write(page(index.url(name), text, title=name, language=language, chunks=chunks))
        await connection.execute(
            "UPDATE scraped_pages SET last_changed_at = '2020-01-01' WHERE url = %s", (index.url("boten/"),)
        )


@contextmanager
def served(
    database_url: str, *options: str, env: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `scrapy serve` at a free port, and yield its URL and the process, which is killed at the end."""
    with started_scrapy("serve", "--port", "0", "--json", *options, database_url=database_url, env=env) as process:
        yield _url(process), process


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("}"):
            told: Any = json.loads("".join(lines))
            return str(told["url"])
    assert process.stderr is not None
    raise AssertionError(f"scrapy serve ended: {process.stderr.read()}")
