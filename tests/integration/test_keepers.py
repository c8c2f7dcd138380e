"""What is taken out of most of a site's pages goes on standing on one of them: no text stands nowhere (D6)."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import crawl, last_job, snapshot, stats, succeeded
from tests.support.postgres import rows, until_true, value
from tests.support.scrapy import run_scrapy, started_scrapy
from tests.support.site import html, tale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from db.connection import Connection

DESCRIPTION = (
    "This lamp is blown by hand in a workshop on the island, from glass that was a bottle before, and no two of them "
    "are alike. It takes any bulb with a common fitting, hangs from two metres of braided cord, and is wiped clean "
    "with a dry cloth. Whoever breaks one may send the pieces back, and has a new one made of them for half the price."
)
FOOTER = "Orders before noon leave on the same day, and returns are free for thirty days."
SHOP = [f"/lamp{n}" for n in range(20)]
LARGE_SHOP = [f"/lamp{n:03}" for n in range(150)]
HOLD_UP = """
    CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END';
    CREATE TRIGGER holds_up BEFORE UPDATE ON scraped_pages FOR EACH ROW
    WHEN (NEW.url LIKE '%/lamp1%' AND length(NEW.content) < length(OLD.content)) EXECUTE FUNCTION hold_up();
"""
HELD_UP = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
ALONE = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def product(path: str, *texts: str, nonce: str = "") -> Page:
    """Return a page of the shop: a little of its own, and what all of them say."""
    own = tale(path, 2 if path == SHOP[7] else 3)  # one says least besides
    page = html(path.strip("/").title(), [own[0], *texts, *own[1:], FOOTER], links=["/"])
    return Page(page.replace("<body>", f'<body data-nonce="{nonce}">'))


def shop_of(*texts: str, nonce: str = "", products: Sequence[str] = SHOP) -> dict[str, Page | str]:
    """Return a front page and products with the same texts."""
    found: dict[str, Page | str] = {path: product(path, *texts, nonce=nonce) for path in products}
    found["/"] = html("Lamps", tale("lamps", 3), links=products)
    return found


def change(site: LocalSite, found: dict[str, Page | str]) -> None:
    for path, body in found.items():
        site[path] = body if isinstance(body, Page) else Page(body)


async def said(connection: Connection, text: str) -> list[str]:
    """Return the paths of the pages that are indexed with a text, once for each time that they say it."""
    found = await rows(connection, "SELECT url, content FROM scraped_pages WHERE duplicate_of IS NULL ORDER BY url")
    return ["/" + url.rpartition("/")[2] for url, content in found for _ in range(content.count(text))]


def found_by_search(database_url: str, text: str) -> list[str]:
    """Return the paths of the pages of whose best chunk a search for a text shows that text."""
    done = run_scrapy("search", text, "--limit", "30", "--json", database_url=database_url)
    assert done.code == 0, done.stderr
    return ["/" + each["url"].rpartition("/")[2] for each in json.loads(done.stdout) if text in each["content"]]


async def keepers(connection: Connection) -> Any:
    return await rows(
        connection,
        """
        SELECT DISTINCT p.url, b.applied_at IS NOT NULL
        FROM source_boilerplate AS b
        LEFT JOIN scraped_pages AS p ON p.id = b.keeper
        """,
    )


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(shop_of(DESCRIPTION)) as running:
        yield running


async def test_what_all_products_say_is_found_on_one_of_them_and_goes_on_to_be_found_when_that_one_leaves(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    first = await stats(connection)
    assert (first["boilerplate/learned"], first["pages/stripped"]) == (2, 19)
    assert await said(connection, DESCRIPTION) == await said(connection, FOOTER) == ["/lamp7"]
    assert found_by_search(database_url, DESCRIPTION) == ["/lamp7"]
    text = await value(connection, "SELECT sum(length(content)) FROM page_embeddings")
    assert len(FOOTER) / text < 0.02
    assert await keepers(connection) == [(site.url("/lamp7"), True)]
    before = await snapshot(connection)

    change(site, shop_of(DESCRIPTION, nonce="2"))
    succeeded(site, database_url)
    second = await stats(connection)
    assert second["boilerplate/left_out"] == 2 * 19
    assert [second.get(name, 0) for name in ("pages/changed", "pages/stripped", "chunks/embedded")] == [0, 0, 0]
    assert (await snapshot(connection))[0] == before[0]
    assert found_by_search(database_url, DESCRIPTION) == ["/lamp7"]

    site["/lamp7"] = Page("", status=410)  # all others answer as before, to the byte
    succeeded(site, database_url)
    third = await stats(connection)
    assert (third["pages/gone"], third["pages/same_body"], third["pages/restored"]) == (1, 20, 1)
    (heir,) = await said(connection, DESCRIPTION)
    assert heir in SHOP
    assert await said(connection, FOOTER) == [heir]
    assert await keepers(connection) == [(site.url(heir), True)]

    succeeded(site, database_url)
    assert (await stats(connection))["pages/same_body"] == 19  # the heir is read, and has it in its place
    content = await value(connection, "SELECT content FROM scraped_pages WHERE url = %s", site.url(heir))
    own = tale(heir, 3)
    assert content.split("\n\n")[1:] == [own[0], DESCRIPTION, *own[1:], FOOTER]
    assert await said(connection, DESCRIPTION) == await said(connection, FOOTER) == [heir]
    before = await snapshot(connection)

    succeeded(site, database_url)
    assert await snapshot(connection) == before
    assert await pages.broken_pages(connection) == []


async def test_what_its_keeper_says_no_more_is_left_to_another_page_that_does(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    site["/lamp7"] = product("/lamp7", "This one is made by a machine, and has nothing of all that about it.")
    succeeded(site, database_url)
    (heir,) = await said(connection, DESCRIPTION)
    assert heir != "/lamp7"
    assert await said(connection, FOOTER) == ["/lamp7"]
    assert (await stats(connection))["pages/restored"] == 1


async def test_what_was_learned_before_there_were_keepers_comes_back_to_one_page(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    # As it was learned then: on no page, and of its text the beginning.
    await connection.execute("UPDATE source_boilerplate SET keeper = NULL, text = left(text, 200)")
    site["/lamp7"] = Page(str(product("/lamp7").body).replace(FOOTER, ""))
    succeeded(site, database_url)
    assert await said(connection, DESCRIPTION) == []
    (heir,) = await said(connection, FOOTER)  # short enough to have been stored whole
    succeeded(site, database_url)
    assert await said(connection, DESCRIPTION) == await said(connection, FOOTER) == [heir]
    assert await keepers(connection) == [(site.url(heir), True)]


async def test_a_run_that_is_killed_while_it_strips_pages_is_finished_by_the_next(
    database_url: str, connection: Connection
) -> None:
    changed = "SELECT url, last_changed_at FROM scraped_pages ORDER BY url"
    with LocalSite(shop_of(DESCRIPTION, products=LARGE_SHOP)) as site:
        await connection.execute(HOLD_UP)
        await connection.execute("SELECT pg_advisory_lock(7)")
        with started_scrapy("crawl", "website", "-a", f"url={site.url('/')}", database_url=database_url) as process:
            await until_true(connection, HELD_UP)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        await connection.execute("SELECT pg_advisory_unlock(7)")
        await until_true(connection, ALONE)
        left = len(await said(connection, DESCRIPTION))
        assert 1 < left < len(LARGE_SHOP)
        assert await pages.broken_pages(connection) == []
        before = await rows(connection, changed)

        await connection.execute("DROP TRIGGER holds_up ON scraped_pages")
        succeeded(site, database_url)
    ((keeper, is_applied),) = await keepers(connection)
    assert is_applied
    paths = [site.url(path) for text in (DESCRIPTION, FOOTER) for path in await said(connection, text)]
    assert paths == [keeper, keeper]
    assert (await stats(connection))["pages/stripped"] == left - 1
    assert await rows(connection, changed) == before
    assert await pages.broken_pages(connection) == []


async def test_a_run_that_is_killed_when_it_has_stripped_all_pages_leaves_the_text_with_its_keeper(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    learned = "SELECT text, applied_at IS NOT NULL FROM source_boilerplate ORDER BY text"
    before = await rows(connection, learned)
    assert before == [(FOOTER, True), (DESCRIPTION, True)]
    await connection.execute("UPDATE source_boilerplate SET text = NULL, applied_at = NULL")
    succeeded(site, database_url)
    assert await rows(connection, learned) == before


async def test_a_keeper_that_looked_gone_and_comes_back_says_no_more_what_another_page_has_been_left(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    before = {path: site[path] for path in SHOP[7:19]}
    for path in before:
        site[path] = Page("", status=404)
    assert crawl(site, database_url).code == 1
    assert (await last_job(connection))["reason"] == "mass_delete_refused"
    (heir,) = {*await said(connection, DESCRIPTION)} - {"/lamp7"}
    for path, page in before.items():
        site[path] = page  # as it was, to the byte
    succeeded(site, database_url)
    assert await said(connection, DESCRIPTION) == await said(connection, FOOTER) == [heir]


async def test_commands_say_which_page_keeps_what_the_others_lose(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    succeeded(site, database_url)
    slug = await value(connection, "SELECT slug FROM scraper_sources")
    shown = json.loads(run_scrapy("sources", "show", slug, "--json", database_url=database_url).stdout)
    assert {each["keeper"] for each in shown["boilerplate"]} == {site.url("/lamp7")}

    asked = "inspect", "--source", slug, "--json"
    keeper = json.loads(run_scrapy(*asked, site.url("/lamp7"), database_url=database_url).stdout)
    assert [each["text"] for each in keeper["kept"]] == [DESCRIPTION[:200], FOOTER]
    assert DESCRIPTION in keeper["content"]
    other = json.loads(run_scrapy(*asked, site.url("/lamp1"), database_url=database_url).stdout)
    assert (other["kept"], DESCRIPTION in other["content"]) == ([], False)
