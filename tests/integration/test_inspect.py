"""`scrapy inspect`, as an operator runs it: a page of a site, a saved file, and what goes wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lcl_spiders.local_site import LocalSite, Page
from tests.support.scrapy import run_scrapy
from tests.support.site import prose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CARDS = "".join(
    f'<li><h3><a href="/e/{n}">Evening {n}</a></h3><p>{n} May 2027</p><p>Town hall</p></li>' for n in range(1, 7)
)
AGENDA = (
    '<!doctype html><html lang="en"><head><title>Agenda | A town</title></head><body>'
    '<nav><a href="/">Home of it all</a></nav>'
    f"<h1>Agenda</h1><ul>{CARDS}</ul><footer>The office of the town</footer></body></html>"
)
NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}  # nothing listens there


@pytest.fixture(scope="module")
def site() -> Iterator[LocalSite]:
    pages = {
        "/agenda": AGENDA,
        "/gone": Page("<p>" + prose("gone")[0], status=404),
        "/shell": '<body><div id="root"></div><script src="/app.js"></script>',
        "/secret": AGENDA,
        "/robots.txt": "User-agent: *\nDisallow: /secret\n",
    }
    with LocalSite(pages) as running:
        yield running


def test_a_page_is_shown_with_its_kind_its_text_and_what_is_left_out_without_a_database(site: LocalSite) -> None:
    shown = run_scrapy("inspect", site.url("/agenda"), "--json", env=NOWHERE)
    assert shown.code == 0, shown.stderr
    page = json.loads(shown.stdout)
    assert (page["kind"], page["title"], page["language"]) == ("listing", "Agenda | A town", "en")
    assert page["evidence"]["repeated"] == 6
    assert page["content"].count("](http://") == 6
    assert {each["reason"]: each["text"] for each in page["left_out"]} == {
        "navigation": "Home of it all",
        "footer": "The office of the town",
    }
    assert page["tried"]


def test_a_saved_page_is_read_with_the_options_that_a_source_would_have(tmp_path: Path) -> None:
    file = tmp_path / "agenda.html"
    file.write_text(AGENDA)
    arguments = ("--url", "https://example.org/agenda", "--exclude-css", "li p", "--links", "none")
    shown = run_scrapy("inspect", str(file), *arguments, env=NOWHERE)
    assert shown.code == 0, shown.stderr
    assert "Evening 6" in shown.stdout
    assert "Town hall" not in shown.stdout.partition("would be indexed")[2].partition("left out")[0]
    assert "Home of it all" in shown.stdout.partition("left out")[2]


def test_what_cannot_be_indexed_is_said_and_ends_with_one(site: LocalSite, tmp_path: Path) -> None:
    shell = run_scrapy("inspect", site.url("/shell"), env=NOWHERE)
    assert shell.code == 1
    assert "seems to need rendering" in shell.stderr
    gone = run_scrapy("inspect", site.url("/gone"), "--json", env=NOWHERE)
    assert "answers 404" in gone.stderr
    secret = run_scrapy("inspect", site.url("/secret"), env=NOWHERE)
    assert secret.code == 1
    assert "was not had" in secret.stderr
    assert "robots" in secret.stderr
    missing = run_scrapy("inspect", str(tmp_path / "none.html"), env=NOWHERE)
    assert missing.code == 1
    assert "cannot be read" in missing.stderr
    wrong = run_scrapy("inspect", str(tmp_path / "none.html"), "--links", "some", env=NOWHERE)
    assert wrong.code == 1
    assert "links" in wrong.stderr
