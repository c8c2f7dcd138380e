"""Building a model beside the active one, switching to it, and freeing what is left: C8."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest

from db import activation, coverage, manifests, models, page_writes, pages, pending
from db.connection import connect
from db.pending import PendingPage
from db.search import search_pages
from pipelines import covering, index_model, runtime
from pipelines.budget import TokenLimitReached
from pipelines.providers import ProviderUnavailable
from pipelines.reembedding import activate as activating
from pipelines.reembedding.activate import NotActivated, activate
from pipelines.reembedding.build import Build
from tests.support.embeddings import EmbeddingServer, embedding_server, vector
from tests.support.index import digest
from tests.support.postgres import is_waiting, rows, value
from tests.support.reembedding import FINE, NEW, OLD, Moving, config, moving, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from db.models import Model
    from db.sources import Source
    from pipelines.runtime import Runtime

TOPICS = ("harbour", "library", "market", "museum")


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


async def switch(index: Moving, model: Model, build: Build) -> int:
    return await activate(index.connection, model, build, min_chunks=10_000, pause=20)


async def is_sound(index: Moving) -> bool:
    broken = await pages.broken_pages(index.connection), await pages.broken_covers(index.connection)
    return broken == ([], [])


class TestBuilding:
    @pytest.mark.parametrize("wanted", [NEW, FINE], ids=["another model", "another chunk size"])
    async def test_every_page_is_covered_from_the_stored_text(self, index, provider, wanted):
        model, build = await index.begin(wanted)
        assert await build.run() == 0
        assert await index.texts(model) == await index.expected(model)
        assert (build.progress.pages, build.progress.embedded) == (len(TOPICS), len(provider.sent("new")))
        assert provider.sent("old") == []
        assert await is_sound(index)

    async def test_a_text_is_sent_once_however_many_pages_have_it(self, index, provider):
        await index.write("copy", text_of("harbour") + "\n\nAnd a word of its own.")
        _, build = await index.begin()
        await build.run()
        assert len(set(provider.sent("new"))) == len(provider.sent("new"))

    async def test_what_is_covered_is_not_embedded_again(self, index, provider):
        _, build = await index.begin()
        await build.run()
        before = provider.sent("new")
        _, again = await index.begin()
        assert await again.run() == 0
        assert provider.sent("new") == before
        assert again.progress.pages == 0

    async def test_of_a_page_that_changed_only_what_is_new_is_embedded(self, index, provider):
        model, build = await index.begin()
        await build.run()
        before = provider.sent("new")
        await index.write("harbour", text_of("harbour") + "\n\n" + "The new pier is open. " * 60)
        _, again = await index.begin()
        await again.run()
        new = provider.sent("new")[len(before) :]
        assert 0 < len(new) < len(before)
        assert not set(new) & set(before)
        assert await index.texts(model) == await index.expected(model)
        assert await is_sound(index)

    async def test_a_page_that_changes_while_it_is_embedded_is_covered_as_it_is_then(self, index, provider):
        model, build = await index.begin()
        provider.wait_for = "harbour"
        building = asyncio.create_task(build.run())
        assert await asyncio.to_thread(provider.waiting.wait, 30)
        await index.write("harbour", "A short notice.")
        provider.open()
        assert await building == 0
        assert build.progress.left == 1
        assert await index.texts(model) == await index.expected(model)
        assert await is_sound(index)

    async def test_a_page_that_vanishes_while_it_is_embedded_leaves_nothing(self, index, provider):
        model, build = await index.begin()
        provider.wait_for = "harbour"
        building = asyncio.create_task(build.run())
        assert await asyncio.to_thread(provider.waiting.wait, 30)
        await index.connection.execute("DELETE FROM scraped_pages WHERE url ~ 'harbour'")
        provider.open()
        assert await building == 0
        assert await index.texts(model) == await index.expected(model)

    async def test_what_was_built_before_the_provider_failed_is_kept(self, index, provider):
        model, build = await index.begin()
        await build.run()
        await index.write("lighthouse", text_of("lighthouse"))
        provider.failing.add("new")
        _, failing = await index.begin()
        with pytest.raises(ProviderUnavailable):
            await failing.run()
        assert await manifests.count_pending(index.connection, model.id) == 1
        assert len(await index.texts(model)) == len(TOPICS)

    async def test_a_page_without_text_is_covered_without_the_provider(self, index, provider):
        await index.write("empty", "")
        _, build = await index.begin()
        assert await build.run() == 0
        assert not any(not text for text in provider.sent("new"))

    async def test_a_refused_text_leaves_its_page_uncovered_and_the_others_go_on(self, index, provider):
        provider.refuse = "harbour"
        model, build = await index.begin()
        assert await build.run() == 0
        ((url, message),) = await manifests.refused(index.connection, model.id)
        assert url == index.index.url("harbour")
        assert "refuse" in message
        assert build.progress.refused == 1
        assert len(await index.texts(model)) == len(TOPICS) - 1


@dataclass
class Begun:
    """A run as far as it is asked for the models beside its own."""

    runtime: Runtime
    source: Source
    counted: Counter[str]

    def count(self, name: str, by: int = 1) -> None:
        self.counted[name] += by


async def test_a_second_model_whose_provider_is_away_is_waited_for_by_one_run_in_a_while(index, monkeypatch):
    await models.build(index.connection, NEW)
    run, now = Begun(index.shared, index.index.source, Counter()), [0.0]

    async def names() -> list[str]:
        return [model.name for model, _ in await covering.prepare(run, clock=lambda: now[0])]

    monkeypatch.delenv("OPENAI_API_KEY")
    assert await names() == []
    monkeypatch.setenv("OPENAI_API_KEY", "any-word")
    now[0] = covering.AWAY_LASTS / 2
    assert await names() == []
    now[0] = covering.AWAY_LASTS
    assert await names() == ["new"]
    assert run.counted == {"building/unavailable": 2}


class TestSwitching:
    @pytest.mark.parametrize("wanted", [NEW, FINE], ids=["another model", "another chunk size"])
    async def test_the_switch_and_the_way_back_are_one_and_the_same(self, index, provider, wanted):
        model, build = await index.begin(wanted)
        assert await switch(index, model, build) == 1
        assert await index.active() == "new"
        assert await is_sound(index)
        old, back = await index.begin(OLD)
        assert await switch(index, old, back) == 1
        assert (await index.active(), provider.sent("old")) == ("old", [])
        assert await is_sound(index)
        _, forth = await index.begin(wanted)
        before = provider.sent("new")
        await switch(index, model, forth)
        assert (await index.active(), provider.sent("new")) == ("new", before)

    async def test_going_back_embeds_only_what_changed_since(self, index, provider):
        model, build = await index.begin()
        await switch(index, model, build)
        await index.write("market", "Moved.", model)
        old, back = await index.begin(OLD)
        await switch(index, old, back)
        assert provider.sent("old") == ["Moved."]
        assert await index.texts(old) == await index.expected(old)

    async def test_a_model_that_does_not_cover_every_page_is_not_activated(self, index):
        model, _ = await index.begin()
        assert await activation.activate(index.connection, model, pause=20) == len(TOPICS)
        assert await index.active() == "old"

    async def test_a_refused_page_keeps_the_switch_from_happening_and_is_named(self, index, provider):
        provider.refuse = "harbour"
        model, build = await index.begin()
        with pytest.raises(NotActivated, match=index.index.url("harbour")):
            await switch(index, model, build)
        assert await index.active() == "old"

    async def test_a_refused_page_may_be_left_out_and_is_a_failed_one_from_there(self, index, provider):
        provider.refuse = "harbour"
        copy, other = (index.index.url(name) for name in ("copy", "library"))
        await index.write("copy", "a copy")
        await index.connection.execute(
            "UPDATE scraped_pages AS p SET duplicate_of = o.id, chunk_hashes = '{}', content_hash = o.content_hash "
            "FROM scraped_pages AS o WHERE p.url = %s AND o.url ~ 'harbour'",
            (copy,),
        )
        await index.connection.execute(
            "DELETE FROM page_embeddings AS e USING scraped_pages AS p WHERE p.id = e.page_id AND p.url = %s", (copy,)
        )
        model, build = await index.begin()
        assert await activate(index.connection, model, build, min_chunks=10_000, pause=20, leave_out=True) == 1
        assert await index.active() == "new"
        assert await is_sound(index)
        gone = [copy, index.index.url("harbour")]
        assert await rows(index.connection, "SELECT url, kind FROM failed_pages ORDER BY url") == [
            (url, "embedding_refused") for url in gone
        ]
        left = {url for (url,) in await rows(index.connection, "SELECT url FROM scraped_pages")}
        assert other in left
        assert not left & set(gone)

    async def test_what_a_provider_refuses_by_the_dozen_is_not_left_out(self, index, provider, monkeypatch):
        monkeypatch.setattr(activating, "LEFT_OUT", 0)
        provider.refuse = "harbour"
        model, build = await index.begin()
        with pytest.raises(NotActivated, match="too many to be left out"):
            await activate(index.connection, model, build, min_chunks=10_000, pause=20, leave_out=True)
        assert (await index.active(), len(await index.expected(model))) == ("old", len(TOPICS))

    @pytest.mark.parametrize("step", ["keep_manifests", "take_manifests", "leave", "enter"])
    async def test_a_switch_that_dies_at_any_step_has_not_begun(self, index, monkeypatch, database_url, step):
        model, build = await index.begin(FINE)
        await build.run()
        monkeypatch.setitem(activation._SQL, step, "SELECT pg_terminate_backend(pg_backend_pid())")
        async with connect(database_url) as second:
            with pytest.raises(psycopg.OperationalError):
                await activation.activate(second, model, pause=20)
        monkeypatch.undo()
        assert await index.active() == "old"
        assert await is_sound(index)
        assert await activation.activate(index.connection, model, pause=20) == 0
        assert await is_sound(index)

    async def test_a_retired_model_is_not_activated_unbuilt(self, index):
        model, _ = await index.begin()
        await models.retire(index.connection, model)
        with pytest.raises(models.ModelMismatch, match="not being built"):
            await activation.activate(index.connection, model, pause=20)

    async def test_the_switch_waits_for_a_commit_and_sees_what_it_wrote(self, index, database_url):
        model, build = await index.begin()
        await build.run()
        async with connect(database_url) as second:
            async with page_writes.write(index.connection, index.index.source.domain, index.index.fence):
                switching = asyncio.create_task(activation.activate(second, model, pause=20))
                await is_waiting(index.connection)
                await index.connection.execute("UPDATE scraped_pages SET content_hash = 'x' WHERE url ~ 'market'")
            assert await switching == 1
        assert await index.active() == "old"

    async def test_a_switch_that_takes_too_long_is_taken_back(self, index, database_url):
        model, build = await index.begin()
        await build.run()
        async with connect(database_url) as second:
            async with page_writes.write(index.connection, index.index.source.domain, index.index.fence):
                with pytest.raises(activation.SwitchTooSlow, match="taken back"):
                    await activation.activate(second, model, pause=0.05)
            assert await activation.activate(second, model, pause=20) == 0

    async def test_searches_of_the_old_model_and_the_new_one_find_their_own_vectors(self, index):
        model, build = await index.begin()
        text = (await index.expected(model))[index.index.url("museum")][0]
        for name in ("old", "new"):
            assert await index.active() == name
            hit, *_ = await search_pages(index.connection, None, vector(name, text))
            assert (hit.content, hit.url) == (text, index.index.url("museum"))
            if name == "old":
                await switch(index, model, build)


class TestSpending:
    """A build obeys the limit of the day and is counted, as crawls are."""

    async def test_a_build_that_meets_the_days_limit_goes_on_with_the_next_and_pays_nothing_twice(
        self, index, provider, database_url
    ):
        shared = await runtime.lease(config(database_url, max_tokens_per_day=1500))
        try:
            model = await models.build(index.connection, NEW)
            build = Build(shared, model, await index_model.embedder_of(shared, model))
            with pytest.raises(TokenLimitReached, match="would exceed the day's 1,500"):
                await build.run()
        finally:
            await runtime.give_back(shared)
        sent = provider.sent("new")
        assert 0 < len(sent) < len(set().union(*(await index.expected(model)).values()))
        assert await index.spent(model) == (len(sent), build.progress.tokens, 0)

        _, again = await index.begin()
        assert await again.run() == 0
        assert len(set(provider.sent("new"))) == len(provider.sent("new"))
        assert await index.texts(model) == await index.expected(model)
        assert await index.spent(model) == (len(provider.sent("new")), build.progress.tokens + again.progress.tokens, 0)


class TestFreeing:
    async def test_a_retired_model_leaves_no_rows_and_no_index(self, index):
        model, build = await index.begin()
        await switch(index, model, build)
        old = await models.find(index.connection, OLD)
        assert old is not None
        await index.shared.build_indexes(old)
        freed = await activation.free(index.connection, old)
        assert freed.pages == len(TOPICS)
        assert await index.texts(old) == {}
        assert freed.embeddings > len(TOPICS)
        assert await value(index.connection, "SELECT count(*) FROM page_manifests") == 0
        assert await is_sound(index)

    async def test_what_waited_for_batches_goes_too_but_what_a_batch_is_paid_for(self, index, monkeypatch):
        monkeypatch.setattr(activation, "PAGES_AT_A_TIME", 2)
        model, _ = await index.begin()
        texts = {word: digest(word) for word in ("free", "another", "more", "asked", "answered")}
        await pending.add_texts(index.connection, model.id, {each: word for word, each in texts.items()})
        opened = "INSERT INTO embedding_batches (model_id, texts, day) VALUES (%s, 2, now()) RETURNING id"
        ((batch,),) = await rows(index.connection, opened, model.id)
        in_batch = [texts["asked"], texts["answered"]]
        query = "UPDATE pending_texts SET batch_id = %s WHERE chunk_hash = ANY (%s)"
        await index.connection.execute(query, (batch, in_batch))
        query = "UPDATE pending_texts SET refusal = 'no', kind = 'embedding_refused' WHERE chunk_hash = %s"
        await index.connection.execute(query, (texts["answered"],))
        parked = PendingPage(index.index.url("new"), digest("new"), None, {texts["free"]: "free"}, {})
        async with page_writes.write(index.connection, index.index.source.domain, index.index.fence):
            await pending.park(index.connection, index.index.source.id, model.id, [parked])
        await models.retire(index.connection, model)
        await activation.free(index.connection, model)
        assert await value(index.connection, "SELECT count(*) FROM pending_pages") == 0
        assert await rows(index.connection, "SELECT text FROM pending_texts") == [("asked",)]

    async def test_what_was_freed_in_part_is_freed_by_the_next_call(self, index):
        model, build = await index.begin()
        await switch(index, model, build)
        old = await models.find(index.connection, OLD)
        assert old is not None
        await index.connection.execute("DELETE FROM page_embeddings WHERE model_id = %s AND id %% 2 = 0", (old.id,))
        await activation.free(index.connection, old)
        assert await index.texts(old) == {}

    async def test_a_freed_model_can_be_built_again(self, index, provider):
        model, build = await index.begin()
        await build.run()
        await models.retire(index.connection, model)
        await activation.free(index.connection, model)
        again, build = await index.begin()
        assert again.id == model.id
        assert await build.run() == 0
        assert await index.texts(again) == await index.expected(again)


class TestCoverage:
    async def test_models_are_told_with_what_they_cover(self, index, provider):
        provider.refuse = "harbour"
        _, build = await index.begin()
        await build.run()
        await index.write("market", "Closed for today.")
        old, new = await coverage.by_model(index.connection)
        assert (old.state, old.pages, old.covered, old.is_complete) == ("active", 4, 4, True)
        assert (new.state, new.covered, new.changed, new.refused, new.is_complete) == ("building", 2, 1, 1, False)
        assert new.chunks > 0
        assert new.row_bytes > 0

    async def test_the_workload_is_what_is_sent(self, index, provider):
        await index.write("copy", text_of("harbour") + "\n\nAnd a word of its own.")
        wanted = await coverage.workload(index.connection, 0)
        _, build = await index.begin()
        await build.run()
        assert (wanted.pages, wanted.texts, wanted.stored) == (5, len(provider.sent("new")), 0)
        assert wanted.characters == sum(map(len, provider.sent("new")))
        assert wanted.tokens == sum(len(text) // 4 for text in provider.sent("new"))
