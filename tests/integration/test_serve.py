"""Search over HTTP, by the real command: C10, A25."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from db.connection import connect
from lcl_spiders.searching.api import AT_A_TIME, WAITING
from tests.support.postgres import is_waiting, named, until_true
from tests.support.scrapy import run_scrapy
from tests.support.serving import fill, served

if TYPE_CHECKING:
    from db.connection import Connection

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def filled(make_database: Callable[[str], str], template: str) -> str:
    """The URL of a database with three pages, which the module's servers read."""
    url = make_database(template)
    asyncio.run(fill(url))
    return url


@pytest.fixture(scope="module")
def api(filled: str) -> Iterator[str]:
    """The URL of a server that asks for no token."""
    with served(filled) as (url, _):
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
        yield session


@pytest.fixture
async def locked(filled: str) -> AsyncIterator[Connection]:
    """A connection in a transaction that keeps every search waiting for as long as it is open."""
    async with connect(filled) as connection, connection.transaction():
        await connection.execute("LOCK TABLE page_embeddings IN ACCESS EXCLUSIVE MODE")
        yield connection


async def ask(http: aiohttp.ClientSession, url: str, **options: Any) -> tuple[int, Any]:
    async with http.get(url, **options) as answer:
        return answer.status, await answer.json(content_type=None)


async def search(http: aiohttp.ClientSession, api: str, **parameters: Any) -> list[str]:
    status, told = await ask(http, f"{api}/search", params=parameters)
    assert status == 200, told
    return [result["url"].removeprefix("https://example.org/") for result in told["results"]]


# answers


async def test_the_best_pages_are_answered_with_the_fields_that_the_command_prints(
    http: aiohttp.ClientSession, api: str
) -> None:
    async with http.get(f"{api}/search", params={"q": " who can fix the planks of my ship "}) as answer:
        told = await answer.json()

    assert answer.headers["Server-Timing"].startswith("search;dur=")
    assert told["query"] == "who can fix the planks of my ship"
    best = told["results"][0]
    assert list(best) == ["url", "title", "heading", "content", "score", "source"]
    assert (best["url"], best["source"]) == ("https://example.org/boats/", "example-org")
    assert "larch planks" in best["content"]


async def test_answers_are_narrowed_by_parameters(http: aiohttp.ClientSession, api: str) -> None:
    assert len(await search(http, api, q="wooden boats")) == 3
    assert len(await search(http, api, q="wooden boats", limit="2")) == 2
    assert await search(http, api, q="wooden boats", language="nl") == ["boten/"]
    assert set(await search(http, api, q="boats", path="/bo", source="example.org")) == {"boats/", "boten/"}
    assert set(await search(http, api, q="boats", since="2021-01-01")) == {"boats/", "knots/"}
    assert await search(http, api, q="bowline", text_only="true") == ["knots/"]
    assert set(await search(http, api, q="boats", language=["nl", "en"])) == {"boats/", "boten/", "knots/"}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "q"),
        ({"q": "  "}, "q"),
        ({"q": "x" * 1001}, "q"),
        ({"q": ["a", "b"]}, "q"),
        ({"q": "a", "limit": "0"}, "limit"),
        ({"q": "a", "limit": "101"}, "limit"),
        ({"q": "a", "limit": "9" * 5000}, "limit"),
        ({"q": "a", "limit": "ten"}, "limit"),
        ({"q": "a", "source": "nobody"}, "source"),
        ({"q": "a", "language": "dutch"}, "language"),
        ({"q": "a", "path": "docs"}, "path"),
        ({"q": "a", "since": "yesterday"}, "since"),
        ({"q": "a", "text_only": "maybe"}, "text_only"),
        ({"q": "a", "lang": "nl"}, "lang"),
    ],
    ids=lambda given: given if isinstance(given, str) else None,
)
async def test_a_bad_parameter_is_named_in_problem_details(
    http: aiohttp.ClientSession, api: str, parameters: dict[str, Any], name: str
) -> None:
    async with http.get(f"{api}/search", params=parameters) as answer:
        told = await answer.json(content_type="application/problem+json")

    assert (answer.status, told["status"], told["title"], told["parameter"]) == (400, 400, "Bad Request", name)
    assert told["detail"].startswith(f"{name}: ")
    assert len(told["detail"]) < 300


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/search", 405)])
async def test_other_errors_are_problem_details_too(
    http: aiohttp.ClientSession, api: str, method: str, path: str, status: int
) -> None:
    async with http.request(method, api + path) as answer:
        told = await answer.json(content_type="application/problem+json")

    assert (answer.status, told["status"]) == (status, status)


# who may ask


async def test_with_a_token_nobody_asks_without_it(filled: str, http: aiohttp.ClientSession) -> None:
    with served(filled, env={"LCL_SEARCH_TOKEN": TOKEN}) as (url, process):
        asked = f"{url}/search?q=boats"
        refused = [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN}]
        for headers in refused:
            async with http.get(asked, headers=headers) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                assert TOKEN not in await answer.text()
        assert (await ask(http, asked, headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 200
        assert (await ask(http, asked, headers={"Authorization": f"bearer {TOKEN}"}))[0] == 200
        assert (await ask(http, f"{url}/health"))[0] == 200
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)

    assert TOKEN not in stdout + stderr


def test_without_a_token_others_are_not_served(filled: str) -> None:
    ended = run_scrapy("serve", "--host", "0.0.0.0", "--port", "0", database_url=filled)

    assert ended.code == 1
    assert "set LCL_SEARCH_TOKEN in the environment" in ended.stderr


def test_a_port_that_is_taken_is_told_in_a_line(filled: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run_scrapy("serve", "--port", str(taken.getsockname()[1]), database_url=filled)

    assert ended.code == 1
    assert "cannot listen at 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr


# health


async def test_health_names_the_model(http: aiohttp.ClientSession, api: str) -> None:
    status, told = await ask(http, f"{api}/health")

    assert (status, told["status"]) == (200, "ok")
    assert told["model"].startswith("local/l2_supercat")


async def test_an_empty_index_is_not_healthy_until_it_is_filled(http: aiohttp.ClientSession, database_url: str) -> None:
    with served(database_url) as (url, _):
        status, told = await ask(http, f"{url}/health")
        assert (status, told["detail"]) == (503, "the index is empty: no source was crawled yet")
        assert await search(http, url, q="boats") == []

        await fill(database_url)

        assert (await ask(http, f"{url}/health"))[0] == 200
        assert len(await search(http, url, q="boats")) == 3


async def test_while_the_database_is_gone_it_says_so_and_goes_on_when_it_is_back(
    filled: str, api: str, http: aiohttp.ClientSession
) -> None:
    database = str(conninfo_to_dict(filled)["dbname"])
    name = sql.Identifier(database)
    with psycopg.connect(named(filled, "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
            for path in ("/search?q=boats", "/health"):
                async with http.get(api + path) as answer:
                    told = await answer.json(content_type="application/problem+json")
                assert (answer.status, told["detail"]) == (503, "the database does not answer")
                assert answer.headers["Retry-After"]
        finally:
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))

    async with asyncio.timeout(60):
        while (await ask(http, f"{api}/health"))[0] == 503:
            pass  # each waits for the database by itself
    assert len(await search(http, api, q="boats")) == 3


# limits


async def test_what_takes_too_long_is_given_up_in_the_database_too(
    filled: str, http: aiohttp.ClientSession, locked: Connection
) -> None:
    with served(filled, "--timeout", "1") as (url, _):
        status, told = await ask(http, f"{url}/search?q=boats")

        assert (status, told["detail"]) == (503, "no answer within 1 s")
        await until_true(locked, "SELECT count(*) = 0 FROM pg_locks WHERE NOT granted", seconds=30)


async def test_more_searches_than_can_wait_are_sent_away_at_once(filled: str, http: aiohttp.ClientSession) -> None:
    asked = 2 * (AT_A_TIME + WAITING)
    with served(filled, "--timeout", "60") as (url, _):
        async with connect(filled) as connection:
            async with connection.transaction():
                await connection.execute("LOCK TABLE page_embeddings IN ACCESS EXCLUSIVE MODE")
                searches = [asyncio.create_task(ask(http, f"{url}/search?q=boats")) for _ in range(asked)]
                sent_away = []
                for done in asyncio.as_completed(searches):
                    sent_away.append(await done)
                    if len(sent_away) == asked // 2:
                        break
                assert (await ask(http, f"{url}/health"))[0] == 200
            answers = await asyncio.gather(*searches)

    assert {(status, told["detail"]) for status, told in sent_away} == {(503, "too many searches at a time")}
    assert [status for status, _ in answers].count(200) == asked // 2


async def test_a_server_that_is_stopped_answers_what_it_was_asked(filled: str, http: aiohttp.ClientSession) -> None:
    with served(filled, "--timeout", "60") as (url, process):
        async with connect(filled) as connection:
            async with connection.transaction():
                await connection.execute("LOCK TABLE page_embeddings IN ACCESS EXCLUSIVE MODE")
                asked = asyncio.create_task(ask(http, f"{url}/search?q=boats"))
                await is_waiting(connection)
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(30):
                    while await listens(url):
                        pass
            status, told = await asked
        stderr = await asyncio.to_thread(lambda: process.communicate(timeout=60)[1])

    assert (status, len(told["results"])) == (200, 3)
    assert (process.returncode, stderr) == (0, "")


async def listens(url: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
    except OSError:
        return False
    writer.close()
    return True
