"""What rendering decides without a browser."""

import subprocess
import sys

import pytest
from scrapy.settings import Settings

from lcl_spiders.rendering.chromium import BrowserUnavailable, find_chromium, version_of
from lcl_spiders.rendering.config import RenderingConfig
from lcl_spiders.rendering.contexts import Contexts
from lcl_spiders.rendering.requests import is_elsewhere, is_essential, is_failure
from lcl_spiders.rendering.scripted import is_scripted
from lcl_spiders.source_config import SourceConfig
from tests.support.client_rendered import SHELL
from tests.support.site import html, prose, tale

PAGE = "https://www.example.org/agenda?page=2"
SETTINGS = {"LCL_RENDER_TIMEOUT": 15, "LCL_RENDER_PAGES_AT_A_TIME": 4, "LCL_RENDER_PAGES_PER_CONTEXT": 50}


def test_a_context_takes_so_many_pages_and_is_closed_when_the_last_has_left():
    contexts = Contexts(2)
    first, second, third = contexts.enter(), contexts.enter(), contexts.enter()
    assert first == second != third
    assert [contexts.leave(first), contexts.leave(third), contexts.leave(second)] == [False, False, True]
    assert contexts.enter() == third
    assert contexts.leave(third) is True
    assert contexts.enter() not in {first, third}


@pytest.mark.parametrize(
    ("url", "method", "resource_type", "essential"),
    [
        ("https://www.example.org/data.json", "GET", "fetch", True),
        ("https://example.org/data.json", "GET", "xhr", True),
        ("https://api.example.org/v1", "GET", "xhr", True),
        ("https://www.example.org/app.js", "GET", "script", True),
        ("https://www.example.org/collect", "POST", "fetch", False),
        ("https://www.example.org/style.css", "GET", "stylesheet", False),
        ("https://counter.example.net/t.js", "GET", "script", False),
        ("https://notexample.org/data.json", "GET", "fetch", False),
    ],
)
def test_a_page_hangs_on_its_own_sites_scripts_and_data_alone(url, method, resource_type, essential):
    assert is_essential(url, method, resource_type, PAGE) is essential


@pytest.mark.parametrize(("status", "failure"), [(200, False), (404, False), (401, False), (429, True), (503, True)])
def test_only_a_site_that_cannot_answer_at_the_moment_breaks_its_pages(status, failure):
    assert is_failure(status) is failure


@pytest.mark.parametrize(
    ("url", "elsewhere"),
    [
        ("https://www.example.org/login", True),
        ("https://www.example.org/agenda?page=2", False),
        ("https://www.example.org/agenda?page=2#top", False),
        ("blob:https://www.example.org/1", False),
    ],
)
def test_a_script_leaves_its_page_only_for_another_document(url, elsewhere):
    assert is_elsewhere(url, PAGE) is elsewhere


def test_validators_speak_for_text_that_the_server_sends_but_not_for_a_shell():
    page = html("Harbour", prose("harbour")).encode()
    assert not is_scripted(page, page)
    assert not is_scripted(page, page.replace(b"</body>", b"<p>3 visitors</p><style>p{}</style></body>"))
    assert is_scripted(SHELL.encode(), page)
    assert is_scripted(b"", page)
    assert is_scripted(page, page.replace(b"</article>", f"{'<p>'.join(tale('pier'))}</article>".encode()))


def test_a_browser_that_is_not_there_is_told_with_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(BrowserUnavailable, match=r"does not exist.*apt-get install chromium"):
        find_chromium(str(tmp_path / "chromium"))
    (tmp_path / "chromium").touch()
    with pytest.raises(BrowserUnavailable, match="cannot be executed"):
        find_chromium(str(tmp_path / "chromium"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrowserUnavailable, match=r"no Chromium is on PATH.*LCL_CHROMIUM_PATH"):
        find_chromium(None)
    (tmp_path / "chromium").chmod(0o755)
    assert find_chromium(None) == str(tmp_path / "chromium")


async def test_what_says_no_version_is_no_browser(tmp_path):
    (tmp_path / "chromium").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "chromium").chmod(0o755)
    with pytest.raises(BrowserUnavailable, match="exit code 3"):
        await version_of(str(tmp_path / "chromium"))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_out_of_its_range_is_named(name):
    with pytest.raises(ValueError, match=name):
        RenderingConfig.from_settings(Settings({**SETTINGS, name: 0}))


def test_only_a_source_that_is_rendered_gets_the_browsers_handlers():
    assert "DOWNLOAD_HANDLERS" not in SourceConfig().scrapy_settings()
    assert set(SourceConfig(render="always").scrapy_settings()["DOWNLOAD_HANDLERS"]) == {"http", "https"}


def test_a_plain_crawl_does_not_import_playwright():
    code = (
        "import sys, lcl_spiders.settings, lcl_spiders.extensions.run, lcl_spiders.spiderloader\n"
        "import lcl_spiders.base_spiders, lcl_spiders.downloadermiddlewares.rendering, lcl_spiders.commands.crawl\n"
        "sys.exit('playwright' in sys.modules or 'scrapy_playwright' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
