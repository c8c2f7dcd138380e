"""What one bad page, one bad answer or one refused write costs: that page, and nothing else."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np
import pytest

from db import pages
from lcl_spiders.local_site import LocalSite, Page
from tests.support.faulty_provider import POISON, VOID, FaultyProvider, faulty_provider
from tests.support.postgres import rows, value
from tests.support.scrapy import Completed, run_scrapy
from tests.support.site import html, prose, small_town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


@pytest.fixture
def provider() -> Iterator[FaultyProvider]:
    with faulty_provider() as running:
        yield running


def crawl(site: LocalSite, database_url: str, provider: FaultyProvider | None = None) -> Completed:
    env = provider.env if provider is not None else {}
    return run_scrapy("crawl", "website", "-a", f"url={site.url('/')}", database_url=database_url, env=env)


async def page(connection: Connection, path: str) -> list[tuple[str, int]]:
    return [
        (content, chunks)
        for content, chunks in await rows(
            connection,
            "SELECT p.content, count(e.id) FROM scraped_pages AS p LEFT JOIN page_embeddings AS e ON e.page_id = p.id "
            "WHERE p.url LIKE %s GROUP BY p.id",
            f"%{path}",
        )
    ]


async def test_a_text_that_the_provider_refuses_costs_its_page_alone(site, provider, database_url, connection):
    assert crawl(site, database_url, provider).code == 0
    before = await page(connection, "/market")
    site["/market"] = html("Market", [*prose("market"), f"The apothecary sells {POISON}."])
    site["/library"] = html("Library", prose("book"))
    done = crawl(site, database_url, provider)
    assert done.code == 0, done.stderr
    assert await rows(connection, "SELECT url, kind FROM failed_pages") == [(site.url("/market"), "embedding_refused")]
    assert await page(connection, "/market") == before
    assert "book" in (await page(connection, "/library"))[0][0]
    assert await pages.broken_pages(connection) == []


async def test_a_text_without_a_usable_vector_costs_its_page_alone(site, provider, database_url, connection):
    site["/market"] = html("Market", [*prose("market"), f"The philosopher sells {VOID}."])
    done = crawl(site, database_url, provider)
    assert done.code == 0, done.stderr
    assert await rows(connection, "SELECT url, kind FROM failed_pages") == [(site.url("/market"), "unusable_vector")]
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 3
    assert await pages.broken_pages(connection) == []


@pytest.mark.parametrize("fault", ["down", "too few", "zero", "not a number", "short"])
async def test_an_answer_that_cannot_be_stored_ends_the_run_and_the_next_goes_on(
    site, provider, database_url, connection, fault
):
    provider.fault = fault
    done = crawl(site, database_url, provider)
    assert done.code == 1
    assert "provider_unavailable" in done.stderr
    assert "Traceback" not in done.stderr
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 0
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 0
    provider.fault = None
    assert crawl(site, database_url, provider).code == 0
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 4
    assert await pages.broken_pages(connection) == []


async def test_vectors_that_come_shuffled_are_put_in_order_by_their_index(site, provider, database_url, connection):
    provider.fault = "shuffled"
    assert crawl(site, database_url, provider).code == 0
    for content, embedding in await rows(connection, "SELECT content, embedding FROM page_embeddings"):
        answer = FaultyProvider("").answer([content], {"encoding_format": "base64"}).body
        ours = embedding.to_numpy()
        theirs = np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), dtype=np.float32)
        assert np.allclose(ours, theirs / np.linalg.norm(theirs), atol=1e-6)


async def test_no_text_is_sent_twice(site, provider, database_url):
    assert crawl(site, database_url, provider).code == 0
    site["/market"] = html("Market", prose("market")[:5])
    assert crawl(site, database_url, provider).code == 0
    assert len(provider.texts) == len(set(provider.texts))


async def test_a_page_that_the_database_refuses_costs_itself_alone(site, database_url, connection):
    assert crawl(site, database_url).code == 0
    before = await page(connection, "/market")
    await connection.execute(
        f"ALTER TABLE page_embeddings ADD CONSTRAINT no_poison CHECK (content NOT LIKE '%{POISON}%')"
    )
    site["/market"] = html("Market", [*prose("stall"), f"The apothecary sells {POISON}."])
    site["/library"] = html("Library", prose("book"))
    site["/harbour"] = html("Harbour", prose("boat"))
    done = crawl(site, database_url)
    assert done.code == 0, done.stderr
    assert await page(connection, "/market") == before
    assert await rows(connection, "SELECT url, kind FROM failed_pages") == [(site.url("/market"), "write_failed")]
    assert "book" in (await page(connection, "/library"))[0][0]
    assert "boat" in (await page(connection, "/harbour"))[0][0]
    assert await pages.broken_pages(connection) == []


async def test_old_embeddings_that_cannot_be_removed_leave_the_page_as_it_was(site, database_url, connection):
    assert crawl(site, database_url).code == 0
    before = await page(connection, "/market")
    await connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$"
    )
    await connection.execute(
        "CREATE TRIGGER refuse BEFORE DELETE ON page_embeddings FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    site["/market"] = html("Market", prose("stall"))
    done = crawl(site, database_url)
    assert done.code == 0, done.stderr
    assert await page(connection, "/market") == before
    ((kind, message),) = await rows(connection, "SELECT kind, message FROM failed_pages")
    assert kind == "write_failed"
    assert "not today" in message


async def test_a_run_in_which_most_pages_fail_is_no_success(site, database_url, connection):
    for path in ("/harbour", "/library", "/market"):
        site[path] = Page(b"\x89PNG\r\n\x1a\n" + bytes(2000))
    done = crawl(site, database_url)
    assert done.code == 1
    assert "too_many_failures" in done.stderr
    assert await value(connection, "SELECT count(*) FROM failed_pages") == 3
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 1


async def test_a_provider_that_refuses_everything_is_no_fault_of_the_site(site, provider, database_url, connection):
    for path in ("/", "/harbour", "/library", "/market"):
        site[path] = html(
            path, [f"The apothecary sells {POISON} on {path}.", *prose(path)[:1]], ["/harbour", "/market"]
        )
    done = crawl(site, database_url, provider)
    assert done.code == 1
    assert "too_many_failures" in done.stderr
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 0


async def test_a_key_that_a_server_echoes_reaches_no_log_and_no_row(site, provider, database_url, connection):
    env = {**provider.env, "OPENAI_API_KEY": "sk-very-secret"}
    provider.fault = "echo"
    done = run_scrapy("crawl", "website", "-a", f"url={site.url('/')}", database_url=database_url, env=env)
    assert done.code == 1
    assert "very-secret" not in done.stdout + done.stderr
    assert await value(connection, "SELECT count(*) FROM scrape_jobs WHERE error LIKE '%%very-secret%%'") == 0
