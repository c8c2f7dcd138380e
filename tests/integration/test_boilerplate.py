"""What most of a site's pages say leaves the index, and nothing that a page says of its own (D6)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from db import boilerplate, pages, sources
from db.boilerplate import Learned
from lcl_spiders.extraction.boilerplate import unit_hash
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import snapshot, stats, succeeded
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy
from tests.support.site import html, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

LEGAL = "No rights can be derived from what is told here, and prices may change without notice at any time."
JOIN = "Friends of the town support its stories with five euros a month, and receive a letter every spring."
TOPICS = [f"topic{n}" for n in range(12)]


def article(topic: str, *boilerplate: str, wrapped: str = "", nonce: str = "") -> str:
    """Return an article with the same sentences at its end as every other one."""
    own = tale(topic, 3)
    body = [*own[:2], *boilerplate, own[2], *boilerplate[:1]]
    page = html(topic.title(), body, links=["/"])
    page = page.replace("<article>", f"<article>{wrapped}") if wrapped else page
    return page.replace("<body>", f'<body data-nonce="{nonce}">')


def site_of(*boilerplate: str, **how: str) -> dict[str, str]:
    """Return a front page, articles that all say the same sentences, and the page whose own text one of them is."""
    found = {f"/{topic}": article(topic, *boilerplate, **how) for topic in TOPICS}
    found["/legal"] = html("Legal", [LEGAL], links=["/"])
    found["/"] = html("A small town", tale("town", 3), links=[*found])
    return found


def change(site: LocalSite, found: dict[str, str], **how: str) -> None:
    for path, body in found.items():
        site[path] = Page(body, **how)


async def said(connection: Connection, text: str) -> set[str]:
    """Return the paths of the pages with a chunk that says a text."""
    query = "SELECT p.url FROM page_embeddings AS e JOIN scraped_pages AS p ON p.id = e.page_id WHERE e.content LIKE %s"
    return {"/" + url.rpartition("/")[2] for (url,) in await rows(connection, query, f"%{text}%")}


async def chunks_by_page(connection: Connection) -> dict[str, list[bytes]]:
    """Return the hashes of each page's chunks in order, by its path."""
    found = await rows(connection, "SELECT url, chunk_hashes FROM scraped_pages")
    return {"/" + url.rpartition("/")[2]: chunks for url, chunks in found}


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(site_of(LEGAL)) as running:
        yield running


async def test_what_most_pages_say_leaves_the_index_and_what_each_says_of_its_own_stays(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    site["/topic3-copy"] = site["/topic3"]
    site["/"] = html("A small town", tale("town", 3), links=[*site.pages])
    succeeded(site, database_url)
    assert await said(connection, LEGAL) == {"/legal"}
    for topic in TOPICS:
        for paragraph in tale(topic, 3):
            assert f"/{topic}" in await said(connection, paragraph)
    first = await stats(connection)
    assert (first["pages/new"], first["pages/duplicate"], first["boilerplate/learned"]) == (14, 1, 1)
    assert first["pages/stripped"] == 13  # the copy once it has taken its original's place, and it is a copy again
    assert await value(connection, "SELECT count(*) FROM scraped_pages WHERE duplicate_of IS NOT NULL") == 1
    assert await rows(connection, "SELECT pages, sampled, text FROM source_boilerplate") == [(13, 14, LEGAL)]
    assert await pages.broken_pages(connection) == []
    assert first["kinds/article"] == 15
    assert await rows(connection, "SELECT kind, count(*) FROM page_checks GROUP BY kind") == [("article", 15)]
    before = await snapshot(connection)

    change(site, site_of(LEGAL, nonce="2"))
    succeeded(site, database_url)
    second = await stats(connection)
    assert (second.get("pages/stripped", 0), second["pages/changed"], second["chunks/embedded"]) == (0, 0, 0)
    assert second["boilerplate/left_out"] == 2 * 12  # each says it twice; the copy's body did not change
    assert (await snapshot(connection))[0] == before[0]


async def test_no_signal_is_called_a_liar_for_what_was_taken_out(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    change(site, site_of(LEGAL), etag='"always"')
    succeeded(site, database_url)
    change(site, site_of(LEGAL, nonce="2"), etag='"always"')
    succeeded(site, database_url)
    assert (await stats(connection))["boilerplate/left_out"] == 2 * 12
    assert await rows(connection, "SELECT signal, agreed_runs, lies FROM source_signals") == [("etag", 1, 0)]


async def test_a_redesign_changes_each_page_once(site: LocalSite, database_url: str, connection: Connection) -> None:
    succeeded(site, database_url)
    before = await chunks_by_page(connection)

    change(site, site_of(JOIN, wrapped='<div class="new"><p>Menu</p></div>'))
    succeeded(site, database_url)
    redesigned = await stats(connection)
    assert (redesigned["pages/changed"], redesigned["pages/stripped"]) == (12, 11)
    (keeper,) = await said(connection, JOIN)
    changed = "SELECT url, last_changed_at FROM scraped_pages ORDER BY url"
    at = await rows(connection, changed)

    change(site, site_of(JOIN, wrapped='<div class="new"><p>Menu</p></div>', nonce="3"))
    succeeded(site, database_url)
    after = await stats(connection)
    assert (after["pages/changed"], after.get("pages/stripped", 0), after["chunks/embedded"]) == (0, 0, 0)
    assert await rows(connection, changed) == at
    chunks = await chunks_by_page(connection)
    assert {path for path in chunks if chunks[path] != before[path]} == {keeper}


async def test_what_is_no_boilerplate_any_more_comes_back_to_the_pages_that_still_say_it(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    assert await said(connection, LEGAL) == {"/legal"}
    rest = {f"/{topic}" for topic in TOPICS[:3]}
    change(site, {f"/{topic}": article(topic) for topic in TOPICS[3:]})  # the rest stays as it is, to the byte
    succeeded(site, database_url)
    assert await value(connection, "SELECT count(*) FROM source_boilerplate") == 0
    succeeded(site, database_url)
    assert await said(connection, LEGAL) == {"/legal", *rest}
    succeeded(site, database_url)
    assert (await stats(connection))["pages/same_body"] == len(TOPICS) + 2


async def test_what_an_earlier_run_did_not_come_to_is_taken_out_before_anything_is_asked_for(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    few = dict(list(site_of(JOIN).items())[:5])
    few["/"] = html("A small town", tale("town", 3), links=[*few])
    with LocalSite(few) as small:
        succeeded(small, database_url)
        assert len(await said(connection, JOIN)) == 5
        changed = await rows(connection, "SELECT url, last_changed_at FROM scraped_pages ORDER BY url")
        await connection.execute(
            """
            INSERT INTO source_boilerplate (source_id, kind, unit_hash, pages, sampled, keeper)
            SELECT source_id, 'article', %s, 20, 20, id FROM scraped_pages WHERE url LIKE '%%/topic3'
            """,
            (unit_hash(JOIN),),
        )
        change(small, {path: body.replace("<body", "<body data-v=2") for path, body in few.items()})
        succeeded(small, database_url)
    found = await stats(connection)
    assert (found["pages/stripped"], found["pages/unchanged"], found["pages/changed"]) == (4, 6, 0)
    assert await said(connection, JOIN) == {"/topic3"}
    assert await rows(connection, "SELECT url, last_changed_at FROM scraped_pages ORDER BY url") == changed
    assert await value(connection, "SELECT count(*) FROM source_boilerplate WHERE applied_at IS NOT NULL") == 1


async def test_a_source_that_keeps_it_has_it_back_when_its_pages_are_read(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    await connection.execute("""UPDATE scraper_sources SET config = config || '{"boilerplate": "kept"}'""")
    succeeded(site, database_url)
    assert len(await said(connection, LEGAL)) == 13
    assert await value(connection, "SELECT count(*) FROM source_boilerplate") == 0


async def test_commands_show_what_was_learned_of_a_source_and_what_it_takes_out_of_a_page(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    source, _ = await sources.add(connection, site.url("/"))
    await boilerplate.learn(connection, source.id, [Learned("article", unit_hash(LEGAL), 13, 14)])
    await boilerplate.applied(connection, source.id, {("article", unit_hash(LEGAL)): LEGAL})

    shown = run_scrapy("sources", "show", source.slug, "--json", database_url=database_url)
    assert json.loads(shown.stdout)["boilerplate"] == [
        {"kind": "article", "pages": 13, "sampled": 14, "text": LEGAL, "applied": True, "keeper": None}
    ]
    told = run_scrapy("sources", "show", source.slug, database_url=database_url)
    assert f'13 of 14 article pages: "{LEGAL[:80]} …"' in told.stdout

    asked = "inspect", site.url("/topic1"), "--json"
    whole = json.loads(run_scrapy(*asked, database_url=database_url).stdout)
    page = json.loads(run_scrapy(*asked, "--source", source.slug, database_url=database_url).stdout)
    assert whole["content"].count(LEGAL) == 2
    assert page["content"].split() == whole["content"].replace(LEGAL, "").split()
    assert [each for each in page["left_out"] if each["reason"] == "boilerplate"] == 2 * [
        {"reason": "boilerplate", "chars": len(LEGAL), "text": LEGAL}
    ]
