"""`scrapy check` and `scrapy genspider` as a person runs them."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from lcl_spiders.base_spiders import KINDS
from lcl_spiders.local_site import LocalSite
from tests.support.scrapy import ROOT, run_scrapy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATES = ["feed", "listing", "website"]
SPIDERS = """
    from lcl_spiders.base_spiders import WebsiteSpider

    class RightSpider(WebsiteSpider):
        name = "right"

        def page(self, response):
            '''
            @saved_page page.html {url}
            @has_fields title content
            @main_text "The ferry leaves at seven."
            '''
            return self.read_page(response)

    class WrongSpider(WebsiteSpider):
        name = "wrong"

        def page(self, response):
            '''
            @saved_page page.html {url}
            @main_text "The ferry leaves at eight."
            '''
            return self.read_page(response)
"""
PAGE = "<title>Harbour</title><body><p>The ferry leaves at seven.</p></body>"


@contextmanager
def nobody() -> Iterator[str]:
    """The URL of a database, and the assurance that no one connected to it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield f"postgresql://127.0.0.1:{listener.getsockname()[1]}/none"
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.fixture
def scratch(tmp_path: Path) -> dict[str, str]:
    """The environment in which the package `scratch` can be imported, which is empty as yet."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "__init__.py").write_text('"""Spiders of one test."""\n')
    return {"PYTHONPATH": str(tmp_path)}


def test_the_contracts_of_the_spiders_in_code_hold() -> None:
    with nobody() as database:
        done = run_scrapy("check", database_url=database)
    assert done.code == 0, done.stderr
    assert "Ran 25 contracts" in done.stderr
    assert "OK" in done.stderr


@pytest.mark.parametrize("database", ["postgresql://127.0.0.1:1/nowhere", None])
def test_a_name_that_cannot_be_checked_is_told_in_a_line_with_the_spiders_there_are(
    database: str | None, tmp_path: Path
) -> None:
    done = run_scrapy("check", "nobody", database_url=database, home=tmp_path)
    assert done.code == 1
    (line,) = done.stderr.splitlines()
    assert "'nobody'" in line
    assert line.endswith("Spiders in code: reference_manual, town_agenda")


def test_they_are_listed_by_spider_and_callback() -> None:
    done = run_scrapy("check", "-l")
    assert done.code == 0, done.stderr
    assert [line.strip(" *") for line in done.stdout.splitlines()] == [
        *("reference_manual", "chapter"),
        *("town_agenda", "agenda_page", "event_page"),
    ]


def test_a_wrong_contract_fails_the_check_beside_a_right_one_and_nothing_is_fetched(
    scratch: dict[str, str], tmp_path: Path
) -> None:
    with LocalSite({"/harbour": PAGE}) as site, nobody() as database:
        (tmp_path / "scratch" / "both.py").write_text(dedent(SPIDERS.format(url=site.url("/harbour"))))
        (tmp_path / "scratch" / "page.html").write_text(PAGE)
        done = run_scrapy("check", database_url=database, env=scratch, settings={"SPIDER_MODULES": "scratch"})
        assert site.requests == []
    assert done.code == 1
    assert "[wrong] page (@main_text post-hook)" in done.stderr
    assert '"The ferry leaves at eight." does not stand in the text' in done.stderr
    assert "[right]" not in done.stderr
    assert "Ran 3 contracts" in done.stderr
    assert "FAILED (failures=1)" in done.stderr


def test_a_spider_made_from_a_template_is_in_good_style_and_checked_once_its_page_is_saved(
    scratch: dict[str, str], tmp_path: Path
) -> None:
    with nobody() as database:
        for template in TEMPLATES:
            done = run_scrapy(
                *("genspider", "-t", template, f"town-{template}", "example.org/agenda"),
                database_url=database,
                env=scratch,
                settings={"NEWSPIDER_MODULE": "scratch", "SPIDER_MODULES": ""},
            )
            assert done.code == 0, done.stderr
            assert f"scratch.town_{template}" in done.stdout
        for check in (["check"], ["format", "--check"]):
            command = [sys.executable, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
            style = subprocess.run(command, check=False, capture_output=True, text=True)
            assert style.returncode == 0, style.stdout

        made = {"SPIDER_MODULES": ",".join(f"scratch.town_{kind}" for kind in KINDS)}
        unsaved = run_scrapy("check", database_url=database, env=scratch, settings=made)
        assert unsaved.code == 1
        assert "scrapy fetch --nolog https://example.org/agenda > pages/town_website.html" in unsaved.stderr

        (tmp_path / "scratch" / "pages").mkdir()
        for kind in KINDS:
            (tmp_path / "scratch" / "pages" / f"town_{kind}.html").write_text(PAGE)
        saved = run_scrapy("check", database_url=database, env=scratch, settings=made)
    assert saved.code == 0, saved.stderr
    assert f"Ran {len(KINDS)} contract" in saved.stderr


def test_there_is_a_template_for_every_kind_of_source() -> None:
    done = run_scrapy("genspider", "--list")
    assert [line.strip() for line in done.stdout.splitlines()[1:]] == TEMPLATES
    assert set(KINDS) <= set(TEMPLATES)
