from types import SimpleNamespace

import pytest

from lcl_spiders.extensions.verdict import Verdict, excused, judge, may_be_excused
from pipelines.arguments import RunArguments


def run(stop=None, start_failure=None, start_kind=None, limited=False, usual_yield=None, arguments=None, **counters):
    return SimpleNamespace(
        stop_reason=stop,
        stop_message=stop and f"because of {stop}",
        start_failure=start_failure,
        start_reason="site_unreachable",
        start_kind=start_kind,
        has_left_out=lambda: limited,
        counter=lambda name: counters.get(name.removeprefix("pages/"), 0),
        usual_yield=usual_yield,
        arguments=RunArguments(**(arguments or {})),
        source=SimpleNamespace(start_url="https://example.org/", slug="example"),
        config=SimpleNamespace(max_failure_share=0.5),
    )


@pytest.mark.parametrize(
    ("counters", "status", "reason", "blame"),
    [
        ({"new": 3}, "succeeded", "finished", True),
        ({"unchanged": 3}, "succeeded", "finished", True),
        ({"skipped_recent": 3}, "succeeded", "finished", True),
        ({"new": 3, "unknown": 3}, "succeeded", "finished", True),
        ({"new": 3, "unknown": 2, "failed": 2}, "failed", "too_many_failures", None),
        ({"unknown": 1}, "failed", "site_unreachable", False),
        ({"failed": 5}, "failed", "too_many_failures", None),
        ({"new": 3, "limited": True}, "succeeded", "max_pages", True),
        ({"gone": 5}, "failed", "yield_collapse", False),
        ({}, "failed", "yield_collapse", False),
    ],
)
def test_a_run_is_judged_by_what_it_found(counters, status, reason, blame):
    verdict = judge(run(**counters), "finished")
    assert (verdict.status, verdict.reason, verdict.blame) == (status, reason, blame)


def test_a_start_url_that_did_not_answer_fails_the_run_whatever_else_did():
    verdict = judge(run(start_failure="timeout", new=10), "finished")
    assert (verdict.status, verdict.reason, verdict.blame) == ("failed", "site_unreachable", False)


@pytest.mark.parametrize("reason", ["lock_lost", "provider_unavailable", "database_unavailable", "mass_delete_refused"])
def test_a_fault_of_ours_is_never_blamed_on_the_source(reason):
    verdict = judge(run(stop=reason, new=1), reason)
    assert (verdict.status, verdict.reason, verdict.blame) == ("failed", reason, None)


def test_a_crawl_that_was_interrupted_did_not_succeed():
    assert judge(run(new=100), "shutdown").status == "failed"


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict("succeeded", "finished", None, True), 0),
        (Verdict.refusal("domain_locked", "busy"), 75),
        (Verdict.refusal("schema_outdated", "old"), 1),
        (Verdict.failure("site_unreachable", "no"), 1),
    ],
)
def test_the_exit_code_is_honest(verdict, code):
    assert verdict.exit_code == code


def test_a_busy_domain_is_skipped_and_not_a_failure():
    verdict = Verdict.refusal("domain_locked", "busy")
    assert (verdict.status, verdict.blame) == ("skipped", None)


def test_a_run_that_finds_fewer_than_half_of_the_usual_pages_fails_and_says_how_to_accept_it():
    verdict = judge(run(usual_yield=20.4, unchanged=4, not_modified=3, skipped_recent=3, gone=8), "finished")
    assert (verdict.status, verdict.reason, verdict.blame) == ("failed", "yield_collapse", False)
    assert "10 pages" in verdict.message
    assert "the 20 that" in verdict.message
    assert "allow_mass_delete=true" in verdict.message


@pytest.mark.parametrize(
    "circumstances",
    [
        {"new": 10},
        {"new": 5, "skipped_lastmod": 5},
        {"new": 9, "limited": True},
        {"new": 9, "arguments": {"max_pages": 9}},
        {"new": 9, "arguments": {"allow_mass_delete": True}},
        {"new": 9, "usual_yield": None},
    ],
)
def test_half_of_the_usual_pages_is_enough_and_so_is_less_where_it_was_asked_for(circumstances):
    assert judge(run(**{"usual_yield": 20.0, **circumstances}), "finished").status == "succeeded"


def test_pages_that_could_not_be_read_are_a_plainer_reason_than_too_few_of_them():
    assert judge(run(usual_yield=20.0, new=4, unknown=16), "finished").reason == "too_many_failures"
    assert judge(run(usual_yield=20.0, unknown=20), "finished").reason == "site_unreachable"
    assert judge(run(stop="mass_delete_refused", usual_yield=20.0, new=4), "finished").reason == "mass_delete_refused"


@pytest.mark.parametrize(
    ("circumstances", "is_possible"),
    [
        ({"start_failure": "no", "start_kind": "dns"}, True),
        ({"start_failure": "no", "start_kind": "timeout"}, True),
        ({"stop": "robots_unavailable", "start_kind": "no_answer"}, True),
        ({"start_failure": "no", "start_kind": "connection_refused"}, False),
        ({"start_failure": "it answered 503"}, False),
        ({"stop": "provider_unavailable", "start_kind": "dns"}, False),
        ({"new": 3, "start_kind": "dns"}, False),
    ],
)
def test_a_failure_for_want_of_any_answer_may_be_this_machines(circumstances, is_possible):
    failed = run(**circumstances)
    assert may_be_excused(failed, judge(failed, "finished")) is is_possible


def test_a_source_is_not_blamed_for_a_machine_that_is_cut_off():
    verdict = excused(judge(run(start_failure="there is no such host.", start_kind="dns"), "finished"))
    assert (verdict.status, verdict.reason, verdict.blame) == ("failed", "network_unavailable", None)
    assert "no such host. This machine is cut off" in verdict.message
