"""What a refresh believes of a site: validators and sitemaps (C1, C3, C6)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from db import pages
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import last_job, paths, snapshot, stats, statuses, succeeded
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy
from tests.support.site import html, prose, small_town

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_AGO = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
SOON = {"env": {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "1000000"}}
TOWN = ("/", "/harbour", "/library", "/market")


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


def sitemap(site: LocalSite, lastmods: dict[str, str]) -> None:
    entries = "".join(
        f"<url><loc>{site.url(path)}</loc><lastmod>{lastmod}</lastmod></url>" for path, lastmod in lastmods.items()
    )
    site["/robots.txt"] = Page(f"User-agent: *\nSitemap: {site.url('/sitemap.xml')}\n", content_type="text/plain")
    site["/sitemap.xml"] = Page(f"<urlset>{entries}</urlset>", content_type="application/xml")


def edited(path: str, word: str) -> str:
    topic = path.strip("/") or "town"
    return small_town()[path].replace(f"{topic} has its own", f"{topic} has its {word} own", 1)


async def test_validators_are_sent_once_they_have_earned_it_and_304_costs_no_body(site, database_url, connection):
    for run in range(3):
        site.reset()
        succeeded(site, database_url, **SOON)
        answered = {path: statuses(site)[path] for path in TOWN}
        assert answered == {path: [200 if run < 2 else 304] for path in TOWN}
    found = await stats(connection)
    assert (found["pages/not_modified"], found["pages/unchanged"], found["chunks/embedded"]) == (4, 0, 0)
    assert found["saved/not_modified/bytes"] == sum(len(body.encode()) for body in small_town().values())
    assert found["saved/not_modified/tokens"] > 0


async def test_trust_takes_three_runs_by_default(site, database_url, connection):
    rarely = {"env": {"LCL_TRUST_AUDIT_EVERY": "1000000"}}
    for _ in range(4):
        succeeded(site, database_url, **rarely)
        assert (await stats(connection))["pages/not_modified"] == 0
    succeeded(site, database_url, **rarely)
    assert (await stats(connection))["pages/not_modified"] == 4
    assert await rows(connection, "SELECT signal, agreed_runs FROM source_signals") == [("etag", 3)]


async def test_a_last_modified_alone_is_sent_as_it_was_written(site, database_url, connection):
    for path, body in small_town().items():
        site[path] = Page(body, etag=None, last_modified=LONG_AGO)
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site.reset()
    succeeded(site, database_url, **SOON)
    sent = {request.headers.get("if-modified-since") for request in site.requests if request.path in TOWN}
    assert sent == {"Wed, 01 May 2024 12:00:00 GMT"}
    assert (await stats(connection))["pages/not_modified"] == 4


async def test_an_unchanged_page_that_answers_304_still_leads_to_a_new_page(site, database_url, connection):
    site["/library"] = html("Library", prose("library"), links=["/late"])
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site["/late"] = html("Late", prose("late"))
    succeeded(site, database_url, **SOON)
    assert "/late" in await paths(connection, site)
    found = await stats(connection)
    assert (found["pages/new"], found["pages/not_modified"]) == (1, 4)


async def test_an_edited_page_is_read_and_the_others_answer_304(site, database_url, connection):
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site["/harbour"] = edited("/harbour", "very")
    succeeded(site, database_url, **SOON)
    found = await stats(connection)
    assert (found["pages/changed"], found["pages/not_modified"]) == (1, 3)
    assert found["chunks/embedded"] <= 2
    assert await value(connection, "SELECT count(*) FROM scraped_pages WHERE content LIKE '%%its very own%%'") == 1


async def test_an_etag_that_lies_is_never_believed(site, database_url, connection):
    site["/harbour"] = Page(small_town()["/harbour"], etag='"always"')
    succeeded(site, database_url, **SOON)
    site["/harbour"] = Page(edited("/harbour", "very"), etag='"always"')
    succeeded(site, database_url, **SOON)
    assert await rows(connection, "SELECT signal, agreed_runs, lies, last_lie_url FROM source_signals") == [
        ("etag", 0, 1, site.url("/harbour"))
    ]
    site["/harbour"] = Page(edited("/harbour", "quite"), etag='"always"')
    succeeded(site, database_url, **SOON)
    assert await value(connection, "SELECT count(*) FROM scraped_pages WHERE content LIKE '%%its quite own%%'") == 1


async def test_one_lie_found_by_an_audit_revokes_the_trust_and_all_it_spared_is_fetched_at_once(
    site, database_url, connection
):
    names = [f"/p{n}" for n in range(24)]
    for name in ("/", *names):
        links = names if name == "/" else []
        site[name] = Page(html(f"Page {name}", prose(f"topic{name[1:]}"), links=links), etag='"always"')
    every = {"env": {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "2"}}
    for _ in range(2):
        succeeded(site, database_url, **every)
    for name in names:
        body = html(f"Page {name}", [*prose(f"topic{name[1:]}"), f"All of this is new on {name}."])
        site[name] = Page(body, etag='"always"')
    succeeded(site, database_url, **every)
    found = await stats(connection)
    # Some of the pages were due for their audit: their lie was enough.
    assert found["signals/revoked"] == 1
    assert found["pages/asked_again"] >= 1
    assert found["pages/changed"] == 24
    assert found["pages/not_modified"] == 0
    assert (
        await value(connection, "SELECT count(*) FROM scraped_pages WHERE content LIKE '%%All of this is new%%'") == 24
    )
    assert await pages.broken_pages(connection) == []
    shown = run_scrapy("sources", "show", site.domain, database_url=database_url)
    assert "lied" in shown.stdout


async def test_each_page_is_downloaded_again_within_the_audit_interval(database_url, connection):
    names = [f"/p{n}" for n in range(20)]
    with LocalSite({name: html(name, prose(f"topic{name[2:]}", 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        every = {"env": {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "4"}}
        for _ in range(2):
            succeeded(site, database_url, **every)
        seen = dict.fromkeys(names, 0)
        for _ in range(4):
            site.reset()
            succeeded(site, database_url, **every)
            whole = [path for path, answers in statuses(site).items() if answers == [200] and path in seen]
            assert len(whole) < len(names) - 4  # spread over the runs
            for path in whole:
                seen[path] += 1
        assert set(seen.values()) == {1}


async def test_a_server_that_answers_304_whatever_happened_is_not_believed(site, database_url, connection):
    succeeded(site, database_url, **SOON)
    site["/harbour"] = Page(edited("/harbour", "very"), stubborn=True)  # with a new ETag, as is right
    succeeded(site, database_url, **SOON)
    assert await value(connection, "SELECT lies FROM source_signals WHERE signal = 'etag'") == 1


async def test_a_last_modified_that_is_renewed_at_every_fetch_is_never_stored(site, database_url, connection):
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    for path, body in small_town().items():
        site[path] = Page(body, etag=None, last_modified=soon)
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    assert await value(connection, "SELECT count(last_modified) FROM scraped_pages") == 0
    assert await rows(connection, "SELECT signal FROM source_signals") == []
    assert (await stats(connection))["pages/unchanged"] == 4


async def test_malformed_validators_are_counted_and_left_out(site, database_url, connection):
    site["/harbour"] = Page(small_town()["/harbour"], etag="unquoted")
    site["/market"] = Page(small_town()["/market"], headers={"Last-Modified": "yesterday, about noon"})
    succeeded(site, database_url)
    assert (await stats(connection))["validators/malformed"] == 2
    query = "SELECT etag IS NULL, last_modified IS NULL FROM scraped_pages WHERE url = %s"
    assert await rows(connection, query, site.url("/harbour")) == [(True, True)]


async def test_a_redirect_does_not_carry_the_validators_to_another_page(site, database_url, connection):
    for path, body in small_town().items():
        site[path] = Page(body, etag='"same"')
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site["/bazaar"] = Page(html("Bazaar", prose("bazaar")), etag='"same"')
    site["/market"] = Page("", status=301, headers={"Location": "/bazaar"})
    succeeded(site, database_url, **SOON)
    assert await paths(connection, site) == {"/", "/harbour", "/library", "/bazaar"}


async def test_force_rescrape_asks_for_the_pages_and_not_for_the_sites_word(site, database_url, connection):
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site.reset()
    succeeded(site, database_url, "force_rescrape=true", **SOON)
    assert {path: statuses(site)[path] for path in TOWN} == {path: [200] for path in TOWN}


async def test_pages_that_a_believed_sitemap_calls_unchanged_are_not_asked_for(site, database_url, connection):
    sitemap(site, dict.fromkeys(TOWN, "2024-05-01T12:00:00Z"))
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    before = await snapshot(connection)
    site.reset()
    succeeded(site, database_url, **SOON)
    assert set(statuses(site)) == {"/robots.txt", "/sitemap.xml"}
    found = await stats(connection)
    assert (found["pages/skipped_lastmod"], found["requests/sent"]) == (4, 0)
    assert found["saved/lastmod/requests"] == 4
    assert await snapshot(connection) == before


async def test_a_page_with_a_new_lastmod_is_asked_for_and_what_the_others_lead_to_as_well(
    site, database_url, connection
):
    site["/library"] = html("Library", prose("library"), links=["/late"])
    sitemap(site, dict.fromkeys(TOWN, "2024-05-01T12:00:00Z"))
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site["/harbour"] = edited("/harbour", "very")
    site["/late"] = html("Late", prose("late"))
    sitemap(site, {**dict.fromkeys(TOWN, "2024-05-01T12:00:00Z"), "/harbour": "2024-06-01T12:00:00Z"})
    succeeded(site, database_url, **SOON)
    found = await stats(connection)
    assert (found["pages/changed"], found["pages/new"], found["pages/skipped_lastmod"]) == (1, 1, 3)


async def test_a_sitemap_that_lies_is_found_out_and_what_it_spared_is_fetched(site, database_url, connection):
    sitemap(site, dict.fromkeys(TOWN, "2024-05-01T12:00:00Z"))
    every = {"env": {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "2"}}
    for _ in range(2):
        succeeded(site, database_url, **every)
    for path in TOWN[1:]:
        site[path] = edited(path, "very")
    for _ in range(2):
        succeeded(site, database_url, **every)
    assert await value(connection, "SELECT count(*) FROM scraped_pages WHERE content LIKE '%%its very own%%'") == 3
    assert await value(connection, "SELECT lies FROM source_signals WHERE signal = 'sitemap_lastmod'") == 1


async def test_a_page_that_a_believed_sitemap_calls_changed_is_read_whatever_its_etag_says(
    site, database_url, connection
):
    for path, body in small_town().items():
        site[path] = Page(body, etag='"always"')
    sitemap(site, dict.fromkeys(TOWN, "2024-05-01T12:00:00Z"))
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site["/harbour"] = Page(edited("/harbour", "very"), etag='"always"')
    sitemap(site, {**dict.fromkeys(TOWN, "2024-05-01T12:00:00Z"), "/harbour": "2024-06-01T12:00:00Z"})
    succeeded(site, database_url, **SOON)
    assert await value(connection, "SELECT count(*) FROM scraped_pages WHERE content LIKE '%%its very own%%'") == 1
    assert await rows(connection, "SELECT signal FROM source_signals WHERE lies > 0") == [("etag",)]


async def test_a_sitemap_that_calls_a_page_unchanged_which_is_gone_has_lied(database_url, connection):
    names = [f"/p{n}" for n in range(24)]
    with LocalSite({name: html(name, prose(f"topic{name[2:]}", 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        sitemap(site, dict.fromkeys(["/", *names], "2024-05-01T12:00:00Z"))
        every = {"env": {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "2"}}
        for _ in range(2):
            succeeded(site, database_url, **every)
        for name in names[:8]:
            del site[name]
        succeeded(site, database_url, **every)
        assert await paths(connection, site) == {"/", *names[8:]}
        found = await rows(connection, "SELECT signal, lies FROM source_signals WHERE signal = 'sitemap_lastmod'")
        assert found == [("sitemap_lastmod", 1)]


@pytest.mark.parametrize(
    "dates", [("2024-06-01T12:00:00Z", "2024-05-01T12:00:00Z"), ("2024-05-01T12:00:00Z", "2024-06-01T12:00:00Z")]
)
async def test_a_page_that_is_listed_with_two_dates_is_asked_for(site, database_url, connection, dates):
    sitemap(site, dict.fromkeys(TOWN, "2024-05-01T12:00:00Z"))
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site["/harbour"] = edited("/harbour", "very")
    entries = "".join(
        f"<url><loc>{site.url(path)}</loc><lastmod>{lastmod}</lastmod></url>"
        for path, lastmod in [(path, "2024-05-01T12:00:00Z") for path in TOWN if path != "/harbour"]
        + [("/harbour", each) for each in dates]
    )
    site["/sitemap.xml"] = Page(f"<urlset>{entries}</urlset>", content_type="application/xml")
    succeeded(site, database_url, **SOON)
    found = await stats(connection)
    assert (found["pages/changed"], found["pages/skipped_lastmod"]) == (1, 3)


async def test_a_header_that_asks_not_to_be_indexed_is_nobodys_lie(site, database_url, connection):
    succeeded(site, database_url, **SOON)
    site["/market"] = Page(small_town()["/market"], headers={"X-Robots-Tag": "noindex"})
    succeeded(site, database_url, **SOON)
    assert "/market" not in await paths(connection, site)
    assert await value(connection, "SELECT sum(lies) FROM source_signals") == 0


@pytest.mark.parametrize("lastmod", ["yesterday", "2024-13-01", "0000-00-00", "2024-05-01T25:00:00Z"])
async def test_a_malformed_lastmod_is_counted_and_says_nothing(site, database_url, connection, lastmod):
    sitemap(site, dict.fromkeys(TOWN, lastmod))
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    found = await stats(connection)
    assert found["sitemaps/bad_dates"] == 4
    assert await rows(connection, "SELECT signal FROM source_signals ORDER BY signal") == [("etag",)]


async def test_a_date_of_today_does_not_vouch_for_the_rest_of_the_day(site, database_url, connection):
    sitemap(site, dict.fromkeys(TOWN, dt.datetime.now(dt.UTC).date().isoformat()))
    for _ in range(3):
        succeeded(site, database_url, **SOON)
    assert (await stats(connection))["pages/skipped_lastmod"] == 0


async def test_a_page_that_the_sitemap_dropped_and_that_answers_is_there(site, database_url, connection):
    sitemap(site, dict.fromkeys(TOWN, "2024-05-01T12:00:00Z"))
    for _ in range(2):
        succeeded(site, database_url, **SOON)
    site["/"] = html("A small town", prose("town"), links=["/harbour", "/library"])
    sitemap(site, dict.fromkeys(TOWN[:3], "2024-05-01T12:00:00Z"))
    succeeded(site, database_url, **SOON)
    assert "/market" in await paths(connection, site)
    assert (await last_job(connection))["status"] == "succeeded"
