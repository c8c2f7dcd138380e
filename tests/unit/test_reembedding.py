"""Which model is meant, what it will cost, how pages are grouped and how all of it is told."""

from __future__ import annotations

import io
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from db.coverage import ModelCoverage, ModelSummary, Workload
from db.manifests import PendingPage
from db.models import Model
from lcl_spiders import health
from lcl_spiders.console import CommandFailed
from lcl_spiders.extensions.alerts import alerts
from lcl_spiders.extensions.verdict import Verdict
from lcl_spiders.ledger import Price
from lcl_spiders.reembedding.asked import Asked, chosen
from lcl_spiders.reembedding.display import Display
from lcl_spiders.reembedding.shown import as_table, estimate_lines, summary_table
from pipelines.chunker import Chunk, Chunker
from pipelines.reembedding.build import CutPage, Progress, cut_all, groups
from pipelines.reembedding.estimate import reckoned, sampled_lengths

ACTIVE = Model(1, "openai", "small", 1536, "markdown-1000-v1", "active", "http://127.0.0.1/v1", "SMALL_KEY")
RETIRED = Model(2, "local", "l2", 256, "markdown-1000-v1", "retired")
FINE = Model(3, "openai", "small", 1536, "markdown-500-v1", "building", "http://127.0.0.1/v1", "SMALL_KEY")
STORED = [ACTIVE, RETIRED, FINE]
COVERAGE = ModelCoverage(3, "openai", "small", 1536, "markdown-500-v1", "building", None, 10, 7, 2, 1, 70, 1000, 0)


class TestTheModelThatIsMeant:
    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            (Asked(), FINE),
            (Asked(provider="local"), RETIRED),
            (Asked(chunk_size=500), FINE),
            (Asked(provider="openai", model="small"), FINE),
            (Asked(chunk_size=1000, model="small"), ACTIVE),
            (Asked(dimensions=1536), FINE),
        ],
        ids=[
            "the one being built",
            "the way back",
            "other chunks",
            "one beside the active",
            "the active one itself",
            "its own length",
        ],
    )
    def test_a_stored_one_that_fits_is_meant(self, asked, found):
        assert chosen(asked, STORED) == found

    def test_what_is_left_open_of_a_new_one_is_as_the_active_one_has_it(self):
        made = chosen(Asked(chunk_size=700), STORED)
        assert (made.id, made.provider, made.name, made.chunker_version) == (0, "openai", "small", "markdown-700-v1")
        assert (made.base_url, made.api_key_env, made.asks_dimensions) == ("http://127.0.0.1/v1", "SMALL_KEY", False)

    def test_without_a_name_no_other_model_is_meant_because_it_happens_to_fit(self):
        other = replace(RETIRED, chunker_version="markdown-700-v1")
        made = chosen(Asked(chunk_size=700), [*STORED, other])
        assert (made.id, made.provider, made.name) == (0, "openai", "small")

    def test_an_address_alone_is_that_of_the_model_being_built(self):
        assert chosen(Asked(base_url="http://127.0.0.1:1/v1"), STORED) == replace(
            FINE, base_url="http://127.0.0.1:1/v1"
        )

    def test_another_model_has_neither_the_address_nor_the_length_of_the_active_one(self):
        made = chosen(Asked(model="large"), [replace(ACTIVE, asks_dimensions=True)])
        assert (made.name, made.dimensions, made.base_url, made.api_key_env) == ("large", 0, None, None)
        assert not made.asks_dimensions

    def test_a_length_that_was_asked_for_is_kept_for_other_chunks(self):
        made = chosen(Asked(chunk_size=700), [replace(ACTIVE, asks_dimensions=True)])
        assert (made.dimensions, made.asks_dimensions) == (1536, True)

    def test_an_address_that_is_given_replaces_the_stored_one(self):
        assert (
            chosen(Asked(chunk_size=500, base_url="http://127.0.0.1:1/v1"), STORED).base_url == "http://127.0.0.1:1/v1"
        )

    @pytest.mark.parametrize(
        ("stored", "says"),
        [
            ([], "no model yet"),
            ([ACTIVE, RETIRED], "no other is being built: say which model"),
            ([ACTIVE, FINE, replace(RETIRED, state="building")], "several models are being built"),
        ],
    )
    def test_without_one_that_could_be_meant_it_says_so(self, stored, says):
        with pytest.raises(CommandFailed, match=says):
            chosen(Asked(), stored)


class TestEstimates:
    WORK = Workload(pages=10, texts=80, stored=20, characters=64_000, tokens=16_000, uncounted=0)

    def test_with_the_same_chunks_it_is_exact(self):
        told = reckoned(self.WORK, None, 0.5)
        assert (told.texts, told.stored, told.tokens, told.is_exact, told.is_counted) == (80, 20, 16_000, True, True)
        assert told.money == pytest.approx(0.008)

    def test_with_other_chunks_it_goes_by_their_length(self):
        told = reckoned(self.WORK, [300, 500], None)
        assert (told.texts, told.tokens, told.is_exact, told.money) == (160, 16_000, False, None)

    def test_what_no_provider_counted_is_guessed_and_said_to_be(self):
        told = reckoned(replace(self.WORK, tokens=0, uncounted=64_001), None, None)
        assert (told.tokens, told.is_counted) == (16_001, False)
        assert any("guessed" in line for line in estimate_lines(FINE, told))

    def test_what_is_more_than_a_day_may_spend_is_said_before(self):
        told = reckoned(self.WORK, None, None)
        assert any("several, a call each" in line for line in estimate_lines(FINE, told, per_day=15_999))
        assert not any("several" in line for line in estimate_lines(FINE, told, per_day=16_000))

    def test_batches_are_told_at_half_the_price_and_at_once_with_what_waits_for_one(self):
        told = reckoned(self.WORK, None, 0.25)
        by_batch = "\n".join(estimate_lines(FINE, told, Price(0.5, "USD"), by_batch=True))
        assert "80 texts to leave to batches; 20 more are stored with it or wait for a batch already" in by_batch
        assert "about 0.0040 USD, by LCL_PRICE_PER_MILLION_TOKENS, at half of it for batches" in by_batch
        assert "60 of these texts wait for a batch" in "\n".join(estimate_lines(FINE, told, waiting=60))

    def test_lengths_are_those_of_the_chunks(self):
        assert sampled_lengths(Chunker(100), [("word " * 60, None)]) == [
            len(chunk.text) for chunk in Chunker(100).cut("word " * 60)
        ]


def pages(*counts: int) -> list[CutPage]:
    return [
        CutPage(
            PendingPage(number, UUID(int=1), f"https://example.org/{number}", None, None, "", b"", was_tried=False),
            [Chunk(bytes([number, at]), "", None) for at in range(count)],
        )
        for number, count in enumerate(counts)
    ]


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 12))
def test_groups_hold_every_page_once_in_order_and_no_more_than_they_need(counts, size):
    made = list(groups(pages(*counts), size))
    assert [each.page.id for group in made for each in group] == list(range(len(counts)))
    for group in made[:-1]:
        assert sum(len(each.chunks) for each in group) >= size
        assert sum(len(each.chunks) for each in group[:-1]) < size


def test_a_page_that_cannot_be_cut_is_a_refusal_of_its_own():
    page = replace(pages(1)[0].page, content="\ud800 half a character")
    (cut,) = cut_all(Chunker(1000), [page])
    assert cut.failure is not None
    assert "cannot be cut" in cut.failure


def test_progress_is_told_in_lines_where_there_is_no_terminal():
    now = iter([0.0, 1.0, 20.0])
    out = io.StringIO()
    with Display(Console(file=out, width=160), is_silent=False, clock=lambda: next(now)) as display:
        display.total = 400
        for done in (0, 10, 100):
            display.progress(Progress(pages=done, embedded=done * 8))
    assert out.getvalue() == "covering pages: 100 of 400, 5 a second, 60 s left; 800 texts embedded, 0 pages refused\n"


def test_a_bar_is_drawn_on_a_terminal():
    out = io.StringIO()
    with Display(Console(file=out, width=160, force_terminal=True), is_silent=False) as display:
        display.total = 400
        display.progress(Progress(pages=100))
        display.stop()
    assert "100/400" in out.getvalue()


def test_nothing_is_shown_where_json_is_wanted():
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=True), is_silent=True) as display:
        display.progress(Progress(pages=1))
    assert out.getvalue() == ""


def test_models_are_listed_with_what_they_cover():
    out = io.StringIO()
    Console(file=out, width=160).print(as_table([COVERAGE]))
    for told in ("openai/small", "building", "7", "10", "70"):
        assert told in out.getvalue()


def test_models_are_summed_up_with_how_far_they_have_come():
    out = io.StringIO()
    summary = ModelSummary(3, "openai", "small", 1536, "markdown-500-v1", "building", 10, 7, 70, is_estimate=True)
    Console(file=out, width=160).print(summary_table([summary]))
    assert out.getvalue().splitlines()[1].split() == [
        "openai/small",
        "1,536",
        "markdown-500-v1",
        "building",
        "7",
        "10",
        "70",
    ]


@pytest.mark.parametrize(
    ("changed", "covered", "state", "says"),
    [(2, 7, "note", "2 have changed since"), (0, 7, "note", "covers 7 of 10"), (0, 10, "ok", "covers 10 of 10")],
    ids=["coverage falls", "not yet", "complete"],
)
def test_a_model_that_is_being_built_is_told_of(changed, covered, state, says):
    (finding,) = health.beside(
        [replace(COVERAGE, changed=changed, covered=covered), replace(COVERAGE, state="retired")]
    )
    assert finding.state == state
    assert says in finding.found


@pytest.mark.parametrize(
    ("counter", "name"), [("pages/uncovered", "uncovered_pages"), ("building/unavailable", "building_left_behind")]
)
def test_coverage_that_falls_raises_an_alert(counter, name):
    ended = Verdict("succeeded", "finished", None, blame=True)
    assert [alert["name"] for alert in alerts({counter: 2}, ended)] == [name]
    assert alerts({counter: 0}, ended) == []
