"""The commands, as an operator runs them: arguments in, text or JSON and an exit code out."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lcl_spiders.local_site import LocalSite
from tests.support.scrapy import Completed, run_scrapy

PAGES = {
    "/": '<html lang="en"><title>Tide club</title><h1>Tide club</h1><p>We meet at low water.</p>'
    '<a href="/boats">Boats</a> <a href="/knots">Knots</a> <a href="/broken">Broken</a></html>',
    "/boats": '<html lang="en"><title>Boats</title><h1>Boats</h1><h2>Repair</h2>'
    "<p>The boatyard mends wooden hulls with larch planks and copper rivets, all winter long.</p></html>",
    "/knots": '<html lang="en"><title>Knots</title><h1>Knots</h1>'
    "<p>A bowline makes a loop that neither slips nor jams; sailors tie it with one hand.</p></html>",
}


@pytest.fixture(scope="module")
def site() -> Iterator[LocalSite]:
    """Three pages, and a link to one that answers 503."""
    with LocalSite(PAGES) as running:
        running["/broken"] = running.not_found.__class__("try later", status=503)
        yield running


@pytest.fixture(scope="module")
def indexed(site: LocalSite, make_database: Callable[[str], str], template: str) -> str:
    """The name of a database into which the site was crawled once."""
    url = make_database(template)
    ended = run_scrapy("crawl", "website", "-a", f"url={site.url()}", database_url=url, settings={"RETRY_ENABLED": "0"})
    assert ended.code == 0, ended.stderr
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def index_url(indexed: str, make_database: Callable[[str], str]) -> str:
    """A copy of the crawled database, for one test to change."""
    return make_database(indexed)


@pytest.fixture(scope="module")
def read_only_url(indexed: str, make_database: Callable[[str], str]) -> str:
    """A copy of the crawled database that no test changes."""
    return make_database(indexed)


@pytest.fixture(scope="module")
def empty_url(template: str, make_database: Callable[[str], str]) -> str:
    """A migrated database that no test changes."""
    return make_database(template)


def execute(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def add_source(url: str, slug: str) -> None:
    execute(
        url,
        "INSERT INTO scraper_sources (slug, start_url, domain) VALUES (%s, %s, 'example.org')",
        slug,
        f"https://example.org/{slug}",
    )


def answer(*arguments: str, database_url: str, env: dict[str, str] | None = None) -> Any:
    """Run a command that succeeds with `--json`, and return what it printed."""
    ended = run_scrapy(*arguments, "--json", database_url=database_url, env=env)
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


def refused(ended: Completed, code: int = 1) -> str:
    """Return what a command that failed said, in one line on stderr and without a traceback."""
    assert ended.code == code
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    return ended.stderr


# sources


def test_an_added_source_is_listed(database_url: str) -> None:
    run_scrapy("sources", "add", "https://example.org/", "--slug", "example", database_url=database_url)
    (source,) = answer("sources", "list", database_url=database_url)
    assert (source["slug"], source["start_url"], source["enabled"]) == ("example", "https://example.org/", True)


def test_adding_a_known_site_changes_nothing(database_url: str) -> None:
    run_scrapy("sources", "add", "https://example.org/", "--slug", "first", database_url=database_url)
    before = execute(database_url, "SELECT * FROM scraper_sources")
    again = run_scrapy(
        "sources", "add", "HTTPS://Example.org", "--slug", "second", "--disabled", database_url=database_url
    )
    assert again.code == 0
    assert "already known as first" in again.stdout
    assert execute(database_url, "SELECT * FROM scraper_sources") == before


def test_an_unknown_kind_of_source_is_refused_with_the_kinds_there_are(empty_url: str) -> None:
    ended = run_scrapy("sources", "add", "https://example.org/", "--spider", "gopher", database_url=empty_url)
    assert "website" in refused(ended)


def test_a_wrong_setting_is_refused_with_the_settings_there_are(empty_url: str) -> None:
    ended = run_scrapy("sources", "add", "https://example.org/", "--set", "max_page=5", database_url=empty_url)
    assert "max_pages" in refused(ended)


def test_settings_given_with_set_are_stored(database_url: str) -> None:
    settings = ("--set", "max_pages=5", "--set", "deny=/login", "--set", "deny=[0-9]{4}")
    added = answer("sources", "add", "https://example.org/", *settings, database_url=database_url)
    assert added["config"] == {"max_pages": 5, "deny": ["/login", "[0-9]{4}"]}


def test_a_source_is_shown_by_its_id(read_only_url: str) -> None:
    ((source_id,),) = execute(read_only_url, "SELECT id::text FROM scraper_sources")
    shown = answer("sources", "show", source_id, database_url=read_only_url)
    assert (shown["id"], shown["pages"], shown["failed_pages"]) == (source_id, 3, 1)


def test_show_tells_settings_runs_and_failed_pages(read_only_url: str, site: LocalSite) -> None:
    shown = run_scrapy("sources", "show", site.domain, database_url=read_only_url).stdout
    assert "10000 (default)" in shown
    assert "succeeded" in shown
    assert site.url("/broken") in shown


def test_a_domain_with_several_sources_is_refused_with_their_slugs(database_url: str) -> None:
    for slug in ("one", "two"):
        add_source(database_url, slug)
    ended = run_scrapy("sources", "disable", "example.org", database_url=database_url)
    assert "one, two" in refused(ended)


def test_a_part_of_a_name_names_no_source(read_only_url: str) -> None:
    assert "'127.0.0'" in refused(run_scrapy("sources", "show", "127.0.0", database_url=read_only_url))


def test_enabling_a_source_ends_its_backoff(index_url: str, site: LocalSite) -> None:
    execute(
        index_url,
        "UPDATE scraper_sources SET consecutive_failures = 4, auto_disabled = true, backoff_until = now() + '1 day'",
    )
    enabled = answer("sources", "enable", site.domain, database_url=index_url)
    assert (enabled["consecutive_failures"], enabled["auto_disabled"], enabled["backoff_until"]) == (0, False, None)


def test_a_disabled_source_is_not_available(index_url: str, site: LocalSite) -> None:
    run_scrapy("sources", "disable", site.domain, database_url=index_url)
    assert execute(index_url, "SELECT slug FROM scraper_sources_available") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("sources", "forget", "example"),
        ("sources", "set", "example"),
        ("sources", "remove", "example", "--prune"),
        ("migrate", "--down", "some"),
        ("search",),
        ("doctor", "--jsno"),
    ],
    ids=" ".join,
)
def test_a_call_that_makes_no_sense_exits_2(arguments: tuple[str, ...]) -> None:
    ended = run_scrapy(*arguments, database_url="postgresql://nobody@127.0.0.1:1/none")
    assert ended.code == 2
    assert f"scrapy {arguments[0]}" in ended.stderr


@pytest.mark.parametrize("command", [("migrate",), ("search", "words")])
def test_a_database_that_does_not_answer_is_told_in_a_line(command: tuple[str, ...]) -> None:
    ended = run_scrapy(*command, database_url="postgresql://nobody:secret@127.0.0.1:1/none")
    assert "cannot reach the database" in refused(ended)
    assert "secret" not in ended.stderr


def test_a_wrong_project_setting_is_told_in_a_line(empty_url: str) -> None:
    ended = run_scrapy("status", database_url=empty_url, env={"LCL_CHUNK_SIZE": "big"})
    assert "LCL_CHUNK_SIZE is 'big'" in refused(ended)


# migrate


def test_a_foreign_database_is_not_migrated_unasked(empty_database_url: str) -> None:
    assert "scrapy migrate" in refused(run_scrapy("status", database_url=empty_database_url))


def test_migrate_applies_everything_once(empty_database_url: str) -> None:
    first = answer("migrate", database_url=empty_database_url)["applied"]
    assert first[0] == "0001.sources"
    assert answer("migrate", database_url=empty_database_url) == {"applied": []}


def test_migrate_status_tells_pending_from_applied(database_url: str) -> None:
    taken = answer("migrate", "--down", "1", database_url=database_url)["taken_back"]
    shown = run_scrapy("migrate", "--status", database_url=database_url).stdout.splitlines()
    assert shown[0] == "applied  0001.sources"
    assert shown[-1] == f"pending  {taken[0]}"


def test_migrate_down_all_leaves_none_of_our_tables(database_url: str) -> None:
    run_scrapy("migrate", "--down", "all", database_url=database_url)
    assert execute(database_url, "SELECT to_regclass('scraper_sources')") == [(None,)]


# search


def test_search_finds_a_page_by_its_meaning_and_words(read_only_url: str, site: LocalSite) -> None:
    best, *_ = answer("search", "who can fix the planks of my ship", database_url=read_only_url)
    assert best["url"] == site.url("/boats")
    assert "larch planks" in best["content"]


def test_search_prints_the_promised_fields(read_only_url: str) -> None:
    (best,) = answer("search", "bowline", "--limit", "1", database_url=read_only_url)
    assert list(best) == ["url", "title", "heading", "content", "score", "source"]
    assert (best["title"], best["source"]) == (
        "Knots",
        execute(read_only_url, "SELECT slug FROM scraper_sources")[0][0],
    )


def test_search_keeps_to_the_source_that_is_named(index_url: str) -> None:
    add_source(index_url, "other")
    assert answer("search", "bowline", "--source", "other", database_url=index_url) == []


def test_search_keeps_to_what_its_filters_leave(read_only_url: str, site: LocalSite) -> None:
    narrowed = ("--language", "en", "--language", "nl", "--path", "/kn", "--since", "1d")
    (only,) = answer("search", "boats", *narrowed, database_url=read_only_url)
    assert only["url"] == site.url("/knots")

    ended = run_scrapy("search", "boats", "--language", "fi", "--path", "/kn", database_url=read_only_url)
    assert (ended.code, ended.stdout) == (0, "")
    assert "nothing found in fi, under /kn, in an index of 3 pages" in ended.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--language", "en-GB"), ("--path", "docs/"), ("--since", "yesterday"), ("--limit", "101")]
)
def test_a_filter_that_makes_no_sense_is_named(option: str, value: str) -> None:
    ended = run_scrapy("search", "boats", option, value, database_url="postgresql://nobody@127.0.0.1:1/none")
    assert ended.code == 2
    assert f"{option}: {value!r}" in ended.stderr


def test_an_empty_index_says_how_to_fill_it(empty_url: str) -> None:
    ended = run_scrapy("search", "anything", database_url=empty_url)
    assert (ended.code, ended.stdout) == (0, "")
    assert "scrapy crawl website -a url=" in ended.stderr


def test_search_asks_the_model_of_the_index_whatever_the_settings_name(read_only_url: str, site: LocalSite) -> None:
    other = {"LCL_EMBEDDING_PROVIDER": "openai", "OPENAI_API_KEY": "none", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    assert answer("search", "bowline", database_url=read_only_url, env=other)[0]["url"] == site.url("/knots")


def test_text_alone_is_searched_without_a_provider(index_url: str, site: LocalSite) -> None:
    execute(index_url, "UPDATE embedding_models SET provider = 'openai', base_url = 'http://127.0.0.1:1/v1'")
    (only,) = answer("search", "bowline", "--text-only", database_url=index_url)
    assert only["url"] == site.url("/knots")


# status


def test_status_tells_what_the_last_run_did(read_only_url: str) -> None:
    status = answer("status", database_url=read_only_url)
    (run,) = status["runs"]
    assert (status["sources"][0]["pages"], status["sources"][0]["last_status"]) == (3, "succeeded")
    assert (run["status"], run["stats"]["pages/new"], run["stats"]["pages/unknown"]) == ("succeeded", 3, 1)
    assert run["duration"] > 0


def test_status_of_a_source_lists_its_failed_pages(read_only_url: str, site: LocalSite) -> None:
    (failed,) = answer("status", site.domain, database_url=read_only_url)["failed_pages"]
    assert (failed["url"], failed["kind"], failed["attempts"]) == (site.url("/broken"), "http_503", 1)


def test_status_prints_a_ledger(read_only_url: str, site: LocalSite) -> None:
    shown = run_scrapy("status", site.domain, database_url=read_only_url).stdout
    assert "3 new, 1 unknown" in shown
    assert "embedded" in shown
    assert "http_503" in shown


# doctor


def doctor(database_url: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
    ended = run_scrapy("doctor", "--json", database_url=database_url, env=env)
    return ended.code, {finding["check"]: finding for finding in json.loads(ended.stdout)}


def test_doctor_finds_nothing_wrong_with_a_sound_index(read_only_url: str) -> None:
    code, findings = doctor(read_only_url)
    assert code == 0
    states = {check: finding["state"] for check, finding in findings.items()}
    assert states.pop("failures") == "note"
    assert set(states.values()) == {"ok"}


def test_doctor_names_a_broken_page_and_its_advice_repairs_it(index_url: str, site: LocalSite) -> None:
    execute(index_url, "DELETE FROM page_embeddings WHERE content ~ 'bowline'")
    code, findings = doctor(index_url)
    assert (code, findings["invariant"]["state"], findings["coverage"]["state"]) == (1, "wrong", "wrong")
    assert site.url("/knots") in findings["invariant"]["found"]
    advice = findings["invariant"]["advice"].split()
    assert run_scrapy(*advice[1:], database_url=index_url, settings={"RETRY_ENABLED": "0"}).code == 0
    assert doctor(index_url)[0] == 0


def test_doctor_closes_the_jobs_of_dead_processes(index_url: str) -> None:
    execute(
        index_url,
        "INSERT INTO scrape_jobs (source_id, trigger, status) SELECT id, 'manual', 'running' FROM scraper_sources",
    )
    assert doctor(index_url)[1]["jobs"]["state"] == "note"
    assert execute(index_url, "SELECT status FROM scrape_jobs WHERE finish_reason = 'lost'") == [("failed",)]


def test_doctor_tells_a_source_without_a_success_in_its_interval(index_url: str) -> None:
    execute(index_url, "UPDATE scraper_sources SET last_success_at = now() - interval '2 days'")
    code, findings = doctor(index_url)
    assert (code, findings["freshness"]["state"]) == (1, "wrong")


def test_doctor_tells_when_the_settings_name_another_model(read_only_url: str) -> None:
    code, findings = doctor(read_only_url, {"LCL_CHUNK_SIZE": "700"})
    assert (code, findings["provider"]["state"]) == (0, "note")
    assert "LCL_CHUNK_SIZE names markdown-700" in findings["provider"]["advice"]


def test_doctor_tells_how_far_a_model_is_that_is_being_built(index_url: str) -> None:
    execute(
        index_url,
        "INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state) "
        "VALUES ('local', 'other', 4, 'markdown-1000-v1', 'building')",
    )
    code, findings = doctor(index_url)
    assert (code, findings["building"]["state"]) == (0, "note")
    assert "covers 0 of 3 pages" in findings["building"]["found"]
    assert "scrapy reembed" in findings["building"]["advice"]


def test_doctor_tells_that_embeddings_beside_the_active_model_lack_their_manifest(index_url: str) -> None:
    execute(
        index_url,
        "WITH model AS (INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state) "
        "VALUES ('local', 'other', 256, 'markdown-1000-v1', 'building') RETURNING id) "
        "INSERT INTO page_embeddings (page_id, source_id, model_id, chunk_hash, content, embedding) "
        "SELECT page_id, source_id, model.id, chunk_hash, content, embedding FROM page_embeddings, model",
    )
    code, findings = doctor(index_url)
    assert (code, findings["invariant"]["state"]) == (1, "wrong")
    assert "under another model" in findings["invariant"]["found"]


def test_doctor_asks_for_search_indexes_until_a_crawl_has_built_them(index_url: str, site: LocalSite) -> None:
    few = {"LCL_INDEX_MIN_CHUNKS": "1"}
    assert doctor(index_url, few)[1]["indexes"]["state"] == "wrong"
    run_scrapy("crawl", site.domain, database_url=index_url, env=few, settings={"RETRY_ENABLED": "0"})
    assert doctor(index_url, few)[1]["indexes"]["state"] == "ok"


def test_doctor_tells_that_a_schema_is_old(empty_database_url: str) -> None:
    code, findings = doctor(empty_database_url)
    assert (code, findings["schema"]["state"]) == (1, "wrong")
    assert "scrapy migrate" in findings["schema"]["found"]


def test_doctor_tells_that_the_database_does_not_answer() -> None:
    code, findings = doctor("postgresql://nobody@127.0.0.1:1/none")
    assert (code, findings["database"]["state"]) == (1, "wrong")


# demo


def test_the_demo_is_as_expected_and_leaves_the_operators_database_alone(empty_url: str) -> None:
    shown = answer("demo", database_url=empty_url)
    assert shown["wrong"] == []
    assert [run["pages"]["new"] for run in shown["runs"]] == [13, 1]
    assert execute(empty_url, "SELECT count(*) FROM scraper_sources") == [(0,)]
