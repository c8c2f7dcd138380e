"""The project on a real scrapyd: deployed as an egg, scheduled by its API, with a password (B12, A4, A19, A25)."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest
import requests

from db.connection import Connection, connect
from tests.support.crawl import contents, succeeded
from tests.support.door import PATIENT, closed_site
from tests.support.fleet import local_sites, register
from tests.support.postgres import rows, until_true
from tests.support.scrapy import ROOT, run_scrapy
from tests.support.scrapyd import PARTS, PROJECT, Scrapyd, as_scrapyd_settings, running_scrapyd
from tests.support.site import small_town

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SETTINGS = as_scrapyd_settings(PATIENT)


@pytest.fixture(scope="module")
def homeless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrapyd]:
    """A scrapyd with the project, and without DATABASE_URL."""
    with running_scrapyd(tmp_path_factory.mktemp("scrapyd"), database_url=None) as scrapyd:
        scrapyd.deploy()
        yield scrapyd


async def test_crawls_that_scrapyd_schedules_step_aside_for_each_other_and_leave_what_single_runs_leave(
    connection: Connection, database_url: str, make_database: Callable[[str], str], template: str, tmp_path: Path
) -> None:
    with closed_site(small_town()) as (site, door), local_sites(1) as (other,):
        (slug,) = await register(connection, [site])
        with running_scrapyd(tmp_path, database_url) as scrapyd:
            assert scrapyd.deploy()["status"] == "ok"
            listed = scrapyd.get("listspiders", project=PROJECT)["spiders"]
            assert listed == run_scrapy("list", database_url=database_url).stdout.split()
            assert {"source", "website", slug} <= {*listed}

            (late_slug,) = await register(connection, [other])
            jobs = [
                scrapyd.schedule(slug, *SETTINGS),
                scrapyd.schedule("source", *SETTINGS, slug=slug),
                scrapyd.schedule("source", *SETTINGS, slug=late_slug, max_pages="9"),
            ]
            await until_true(connection, "SELECT EXISTS (SELECT FROM scrape_jobs WHERE status = 'skipped')")
            door.open()
            scrapyd.wait_for(*jobs)

            status = scrapyd.get("daemonstatus")
            assert (status["pending"], status["running"], status["finished"]) == (0, 0, 3)
        assert await rows(
            connection,
            "SELECT s.slug, j.status, j.finish_reason, j.trigger, j.args -> 'max_pages' FROM scrape_jobs AS j "
            "JOIN scraper_sources AS s ON s.id = j.source_id ORDER BY s.domain = %s, j.status",
            other.domain,
        ) == [
            (slug, "skipped", "domain_locked", "scrapyd", None),
            (slug, "succeeded", "finished", "scrapyd", None),
            (late_slug, "succeeded", "finished", "scrapyd", 9),
        ]

        alone_url = make_database(template)
        for each in (site, other):
            succeeded(each, alone_url)
    async with connect(alone_url) as alone:
        assert await contents(connection) == await contents(alone)


def test_without_a_database_the_job_says_which_setting_is_missing(homeless: Scrapyd) -> None:
    job = homeless.schedule("source", slug="example")
    homeless.wait_for(job)

    assert "no database: set DATABASE_URL" in homeless.log("source", job)
    assert "Process died: exitstatus=1" in homeless.said


@pytest.mark.parametrize("auth", [None, ("operator", "guessed")], ids=["nobody", "a wrong password"])
def test_who_cannot_say_the_password_is_told_nothing(homeless: Scrapyd, auth: tuple[str, str] | None) -> None:
    for path in ("", "daemonstatus.json", "listprojects.json", f"logs/{PROJECT}/"):
        assert requests.get(homeless.url + path, auth=auth, timeout=60).status_code == 401


def test_the_egg_has_every_file_of_the_packages(homeless: Scrapyd) -> None:
    folders = [ROOT / part for part in PARTS if (ROOT / part).is_dir()]
    files = {
        file.relative_to(ROOT).as_posix()
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }

    with zipfile.ZipFile(homeless.egg()) as egg:
        assert files - {*egg.namelist()} == set()
