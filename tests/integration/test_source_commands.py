"""`scrapy sources` as an operator runs it, where more than one source or a file is concerned."""

import json
import tomllib
from pathlib import Path

from psycopg.types.json import Jsonb

from db import sources
from db.connection import Connection
from db.locks import DomainLock
from tests.support.index import Index, page
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy

TEXT = '[sources.a]\nurl = "https://a.example"\nrefresh_interval = "6h"\n'


async def test_a_file_is_synced_exported_and_unchanged_then(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(TEXT)

    tried = run_scrapy("sources", "sync", str(path), "--dry-run", database_url=database_url)
    assert tried.stdout.splitlines() == [
        "+ a  https://a.example/",
        "this would be: 1 added, 0 changed, 0 unchanged, 0 not in the file",
    ]
    assert await value(connection, "SELECT count(*) FROM scraper_sources") == 0

    run_scrapy("sources", "sync", str(path), database_url=database_url)
    exported = run_scrapy("sources", "export", database_url=database_url).stdout
    assert tomllib.loads(exported) == {"sources": {"a": {"url": "https://a.example/", "refresh_interval": "6h"}}}
    path.write_text(exported)
    again = run_scrapy("sources", "sync", str(path), "--json", database_url=database_url)
    assert json.loads(again.stdout)["unchanged"] == ["a"]


async def test_a_wrong_line_is_told_with_file_line_and_field_and_changes_nothing(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(f'{TEXT}max_pages = 0\n[sources.b]\nurl = "b"\n')
    ended = run_scrapy("sources", "sync", str(path), database_url=database_url)
    assert (ended.code, ended.stdout) == (1, "")
    first, second, last = ended.stderr.splitlines()
    assert f"{path}:4: sources.a.max_pages: " in first
    assert f"{path}:6: sources.b.url: " in second
    assert last == "scrapy sources: nothing was changed"
    assert await value(connection, "SELECT count(*) FROM scraper_sources") == 0


async def test_set_shows_before_and_after(connection: Connection, database_url: str) -> None:
    source, _ = await sources.add(connection, "https://a.example/", config={"deny": ["/x"]})
    done = run_scrapy("sources", "set", source.slug, "max_pages=5", "deny=", database_url=database_url)
    assert done.stdout.splitlines() == ['a-example: deny: ["/x"] -> []', "a-example: max_pages: 10000 -> 5"]
    assert (await sources.get(connection, source.slug)).config == {"max_pages": 5}


async def test_a_source_is_removed_only_when_that_is_meant_and_no_run_holds_it(
    connection: Connection, database_url: str, index: Index
) -> None:
    await index.write(page(index.url("1"), "one", "two"), page(index.url("2"), "three"))
    slug = index.source.slug

    unsure = run_scrapy("sources", "remove", slug, database_url=database_url)
    assert unsure.code == 1
    assert "2 pages in 3 chunks" in unsure.stderr
    assert "--yes" in unsure.stderr

    lock = DomainLock(database_url, index.source.domain)
    assert await lock.acquire()
    busy = run_scrapy("sources", "remove", slug, "--yes", database_url=database_url)
    await lock.release()
    assert (busy.code, "holds the domain" in busy.stderr) == (1, True)
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 2

    done = run_scrapy("sources", "remove", slug, "--yes", database_url=database_url)
    assert done.code == 0, done.stderr
    assert await rows(connection, "SELECT 1 FROM scraper_sources UNION ALL SELECT 2 FROM page_embeddings") == []


async def test_a_candidate_is_reviewed_by_its_evidence_and_rejected(connection: Connection, database_url: str) -> None:
    source, _ = await sources.add(connection, "https://a.example/", slug="a", enabled=False)
    evidence = [
        {"name": "sitemap", "score": 1.0, "weight": 0.2, "value": "sitemap.xml, 120 pages"},
        {"name": "events", "score": 0.0, "weight": 0.3, "value": None},
    ]
    discovery = {"score": 0.46, "reason": None, "evidence": evidence}
    await connection.execute("UPDATE scraper_sources SET discovery = %s", (Jsonb(discovery),))

    listed = run_scrapy("sources", "review", database_url=database_url).stdout
    assert listed.splitlines()[1].split() == ["a", "https://a.example/", "website", "0.46"]
    shown = run_scrapy("sources", "review", "a", database_url=database_url).stdout
    assert "score 0.46" in shown
    assert "sitemap.xml, 120 pages" in shown

    assert run_scrapy("sources", "review", "a", "--reject", database_url=database_url).code == 0
    assert "No source waits" in run_scrapy("sources", "review", database_url=database_url).stdout
    assert "rejected in review" in run_scrapy("sources", "list", database_url=database_url).stdout
    assert not (await sources.get(connection, str(source.id))).enabled


async def test_a_source_that_finds_nothing_is_flagged(connection: Connection, database_url: str) -> None:
    source, _ = await sources.add(connection, "https://a.example/", slug="a")
    await connection.execute(
        """
        INSERT INTO scrape_jobs (source_id, trigger, status, finish_reason, queued_at)
        SELECT %s, 'manual', 'failed', 'yield_collapse', now() - n * interval '1 day' FROM generate_series(1, 5) AS n
        """,
        (source.id,),
    )
    for command in (("sources", "list", "--state", "empty"), ("sources", "show", "a"), ("status",)):
        assert "enabled; empty, 5 runs" in run_scrapy(*command, database_url=database_url).stdout, command
    found = json.loads(run_scrapy("doctor", "--json", database_url=database_url).stdout)
    (told,) = [each for each in found if each["check"] == "yield"]
    assert (told["state"], told["found"]) == ("note", "the last 5 runs found nothing: a")
