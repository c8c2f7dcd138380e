"""What a crawl does to the index, from the outside: command in, rows out."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from db import pages, sources
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import crawl, last_job, paths, snapshot, succeeded
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy
from tests.support.site import html, prose, small_town

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


async def test_a_first_crawl_indexes_every_page_that_links_lead_to(site, database_url, connection):
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library", "/market"}
    assert await pages.broken_pages(connection) == []
    assert await value(connection, "SELECT count(*) FROM page_embeddings") > 4
    job = await last_job(connection)
    assert (job["status"], job["reason"]) == ("succeeded", "finished")
    assert job["stats"]["pages/new"] == 4
    assert job["stats"]["chunks/embedded"] == job["stats"]["chunks/total"]


async def test_a_refresh_of_an_unchanged_site_writes_nothing_but_the_last_seen_time(site, database_url, connection):
    succeeded(site, database_url)
    before = await snapshot(connection)
    seen = await value(connection, "SELECT max(last_seen_at) FROM scraped_pages")
    succeeded(site, database_url, "force_rescrape=true")
    assert await snapshot(connection) == before
    assert await value(connection, "SELECT min(last_seen_at) FROM scraped_pages") > seen
    stats = (await last_job(connection))["stats"]
    assert stats["pages/unchanged"] == 4
    assert stats["chunks/embedded"] == 0


async def test_an_edited_paragraph_costs_two_texts_at_most_and_keeps_the_rows_of_the_others(
    site, database_url, connection
):
    succeeded(site, database_url)
    query = "SELECT e.id FROM page_embeddings AS e JOIN scraped_pages AS p ON p.id = e.page_id WHERE p.url LIKE %s"
    before = {row for (row,) in await rows(connection, query, "%/harbour")}
    text = prose("harbour")
    text[3] = text[3].replace("nine", "eleven")
    site["/harbour"] = html("Harbour", text, links=["/"])
    succeeded(site, database_url)
    after = {row for (row,) in await rows(connection, query, "%/harbour")}
    stats = (await last_job(connection))["stats"]
    assert stats["pages/changed"] == 1
    assert stats["pages/unchanged"] == 3
    assert 1 <= stats["chunks/embedded"] <= 2
    assert len(before - after) == len(after - before) <= 2
    assert await pages.broken_pages(connection) == []


async def test_markup_that_changes_around_the_same_text_is_no_change(site, database_url, connection):
    succeeded(site, database_url)
    chunks, _ = await snapshot(connection)
    body = small_town()["/harbour"].replace("<body>", '<body data-nonce="8f3a"><!-- built at 12:04:55 -->')
    site["/harbour"] = body
    succeeded(site, database_url)
    assert (await snapshot(connection))[0] == chunks
    stats = (await last_job(connection))["stats"]
    assert stats["pages/unchanged"] == 4
    assert stats["pages/same_body"] == 3


async def test_a_paragraph_on_two_pages_is_embedded_once_and_stays_with_each(site, database_url, connection):
    shared = prose("lighthouse", 3)
    site["/harbour"] = html("Harbour", shared)
    site["/library"] = html("Library", shared)
    succeeded(site, database_url)
    stats = (await last_job(connection))["stats"]
    assert stats["chunks/embedded"] < stats["chunks/total"]
    site["/harbour"] = html("Harbour", prose("pier", 3))
    succeeded(site, database_url)
    assert await pages.broken_pages(connection) == []
    assert await value(
        connection,
        "SELECT count(*) FROM page_embeddings AS e JOIN scraped_pages AS p ON p.id = e.page_id "
        "WHERE p.url LIKE '%%/library' AND e.content LIKE '%%lighthouse%%'",
    )


async def test_a_page_checked_lately_is_not_asked_for_but_what_only_it_leads_to_is(site, database_url, connection):
    site["/library"] = html("Library", prose("library"), links=["/late"])
    site["/late"] = Page("", status=503)
    options = {"env": {"LCL_RECRAWL_AFTER": "86400"}, "settings": {"RETRY_TIMES": "0"}}
    succeeded(site, database_url, **options)
    site["/late"] = html("Late", prose("late"))
    site.reset()
    succeeded(site, database_url, **options)
    assert {request.path for request in site.requests if request.path in site} == {"/late"}
    assert "/late" in await paths(connection, site)
    assert (await last_job(connection))["stats"]["pages/skipped_recent"] == 4


async def test_force_rescrape_asks_for_pages_checked_lately_too(site, database_url):
    options = {"env": {"LCL_RECRAWL_AFTER": "86400"}}
    succeeded(site, database_url, **options)
    site.reset()
    succeeded(site, database_url, "force_rescrape=Yes", **options)
    assert {"/", "/harbour", "/library", "/market"} <= {request.path for request in site.requests}


async def test_reembed_embeds_every_page_again_also_those_checked_lately(site, database_url, connection):
    options = {"env": {"LCL_RECRAWL_AFTER": "86400"}}
    succeeded(site, database_url, **options)
    total = (await last_job(connection))["stats"]["chunks/total"]
    succeeded(site, database_url, "reembed=true", **options)
    stats = (await last_job(connection))["stats"]
    assert stats["chunks/embedded"] == total
    assert await pages.broken_pages(connection) == []


async def test_max_pages_bounds_the_page_requests(site, database_url, connection):
    succeeded(site, database_url, "max_pages=2")
    assert (await last_job(connection))["stats"]["requests/sent"] == 2
    assert len(await paths(connection, site)) == 2


async def test_pages_that_only_a_gzipped_sitemap_behind_an_index_lists_are_found(site, database_url, connection):
    site["/robots.txt"] = Page(f"User-agent: *\nSitemap: {site.url('/index.xml')}\n", content_type="text/plain")
    site["/index.xml"] = Page(
        f"<sitemapindex><sitemap><loc>{site.url('/deep.xml.gz')}</loc></sitemap></sitemapindex>",
        content_type="application/xml",
    )
    listed = f"<urlset><url><loc>{site.url('/hidden')}</loc></url><url><loc>nonsense</loc></url></urlset>"
    site["/deep.xml.gz"] = Page(gzip.compress(listed.encode()), content_type="application/gzip")
    site["/hidden"] = html("Hidden", prose("cellar"))
    succeeded(site, database_url)
    assert "/hidden" in await paths(connection, site)


async def test_what_robots_txt_forbids_is_not_asked_for(site, database_url, connection):
    site["/robots.txt"] = Page("User-agent: *\nDisallow: /market\n", content_type="text/plain")
    succeeded(site, database_url)
    assert "/market" not in {request.path for request in site.requests}
    assert (await last_job(connection))["stats"]["requests/forbidden"] == 1
    assert await value(connection, "SELECT count(*) FROM failed_pages") == 0


async def test_every_page_of_a_listing_is_followed_even_if_the_first_is_unchanged(site, database_url, connection):
    site["/harbour"] = html("Page 1", prose("boat"), links=["/harbour?page=2"])
    site["/harbour?page=2"] = html("Page 2", prose("raft"), links=["/harbour?page=3"])
    site["/harbour?page=3"] = html("Page 3", prose("ferry"))
    succeeded(site, database_url)
    site["/harbour?page=3"] = html("Page 3", prose("ferry"), links=["/new"])
    site["/new"] = html("New", prose("canoe"))
    succeeded(site, database_url)
    assert "/new" in await paths(connection, site)


async def test_a_link_to_another_host_is_not_followed_and_neither_is_a_redirect_there(site, database_url, connection):
    with LocalSite({"/": html("Elsewhere", prose("elsewhere"))}) as other:
        site["/library"] = html("Library", prose("library"), links=[other.url("/")])
        site["/market"] = Page("", status=302, headers={"Location": other.url("/")})
        succeeded(site, database_url)
        assert not await value(connection, "SELECT count(*) FROM scraped_pages WHERE url LIKE %s", f"%{other.domain}%")


async def test_one_page_under_two_spellings_of_its_url_is_one_page(site, database_url, connection):
    site["/market"] = html("Market", prose("market"), links=["/harbour#berths", "/harbour?", "/HARBOUR/../harbour"])
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library", "/market"}


async def test_rel_canonical_names_the_page_and_is_not_believed_when_it_names_another(site, database_url, connection):
    site["/library/"] = html("Shelves", prose("shelf"), head='<link rel="canonical" href="/library">')
    site["/market"] = html("Market", prose("market"), ["/library/"], head='<link rel="canonical" href="/">')
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library", "/market"}


async def test_a_page_answering_404_leaves_the_index_with_a_tombstone(site, database_url, connection):
    succeeded(site, database_url)
    del site["/market"]
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library"}
    ((url, reason, status),) = await rows(connection, "SELECT url, reason, http_status FROM page_tombstones")
    assert (url, reason, status) == (site.url("/market"), "http_404", 404)
    assert await pages.broken_pages(connection) == []


@pytest.mark.parametrize("status", [500, 503, 429, 403])
async def test_a_page_that_is_only_ill_stays_in_the_index_and_is_recorded(site, database_url, connection, status):
    succeeded(site, database_url)
    site["/market"] = Page("", status=status)
    succeeded(site, database_url, settings={"RETRY_TIMES": "0"})
    assert "/market" in await paths(connection, site)
    assert await rows(connection, "SELECT kind, http_status FROM failed_pages") == [(f"http_{status}", status)]
    site["/market"] = small_town()["/market"]
    succeeded(site, database_url)
    assert await rows(connection, "SELECT kind FROM failed_pages") == []


async def test_a_time_out_on_a_url_with_410_in_it_deletes_nothing(site, database_url, connection):
    site["/410-steps"] = html("410 steps", prose("stair"))
    site["/"] = html("A small town", prose("town"), links=["/410-steps", "/harbour", "/library", "/market"])
    succeeded(site, database_url)
    site["/410-steps"] = Page("410 Gone", delay=30)
    succeeded(site, database_url, settings={"DOWNLOAD_TIMEOUT": "3", "RETRY_TIMES": "0"})
    assert "/410-steps" in await paths(connection, site)
    assert await rows(connection, "SELECT kind FROM failed_pages") == [("timeout",)]


async def test_more_than_half_of_the_pages_gone_deletes_nothing_unless_allowed(database_url, connection):
    names = [f"/p{n}" for n in range(14)]
    with LocalSite({name: html(name, prose(name, 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        succeeded(site, database_url)
        for name in names:
            del site[name]
        done = crawl(site, database_url)
        assert done.code == 1
        assert "allow_mass_delete=true" in done.stderr
        assert len(await paths(connection, site)) == 15
        assert (await last_job(connection))["reason"] == "mass_delete_refused"
        succeeded(site, database_url, "allow_mass_delete=true")
        assert await paths(connection, site) == {"/"}


async def test_a_page_that_asks_not_to_be_indexed_is_not(site, database_url, connection):
    succeeded(site, database_url)
    site["/market"] = Page(small_town()["/market"], headers={"X-Robots-Tag": "noindex"})
    site["/library"] = html("Library", prose("library"), head='<meta name="robots" content="noindex">')
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour"}


async def test_a_site_that_does_not_answer_is_a_failure_of_the_source(site, database_url, connection):
    succeeded(site, database_url)
    site.stop()
    done = crawl(site, database_url, settings={"RETRY_TIMES": "0"})
    assert done.code == 1
    assert (await last_job(connection))["reason"] == "site_unreachable"
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 1
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 4


async def test_the_links_of_a_page_that_asks_not_to_be_indexed_are_followed(site, database_url, connection):
    site["/market"] = Page(html("Market", prose("market"), ["/stall"]), headers={"X-Robots-Tag": "noindex"})
    site["/stall"] = html("Stall", prose("stall"))
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library", "/stall"}


async def test_a_page_that_was_met_too_deep_first_is_asked_for_from_where_it_is_not(site, database_url, connection):
    site["/"] = html("Start", prose("start"), links=["/c1", "/x"])
    site["/c1"] = html("C1", prose("cellar"), links=["/c2"])
    site["/c2"] = html("C2", prose("corner"), links=["/target"])
    site["/x"] = Page(html("X", prose("extra"), links=["/target"]), delay=0.5)
    site["/target"] = html("Target", prose("target"))
    await sources.add(connection, site.url("/"), slug="town", config={"max_depth": 2})
    assert run_scrapy("crawl", "town", database_url=database_url).code == 0
    assert "/target" in await paths(connection, site)


async def test_pages_that_a_sitemap_lists_are_not_deep(site, database_url, connection):
    site["/robots.txt"] = Page(f"Sitemap: {site.url('/s.xml')}", content_type="text/plain")
    site["/s.xml"] = Page(f"<urlset><url><loc>{site.url('/hidden')}</loc></url></urlset>")
    site["/hidden"] = html("Hidden", prose("cellar"))
    await sources.add(connection, site.url("/"), slug="town", config={"max_depth": 1})
    assert run_scrapy("crawl", "town", database_url=database_url).code == 0
    assert "/hidden" in await paths(connection, site)


async def test_a_known_page_that_moved_for_good_is_found_at_its_new_url_only(site, database_url, connection):
    succeeded(site, database_url)
    site["/bazaar"] = small_town()["/market"]
    site["/market"] = Page("", status=301, headers={"Location": "/bazaar"})
    succeeded(site, database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library", "/bazaar"}
    assert await rows(connection, "SELECT url, reason FROM page_tombstones") == [(site.url("/market"), "redirect")]
    assert await pages.broken_pages(connection) == []


async def test_a_known_page_that_redirects_for_a_while_stays(site, database_url, connection):
    succeeded(site, database_url)
    site["/market"] = Page("", status=302, headers={"Location": "/harbour"})
    succeeded(site, database_url)
    assert "/market" in await paths(connection, site)
    assert await rows(connection, "SELECT kind FROM failed_pages") == [("redirected",)]


async def test_a_limited_run_takes_the_pages_that_waited_longest(database_url, connection):
    names = [f"/p{n}" for n in range(8)]
    with LocalSite({name: html(name, prose(name, 2)) for name in names}) as site:
        site["/"] = html("All", prose("all"), links=names)
        succeeded(site, database_url)
        site.reset()
        for _ in range(4):
            succeeded(site, database_url, "max_pages=4")
        assert {request.path for request in site.requests} >= {"/", *names}


async def test_forbidden_pages_use_up_no_place_of_the_limit(site, database_url, connection):
    site["/robots.txt"] = Page("User-agent: *\nDisallow: /no", content_type="text/plain")
    site["/"] = html("Start", prose("start"), links=[*(f"/no{n}" for n in range(9)), "/harbour"])
    succeeded(site, database_url, "max_pages=4")
    assert await paths(connection, site) == {"/", "/harbour"}


async def test_reembedding_asks_no_site_and_leaves_the_time_a_page_was_seen_alone(site, database_url, connection):
    options = {"env": {"LCL_RECRAWL_AFTER": "86400"}}
    succeeded(site, database_url, **options)
    seen = await rows(connection, "SELECT url, last_seen_at FROM scraped_pages ORDER BY url")
    site.reset()
    succeeded(site, database_url, "reembed=true", **options)
    assert await rows(connection, "SELECT url, last_seen_at FROM scraped_pages ORDER BY url") == seen
    assert {request.path for request in site.requests} == {"/robots.txt"}
    assert (await last_job(connection))["stats"]["pages/reembedded"] == 4


async def test_a_run_that_left_pages_out_says_so(site, database_url, connection):
    done = crawl(site, database_url, "max_pages=2")
    assert done.code == 0
    assert "the page limit left pages out" in done.stdout
    assert (await last_job(connection))["reason"] == "max_pages"
