"""What reads a run's counters: the ledger (C7), the check of its yield (A21) and the alerts (A17)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from db import history, jobs, overview, sources
from lcl_spiders.local_site import LocalSite, Page
from tests.support.postgres import rows
from tests.support.scrapy import Completed, run_scrapy
from tests.support.site import html, prose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection
    from db.sources import Source

NAMES = [f"/p{n}" for n in range(8)]
ONCE = {"RETRY_TIMES": "0"}


@pytest.fixture
def site() -> Iterator[LocalSite]:
    """Nine pages: too few for the guard against mass deletion."""
    with LocalSite({name: html(name, prose(name, 2)) for name in NAMES}) as running:
        running["/"] = html("All", prose("all"), links=NAMES)
        yield running


def crawl(site: LocalSite, database_url: str, *arguments: str, **options: Any) -> Completed:
    spargs = [part for argument in arguments for part in ("-a", argument)]
    return run_scrapy(
        "crawl", "website", "-a", f"url={site.url('/')}", *spargs, database_url=database_url, settings=ONCE, **options
    )


async def alerts_of_last_run(connection: Connection) -> tuple[str, list[str]]:
    query = "SELECT finish_reason, stats -> 'alerts' FROM scrape_jobs ORDER BY queued_at DESC LIMIT 1"
    ((reason, raised),) = await rows(connection, query)
    return reason, [alert["name"] for alert in raised]


async def record(connection: Connection, source: Source, present: int = 0, **columns: Any) -> None:
    """Store a run that ended; runs are stored in the order in which they ran."""
    values = {"status": "succeeded", "finish_reason": "finished", "args": {}, "stats": {}, **columns}
    values["stats"] = {"pages/unchanged": present, "pages/gone": 100, "alerts": [], **values["stats"]}
    await connection.execute(
        """
        INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, args, stats, queued_at)
        VALUES (%s, 'manual', %s, %s, %s, %s, clock_timestamp())
        """,
        (source.id, values["status"], values["finish_reason"], Jsonb(values["args"]), Jsonb(values["stats"])),
    )


def status(database_url: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
    ended = run_scrapy("status", *arguments, "--json", database_url=database_url, env=env)
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


# The usual yield.


async def test_a_source_without_a_success_has_no_usual_yield(connection: Connection, source: Source) -> None:
    await record(connection, source, 10, status="failed", finish_reason="too_many_failures")
    assert await history.usual_yield(connection, source.id) is None


async def test_the_usual_yield_is_the_average_of_the_last_five_successes(
    connection: Connection, source: Source
) -> None:
    for present in (1000, 10, 20, 30, 40, 50):
        await record(connection, source, present)
        await record(connection, source, 7, status="failed", finish_reason="lock_lost")
    other, _ = await sources.add(connection, "https://other.org/")
    await record(connection, other, 5)
    assert await history.usual_yield(connection, source.id) == 30


async def test_every_kind_of_present_page_counts_and_no_other(connection: Connection, source: Source) -> None:
    await record(connection, source, 1, stats=dict.fromkeys([*jobs.PRESENT, "pages/unknown", "chunks/total"], 2))
    assert await history.usual_yield(connection, source.id) == 2 * len(jobs.PRESENT)


async def test_limited_runs_and_reembeddings_do_not_change_what_is_usual(
    connection: Connection, source: Source
) -> None:
    await record(connection, source, 10, args={"max_pages": None, "reembed": False})
    await record(connection, source, 2, finish_reason="max_pages")
    await record(connection, source, 2, args={"max_pages": 2})
    await record(connection, source, 20, args={"reembed": True})
    assert await history.usual_yield(connection, source.id) == 10


async def test_a_shrinking_that_was_allowed_is_the_new_beginning(connection: Connection, source: Source) -> None:
    await record(connection, source, 100)
    await record(connection, source, 10, args={"allow_mass_delete": True})
    assert await history.usual_yield(connection, source.id) == 10
    await record(connection, source, 20)
    await record(connection, source, 90, args={"allow_mass_delete": True}, status="failed", finish_reason="lock_lost")
    assert await history.usual_yield(connection, source.id) == 15


# Crawls.


async def test_a_site_that_loses_most_of_its_pages_below_the_guard_fails_until_that_is_allowed(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    assert crawl(site, database_url).code == 0
    for name in NAMES[:4]:
        del site[name]
    for name in NAMES[4:7]:
        site[name] = Page(html(name, prose(name, 2)), headers={"X-Robots-Tag": "noindex"})

    collapsed = crawl(site, database_url)
    assert collapsed.code == 1
    assert "2 pages are present, fewer than half of the 9" in collapsed.stderr
    assert await alerts_of_last_run(connection) == ("yield_collapse", ["yield_collapse"])
    assert await rows(connection, "SELECT consecutive_failures FROM scraper_sources") == [(1,)]

    assert crawl(site, database_url, "allow_mass_delete=true").code == 0
    assert crawl(site, database_url).code == 0
    assert await alerts_of_last_run(connection) == ("finished", [])


async def test_a_limited_run_is_not_taken_for_a_collapse(site: LocalSite, database_url: str) -> None:
    assert crawl(site, database_url).code == 0
    assert crawl(site, database_url, "max_pages=2").code == 0


async def test_a_share_of_failures_above_a_tenth_raises_an_alert_that_status_shows(
    site: LocalSite, database_url: str, connection: Connection
) -> None:
    assert crawl(site, database_url).code == 0
    for name in NAMES[:2]:
        site[name] = Page("", status=503)

    ended = crawl(site, database_url)
    assert ended.code == 0
    assert "alert failure_rate: 2 of 9 pages could not be read" in ended.stderr
    assert await alerts_of_last_run(connection) == ("finished", ["failure_rate"])
    shown = run_scrapy("status", site.domain, database_url=database_url)
    assert "alert failure_rate: 2 of 9 pages could not be read" in shown.stdout
    (newest, first) = status(database_url, site.domain)["runs"]
    assert [alert["name"] for alert in newest["stats"]["alerts"]] == ["failure_rate"]
    assert first["stats"]["alerts"] == []


async def test_a_refused_mass_deletion_is_an_alert_told_once(database_url: str, connection: Connection) -> None:
    names = [f"/p{n}" for n in range(12)]
    with LocalSite({name: html(name, prose(name, 1)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        assert crawl(site, database_url).code == 0
        for name in names:
            del site[name]
        assert crawl(site, database_url).code == 1
        assert await alerts_of_last_run(connection) == ("mass_delete_refused", ["mass_delete_refused"])
        shown = run_scrapy("status", site.domain, database_url=database_url).stdout
    assert shown.count("allow_mass_delete=true") == 1
    assert "alert mass_delete_refused: 12 of 13 pages look gone" in shown


async def test_a_crawl_ends_with_its_ledger_and_with_money_when_there_is_a_price(
    site: LocalSite, database_url: str
) -> None:
    _, header, spent, *_, saved = crawl(site, database_url).stdout.splitlines()
    assert header.split() == ["ledger", "pages", "requests", "bytes", "chunks", "tokens"]
    assert (spent.split()[0], saved.split()[0]) == ("spent", "saved")

    priced = crawl(
        site, database_url, "reembed=true", env={"LCL_PRICE_PER_MILLION_TOKENS": "1000000", "LCL_PRICE_CURRENCY": "kr."}
    ).stdout
    _, header, spent, *_ = priced.splitlines()
    assert header.split()[-1] == "kr."
    assert spent.split()[-1] == f"{spent.split()[-2]}.0000"


async def test_a_run_that_fails_after_it_began_prints_what_it_spent(site: LocalSite, database_url: str) -> None:
    site["/"] = Page("", status=503)
    ended = crawl(site, database_url)
    assert ended.code == 1
    assert "site_unreachable" in ended.stderr.splitlines()[-1]
    assert ended.stdout.splitlines()[1].startswith("spent")


@pytest.mark.parametrize("command", [("crawl", "website", "-a", "url=https://example.org/"), ("status",)])
async def test_a_price_that_is_no_number_is_one_line(database_url: str, command: tuple[str, ...]) -> None:
    ended = run_scrapy(*command, database_url=database_url, env={"LCL_PRICE_PER_MILLION_TOKENS": "much"})
    assert (ended.code, ended.stdout) == (1, "")
    assert "LCL_PRICE_PER_MILLION_TOKENS is 'much'" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


# The sum over runs.


async def test_the_ledger_sums_the_numbers_of_all_recorded_runs_of_one_source_or_of_all(
    connection: Connection, source: Source
) -> None:
    other, _ = await sources.add(connection, "https://other.org/")
    alert = [{"name": "failure_rate", "message": "…"}]
    await record(connection, source, stats={"requests/sent": 3, "saved/body/bytes": 4_000_000_000, "alerts": alert})
    await record(connection, source, status="failed", stats={"requests/sent": 4, "saved/body/bytes": 1, "note": "no"})
    await record(connection, source, status="skipped", finish_reason="domain_locked")
    await record(connection, source, status="running", finish_reason=None)
    await record(connection, other, stats={"requests/sent": 5})

    own, everything = await overview.ledger(connection, source.id), await overview.ledger(connection)

    assert own == overview.Ledger(
        2, {"requests/sent": 7, "saved/body/bytes": 4_000_000_001, "pages/unchanged": 0, "pages/gone": 200}
    )
    assert (everything.runs, everything.counters["requests/sent"]) == (3, 12)


async def test_status_prints_the_sum_of_what_each_rung_saved(
    database_url: str, connection: Connection, source: Source
) -> None:
    run = {"requests/sent": 3, "tokens/embedded": 100, "saved/lastmod/pages": 9, "saved/lastmod/tokens": 2_000_000}
    await record(connection, source, stats=run)
    await record(connection, source, stats={**run, "pages/skipped_lastmod": 9, "pages/not_modified": 2})

    shown = run_scrapy("status", database_url=database_url).stdout
    table = [line.split() for line in shown[shown.index("all recorded runs (2)") :].splitlines()[2:]]
    assert table == [
        ["spent", "6", "0", "bytes", "0", "200"],
        ["lastmod", "unchanged", "18", "4,000,000"],
        ["saved", "18", "0", "0", "bytes", "0", "4,000,000"],
    ]
    assert "2 not modified, 9 skipped by lastmod" in shown

    told = status(database_url, source.slug, env={"LCL_PRICE_PER_MILLION_TOKENS": "0.5"})["ledger"]
    assert (told["runs"], told["counters"]["saved/lastmod/pages"]) == (2, 18)
    assert told["money"] == {"price_per_million_tokens": 0.5, "currency": "USD", "spent": 0.0001, "saved": 2.0}
    assert status(database_url)["ledger"]["money"] is None


async def test_status_without_a_run_shows_no_ledger(database_url: str, source: Source) -> None:
    shown = run_scrapy("status", database_url=database_url)
    assert (shown.code, "spent" in shown.stdout, "recorded" in shown.stdout) == (0, False, False)
    assert status(database_url)["ledger"] == {"runs": 0, "counters": {}, "money": None}
