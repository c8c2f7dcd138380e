"""What a crawl in a real Chromium does to the index, from the outside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psutil
import pytest

from db import pages
from lcl_spiders.local_site import LocalSite, Page
from tests.support.client_rendered import SHELL, article, client_rendered_town
from tests.support.crawl import last_job, paths, snapshot, stats
from tests.support.postgres import rows, value
from tests.support.rendering import chromium, register, rendered
from tests.support.scrapy import run_scrapy, start_scrapy
from tests.support.site import small_town, tale

if TYPE_CHECKING:
    from collections.abc import Iterator

TRUSTING = {"env": {"LCL_TRUST_AFTER": "1", "LCL_TRUST_AUDIT_EVERY": "1000000"}}
BROWSER_ARGUMENT = re.compile(r"--user-data-dir=|playwright.*run-driver|--remote-debugging-pipe")


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(client_rendered_town()) as running:
        yield running


def asked(site: LocalSite) -> set[str]:
    return {request.path for request in site.requests}


@pytest.mark.browser
async def test_text_and_links_that_a_script_writes_are_indexed_and_no_image_is_asked_for(
    site, database_url, connection
):
    register(site, database_url)
    rendered(database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library"}
    content = await value(connection, "SELECT content FROM scraped_pages WHERE url LIKE %s", "%/library")
    assert "library was where one heard the news" in content
    assert await pages.broken_pages(connection) == []
    assert not any(path.startswith("/images/") for path in asked(site))
    assert (await stats(connection))["pages/rendered"] == 3


@pytest.mark.browser
async def test_the_same_data_embed_nothing_new_ones_are_found_under_the_same_shell_and_a_404_removes(
    site, database_url, connection
):
    register(site, database_url)
    rendered(database_url, **TRUSTING)
    before = await snapshot(connection)
    rendered(database_url, **TRUSTING)
    assert await snapshot(connection) == before
    same = await stats(connection)
    assert (same["pages/unchanged"], same["pages/rendered"], same["chunks/embedded"]) == (3, 3, 0)
    site["/data/library.json"] = article("Library", tale("lending"))
    site["/harbour"] = Page("gone", status=404)
    rendered(database_url, **TRUSTING)
    changed = await stats(connection)
    assert (changed["pages/changed"], changed["pages/gone"], changed["pages/unchanged"]) == (1, 1, 1)
    assert await paths(connection, site) == {"/", "/library"}
    assert "lending" in await value(connection, "SELECT content FROM scraped_pages WHERE url LIKE %s", "%/library")
    assert await pages.broken_pages(connection) == []


@pytest.mark.browser
async def test_a_page_whose_text_the_server_sends_is_vouched_for_by_304_and_not_rendered_again(
    database_url, connection
):
    with LocalSite(small_town()) as site:
        register(site, database_url)
        for _ in range(3):
            site.reset()
            rendered(database_url, **TRUSTING)
    found = await stats(connection)
    assert found["pages/not_modified"] == 4
    assert "pages/rendered" not in found
    assert {request.status for request in site.requests if request.path in small_town()} == {304}


@pytest.mark.browser
async def test_what_is_not_the_page_changes_nothing_and_is_told(site, database_url, connection):
    register(site, database_url)
    rendered(database_url)
    before = await snapshot(connection)
    site["/data/library.json"] = Page("{}", status=503)
    site["/harbour"] = Page("<body><script>location.href = '/log-in'</script></body>")
    site["/log-in"] = Page(SHELL)
    site["/data/log-in.json"] = article("Log in", ["Name and password, please."])
    rendered(database_url)
    found = await rows(connection, "SELECT url, kind, message FROM failed_pages ORDER BY url")
    assert [(url.removeprefix(site.url()), kind) for url, kind, _ in found] == [
        ("harbour", "redirected"),
        ("library", "rendering_failed"),
    ]
    assert "/data/library.json, which the page is made of, answered 503" in found[1][2]
    kept = [row for row in (await snapshot(connection))[1] if not row[1].endswith("/log-in")]
    assert kept == before[1]


@pytest.mark.browser
async def test_a_page_that_says_by_script_that_there_is_none_is_gone(site, database_url, connection):
    missing = article("Page not found", ["There is nothing at this address. It may have moved, or never been. (404)"])
    site.not_found = lambda path: (
        Page(missing, content_type="application/json") if path.startswith("/data/") else Page(SHELL)
    )
    register(site, database_url)
    rendered(database_url)
    assert await paths(connection, site) == {"/", "/harbour", "/library"}
    del site["/data/harbour.json"]
    rendered(database_url)
    assert await rows(connection, "SELECT url, reason FROM page_tombstones") == [(site.url("/harbour"), "soft_404")]


@pytest.mark.browser
async def test_no_browser_outlives_a_crawl_that_is_killed(site, database_url):
    register(site, database_url)
    process = start_scrapy("crawl", "town", database_url=database_url, env={"LCL_CHROMIUM_PATH": chromium()})
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "known pages" in line:
                break
        started = psutil.Process(process.pid).children(recursive=True)
        browsers = [child for child in started if BROWSER_ARGUMENT.search(" ".join(child.cmdline()))]
        assert len(browsers) >= 2
    finally:
        process.kill()
        process.communicate()
    _, alive = psutil.wait_procs(browsers, timeout=20)
    assert alive == []


async def test_without_a_browser_a_run_ends_before_its_first_request_and_blames_nobody(site, database_url, connection):
    register(site, database_url)
    missing = {"LCL_CHROMIUM_PATH": "/nowhere/chromium"}
    done = run_scrapy("crawl", "town", database_url=database_url, env=missing)
    assert done.code == 1
    assert "browser_unavailable" in done.stderr
    assert "LCL_CHROMIUM_PATH is /nowhere/chromium, which does not exist" in done.stderr
    assert "Traceback" not in done.stderr
    assert site.requests == []
    job = await last_job(connection)
    assert (job["status"], job["reason"]) == ("failed", "browser_unavailable")
    assert await value(connection, "SELECT consecutive_failures FROM scraper_sources") == 0
    doctor = run_scrapy("doctor", database_url=database_url, env=missing)
    assert doctor.code == 1
    assert re.search(r"WRONG +browser +LCL_CHROMIUM_PATH is /nowhere/chromium", doctor.stdout)
