"""One page in a real Chromium."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import pytest_asyncio
from scrapy.http import HtmlResponse

from lcl_spiders.downloadermiddlewares.typed import TooLarge
from lcl_spiders.local_site import LocalSite, Page
from lcl_spiders.rendering import browser as browsers
from lcl_spiders.rendering.assets import Assets
from lcl_spiders.rendering.chromium import BrowserUnavailable
from lcl_spiders.rendering.config import BrowserConfig, RenderingConfig
from lcl_spiders.rendering.errors import BrowserBroke, RenderingFailed, RenderingTimeout
from lcl_spiders.rendering.visit import Visit, refuse_by_default
from tests.support.client_rendered import PIXEL, SHELL, article, client_rendered_town
from tests.support.rendering import chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lcl_spiders.rendering.browser import SharedBrowser

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite(client_rendered_town()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[SharedBrowser]:
    """The browser of all tests here: to start one takes a second."""
    shared = browsers.lease(BrowserConfig(chromium(), 4))
    yield shared
    await browsers.give_back(shared)


CONFIG = RenderingConfig(
    browser=BrowserConfig(None, 4),
    timeout=10,
    time_limit=20,
    pages_per_context=50,
    wait_for=None,
    max_size=100_000,
    user_agent="LCL-Spiders/test",
    verify_certificates=False,
)


async def visit(
    browser: SharedBrowser,
    site: LocalSite,
    path: str,
    *,
    forbidden: str | None = None,
    assets: Assets | None = None,
    **options: Any,
) -> tuple[str | None, Visit]:
    """Render the site's page at a path and return its HTML and the visit."""

    async def allows(url: str) -> bool:
        return forbidden is None or not url.endswith(forbidden)

    config = replace(CONFIG, **options)
    context = await (await browser.running()).new_context(**config.context_options())
    await refuse_by_default(context)
    body = site[path].body
    body = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": "text/html; charset=utf-8", **site[path].headers}
    document = HtmlResponse(site.url(path), headers=headers, body=body)
    the_visit = Visit(await context.new_page(), document, config, assets or Assets(), allows)
    try:
        return await the_visit.render(), the_visit
    finally:
        await the_visit.close()
        assert context.pages == []
        await context.close()


def asked(site: LocalSite) -> list[str]:
    return [request.path for request in site.requests]


async def test_what_a_script_writes_is_in_the_page_and_its_document_is_not_downloaded_again(browser, site):
    html, _ = await visit(browser, site, "/harbour")
    assert "number 8 thousand and more" in (html or "")
    assert sorted(asked(site)) == ["/app.js", "/data/harbour.json"]
    assert {request.headers["user-agent"] for request in site.requests} == {"LCL-Spiders/test"}


async def test_images_frames_and_beacons_are_not_asked_for(browser, site):
    site["/page"] = (
        '<body><img src="/images/logo.png"><iframe src="/harbour"></iframe><video src="/film.mp4"></video>'
        '<script>navigator.sendBeacon("/count"); fetch("/data/library.json")</script></body>'
    )
    await visit(browser, site, "/page")
    assert asked(site) == ["/data/library.json"]


async def test_what_robots_txt_forbids_is_not_asked_for(browser, site):
    html, the_visit = await visit(browser, site, "/harbour", forbidden="/data/harbour.json")
    assert asked(site) == ["/app.js"]
    assert the_visit.forbidden == 1
    assert html is not None


@pytest.mark.parametrize(
    "answer", [Page("{}", status=503), Page("{}", status=429), Page('{"title": "', truncate_at=4)], ids=str
)
async def test_a_page_whose_data_do_not_come_is_not_taken_for_the_page(browser, site, answer):
    site["/data/harbour.json"] = answer
    with pytest.raises(RenderingFailed, match=r"/data/harbour\.json, which the page is made of"):
        await visit(browser, site, "/harbour")


async def test_data_that_are_not_there_are_the_pages_own_business(browser, site):
    del site["/data/harbour.json"]
    html, _ = await visit(browser, site, "/harbour")
    assert html is not None


async def test_a_page_that_still_waits_for_its_data_is_not_complete(browser, site):
    site["/data/harbour.json"] = Page(article("Late", []), content_type="application/json", delay=60)
    with pytest.raises(RenderingTimeout, match=r"still waiting for .*/data/harbour\.json"):
        await visit(browser, site, "/harbour", timeout=1)


async def test_a_page_is_complete_when_the_element_that_its_source_names_is_there(browser, site):
    site["/poll"] = Page("", delay=60)
    site["/page"] = SHELL.replace("</body>", "<script>fetch('/poll')</script></body>")
    site["/data/page.json"] = article("Tide tables", ["High water at noon."])
    html, _ = await visit(browser, site, "/page", wait_for="main p")
    assert "High water at noon." in (html or "")
    with pytest.raises(RenderingTimeout, match="no element main table"):
        await visit(browser, site, "/page", wait_for="main table", timeout=1)


@pytest.mark.parametrize("script", ["location.href = '/harbour'", "setTimeout(() => location.replace('/harbour'), 50)"])
async def test_a_page_that_its_script_leaves_is_no_page_and_the_next_is_not_asked_for(browser, site, script):
    site["/page"] = f"<body>Wait.<script>{script}</script></body>"
    html, the_visit = await visit(browser, site, "/page")
    assert (html, the_visit.left_for) == (None, site.url("/harbour"))
    assert asked(site) == []


async def test_a_page_that_loads_itself_again_is_not_the_page_yet(browser, site):
    site["/page"] = "<body>Checking your browser.<script>location.reload()</script></body>"
    with pytest.raises(RenderingFailed, match="loaded again by its own script"):
        await visit(browser, site, "/page")


@pytest.mark.parametrize("path", ["/harbour", "/file"])
async def test_a_pop_up_or_a_download_reaches_nothing_and_stays_nowhere(browser, site, path):
    site["/file"] = Page(PIXEL, headers={"Content-Disposition": "attachment"})
    site["/page"] = f"<body>Hello.<script>window.open('{path}')</script></body>"
    html, _ = await visit(browser, site, "/page")
    assert "Hello." in (html or "")
    assert asked(site) == []


async def test_a_script_is_asked_for_once_in_a_run_unless_its_site_forbids_it(browser, site):
    script = site["/app.js"]
    for cache_control, times in (("max-age=60", 1), ("no-cache", 2)):
        site["/app.js"] = replace(script, headers={"Cache-Control": cache_control})
        kept = Assets()
        site.reset()
        for path in ("/harbour", "/library"):
            html, _ = await visit(browser, site, path, assets=kept)
            assert "in a good year" in (html or "")
        assert asked(site).count("/app.js") == times


@pytest.mark.parametrize(("answer", "is_broken"), [(Page("", status=503), True), (Page("", status=404), False)])
async def test_a_page_without_its_own_script_is_incomplete_only_while_the_site_cannot_answer(
    browser, site, answer, is_broken
):
    site["/app.js"] = answer
    if is_broken:
        with pytest.raises(RenderingFailed, match=r"/app\.js, which the page is made of, answered 503"):
            await visit(browser, site, "/harbour")
    else:
        html, _ = await visit(browser, site, "/harbour")
        assert html is not None


async def test_a_script_that_has_moved_is_followed(browser, site):
    site["/new.js"] = site["/app.js"]
    site["/app.js"] = Page(status=302, headers={"Location": "/new.js"})
    html, _ = await visit(browser, site, "/harbour")
    assert "in a good year" in (html or "")


async def test_a_page_larger_than_the_limit_is_refused(browser, site):
    site["/page"] = "<body><script>document.body.append('x'.repeat(200000))</script></body>"
    with pytest.raises(TooLarge, match="characters when it is rendered"):
        await visit(browser, site, "/page")


async def test_a_document_sent_as_a_file_or_in_another_encoding_is_shown_as_it_was_read(browser, site):
    site["/page"] = Page(
        '<head><meta charset="iso-8859-1"></head><body>Grüße</body>', headers={"Content-Disposition": "attachment"}
    )
    html, _ = await visit(browser, site, "/page")
    assert "Grüße" in (html or "")


async def test_a_page_whose_process_ends_is_given_up_at_once(browser, site):
    site["/data/harbour.json"] = Page("{}", delay=60)
    rendering = asyncio.ensure_future(visit(browser, site, "/harbour", timeout=60, time_limit=60))
    async with asyncio.timeout(20):
        while "/data/harbour.json" not in asked(site):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)  # the browser is at work
    for child in psutil.Process().children(recursive=True):
        if "--type=renderer" in child.cmdline():
            child.kill()
    with pytest.raises(BrowserBroke, match="broke down"):
        await asyncio.wait_for(rendering, 20)


async def test_a_browser_that_died_is_started_again_and_the_last_to_leave_closes_it(site):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    config = BrowserConfig(chromium(), 2)
    first, second = browsers.lease(config), browsers.lease(config)
    assert first is second
    died = asyncio.Event()
    (await first.running()).once("disconnected", lambda _: died.set())
    for child in psutil.Process().children(recursive=True):
        if child.pid not in before and "--remote-debugging-pipe" in child.cmdline():
            child.kill()
    await asyncio.wait_for(died.wait(), 10)
    html, _ = await visit(first, site, "/harbour")
    assert html is not None
    await browsers.give_back(first)
    assert (await second.running()).is_connected()
    await browsers.give_back(second)
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert left == []


async def test_a_browser_that_does_not_start_says_why_in_its_own_words(tmp_path):
    (tmp_path / "chromium").write_text("#!/bin/sh\necho 'libnss3.so: cannot open shared object file' >&2\nexit 127\n")
    (tmp_path / "chromium").chmod(0o755)
    shared = browsers.lease(BrowserConfig(str(tmp_path / "chromium"), 4))
    with pytest.raises(BrowserUnavailable, match=r"does not start: libnss3\.so: cannot open"):
        await shared.running()
    await browsers.give_back(shared)
