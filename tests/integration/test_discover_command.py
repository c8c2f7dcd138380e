"""`scrapy discover`, as an operator runs it, against sites of every sort."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from threading import Event
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from lcl_spiders.local_site import Drip, LocalSite, Page
from tests.support.scrapy import run_scrapy, start_scrapy
from tests.support.site import html, prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUICK = {"LCL_DISCOVERY_TIMEOUT": "2", "LCL_DISCOVERY_DELAY": "0"}
EVENT = '<script type="application/ld+json">{"@type": "Event", "name": "Tide", "startDate": "2027-01-02"}</script>'
KEY = "key-that-nobody-may-see"


def agenda() -> dict[str, str]:
    """A site that can be read, of pages with event data."""
    pages = {f"/events/{n}": html(f"Event {n}", prose(f"event {n}"), head=EVENT) for n in range(1, 9)}
    return {"/": html("Agenda", prose("agenda"), links=list(pages)), **pages}


def listing() -> dict[str, str]:
    """An agenda whose start page is a list of cards, and that has a sitemap at the usual place."""
    pages = {f"/e/{n}": html(f"Event {n}", prose(f"event {n}")) for n in range(1, 13)}
    cards = "".join(f'<li><a href="{path}">{path} in the town hall</a> at eight in the evening</li>' for path in pages)
    urls = "".join(f"<url><loc>http://SITE{path}</loc></url>" for path in pages)
    return {"/": f'<html lang="nl"><title>A</title><body><ul>{cards}</ul></body></html>', **pages, "/sitemap.xml": urls}


def feed() -> dict[str, str]:
    """A feed at the root of its site, and the pages that it leads to."""
    pages = {f"/post/{n}": html(f"Post {n}", prose(f"post {n}")) for n in range(1, 5)}
    items = "".join(f"<item><title>A</title><link>http://SITE{path}</link></item>" for path in pages)
    return {"/": f'<rss version="2.0"><channel><title>Posts</title>{items}</channel></rss>', **pages}


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, LocalSite]]:
    """One site of every sort."""
    home = html("Home", prose("home"))
    hanging = Page("never", delay=3_600)
    sorts: dict[str, dict[str, Any]] = {
        "agenda": agenda(),
        "listing": listing(),
        "feed": feed(),
        "poor": {"/": "<title>Poor</title><p>Hello.</p>"},
        "gone": {},
        "forbidden": {"/robots.txt": "User-agent: *\nDisallow: /\n", "/": home},
        "broken robots": {"/robots.txt": Page(status=503), "/": home},
        "hanging": {"/robots.txt": hanging, "/": hanging},
        "dripping": {"/": Page(home, drip=Drip(size=1, pause=0.5))},
        "looping": {
            "/": Page(status=302, headers={"Location": "/a"}),
            "/a": Page(status=302, headers={"Location": "/"}),
        },
        "shell": {"/": '<html lang="en"><title>App</title><body><div id="app"></div><script src="/app.js"></script>'},
        "parked": {"/": "<title>x</title><body>This domain is for sale.</body>"},
        "image": {"/": Page(b"\x89PNG\r\n\x1a\n", content_type="image/png")},
        "known": {"/": home},
        "moved": {},
    }
    with ExitStack() as stack:
        running = {sort: stack.enter_context(LocalSite(pages)) for sort, pages in sorts.items()}
        running["moved"]["/"] = Page(status=301, headers={"Location": running["known"].url("/home")})
        sitemap = str(running["listing"]["/sitemap.xml"].body).replace("SITE", running["listing"].domain)
        rss = str(running["feed"]["/"].body).replace("SITE", running["feed"].domain)
        running["feed"]["/"] = Page(rss, content_type="application/rss+xml")
        running["listing"]["/sitemap.xml"] = (
            f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{sitemap}</urlset>'
        )
        yield running


@pytest.fixture(scope="module")
def url(make_database: Callable[[str], str], template: str, sites: dict[str, LocalSite]) -> str:
    """A database in which one of the sites is a source."""
    url = make_database(template)
    known = sites["known"]
    query(
        url, "INSERT INTO scraper_sources (slug, start_url, domain) VALUES ('known', %s, %s)", known.url(), known.domain
    )
    return url


@pytest.fixture(scope="module")
def results(sites: dict[str, LocalSite], url: str) -> dict[str, dict[str, Any]]:
    """What one run over all of the sites printed, by sort."""
    named = [site.url() for site in sites.values()]
    ended = run_scrapy("discover", *named, "--json", database_url=url, env=QUICK, timeout=120)
    assert ended.code == 0, ended.stderr
    by_url = {result["url"]: result for result in json.loads(ended.stdout)}
    return {sort: by_url[site.url()] for sort, site in sites.items()}


def query(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def evidence(result: dict[str, Any]) -> dict[str, float]:
    return {each["name"]: each["score"] for each in result["evidence"]}


def test_a_good_agenda_is_enabled(results: dict[str, dict[str, Any]]) -> None:
    result = results["agenda"]
    assert (result["decision"], result["kind"], result["reason"]) == ("enabled", "website", None)
    assert result["score"] >= 0.70
    assert evidence(result) | {"sitemap": 0, "feed": 0} == evidence(result)
    assert evidence(result)["structured"] == evidence(result)["text"] == 1.0


def test_a_start_page_of_cards_is_proposed_as_a_listing(results: dict[str, dict[str, Any]]) -> None:
    result = results["listing"]
    assert (result["decision"], result["kind"]) == ("enabled", "listing")
    (sitemap,) = (each["value"] for each in result["evidence"] if each["name"] == "sitemap")
    assert sitemap == "12 URLs in /sitemap.xml"


def test_a_feed_is_proposed_as_one_and_judged_by_the_pages_it_leads_to(results: dict[str, dict[str, Any]]) -> None:
    result = results["feed"]
    assert (result["decision"], result["kind"], result["start_url"]) == ("enabled", "feed", result["url"])
    assert evidence(result)["feed"] == evidence(result)["text"] == 1.0


def test_a_poor_site_waits_for_review(results: dict[str, dict[str, Any]]) -> None:
    result = results["poor"]
    assert result["decision"] == "waits for review"
    assert 0 < result["score"] < 0.70
    assert "structured" in result["reason"]


def test_a_site_that_needs_scripts_waits_for_review_and_says_so(results: dict[str, dict[str, Any]]) -> None:
    assert results["shell"]["decision"] == "waits for review"
    assert 0 < results["shell"]["score"] < 0.70
    assert "render=always" in results["shell"]["reason"]


@pytest.mark.parametrize(
    ("sort", "reason"),
    [
        ("gone", "404"),
        ("forbidden", "robots.txt forbids it"),
        ("broken robots", "503"),
        ("hanging", "no whole answer within 2 s"),
        ("dripping", "no whole answer within 2 s"),
        ("looping", "redirects do not end"),
        ("parked", "parked"),
        ("image", "image/png"),
    ],
)
def test_what_is_no_site_scores_zero_with_its_reason(
    results: dict[str, dict[str, Any]], sort: str, reason: str
) -> None:
    assert (results[sort]["score"], results[sort]["decision"]) == (0.0, "waits for review")
    assert reason in results[sort]["reason"]


@pytest.mark.parametrize("sort", ["known", "moved"])
def test_a_source_and_what_leads_to_it_are_already_known(results: dict[str, dict[str, Any]], sort: str) -> None:
    assert (results[sort]["decision"], results[sort]["source"]) == ("already known", "known")


def test_a_known_site_is_not_asked(results: dict[str, dict[str, Any]], sites: dict[str, LocalSite]) -> None:
    assert [request.path for request in sites["known"].requests if request.path == "/"] == []


def test_a_forbidden_site_is_asked_for_its_robots_alone(
    results: dict[str, dict[str, Any]], sites: dict[str, LocalSite]
) -> None:
    assert {request.path for request in sites["forbidden"].requests} == {"/robots.txt"}


def test_as_many_pages_are_sampled_as_the_setting_says(
    results: dict[str, dict[str, Any]], sites: dict[str, LocalSite]
) -> None:
    assert sum(request.path.startswith("/events/") for request in sites["agenda"].requests) == 5


def test_every_judged_candidate_is_stored_with_its_evidence(results: dict[str, dict[str, Any]], url: str) -> None:
    stored = {row[0]: row[1:] for row in query(url, "SELECT slug, enabled, confidence, discovery FROM scraper_sources")}
    judged = [result for result in results.values() if result["decision"] != "already known"]
    assert len(stored) == len(judged) + 1
    for result in judged:
        enabled, confidence, discovery = stored[result["source"]]
        assert (enabled, confidence) == (result["decision"] == "enabled", result["score"])
        assert discovery == {name: result[name] for name in ("score", "checked_at", "reason", "kind", "evidence")}


def test_discovering_twice_changes_nothing(
    results: dict[str, dict[str, Any]], sites: dict[str, LocalSite], url: str
) -> None:
    before = query(url, "SELECT * FROM scraper_sources ORDER BY slug")
    asked = {sort: len(site.requests) for sort, site in sites.items()}
    ended = run_scrapy("discover", *(site.url() for site in sites.values()), database_url=url, env=QUICK)
    assert ended.code == 0
    assert f"{len(sites)} already known" in ended.stdout
    assert query(url, "SELECT * FROM scraper_sources ORDER BY slug") == before
    assert {sort for sort, site in sites.items() if len(site.requests) > asked[sort]} <= {
        "moved",  # no source of its own: only asking tells where it leads
        "known",
    }


def test_a_site_that_came_back_is_judged_again_when_asked_to(database_url: str) -> None:
    with LocalSite() as site:
        first = run_scrapy("discover", site.url(), "--json", database_url=database_url, env=QUICK)
        for path, page in agenda().items():
            site[path] = page
        again = run_scrapy("discover", site.url(), "--again", "--json", database_url=database_url, env=QUICK)
    assert [json.loads(each.stdout)[0]["decision"] for each in (first, again)] == ["waits for review", "enabled"]
    assert query(database_url, "SELECT enabled, confidence >= 0.7::real FROM scraper_sources") == [(True, True)]


def test_a_file_and_a_pattern_are_read_and_a_dry_run_stores_nothing(
    sites: dict[str, LocalSite], database_url: str, tmp_path: Any
) -> None:
    ports = [sites[sort].domain.rpartition(":")[2] for sort in ("agenda", "poor")]
    (tmp_path / "sites").write_text(f"# sites\n{sites['listing'].url()}\nhttps://www.facebook.com/somebody\n")
    (tmp_path / "places").write_text("\n".join(ports))
    ended = run_scrapy(
        *("discover", "--from", str(tmp_path / "sites"), "--dry-run", "--json"),
        *("--pattern", "http://127.0.0.1:{place}/", "--places", str(tmp_path / "places")),
        database_url=database_url,
        env=QUICK,
    )
    assert ended.code == 0, ended.stderr
    decisions = {result["url"]: result["decision"] for result in json.loads(ended.stdout)}
    assert decisions == {
        sites["agenda"].url(): "enabled",
        sites["listing"].url(): "enabled",
        sites["poor"].url(): "waits for review",
        "https://www.facebook.com/somebody": "noise domain",
    }
    assert query(database_url, "SELECT count(*) FROM scraper_sources") == [(0,)]


def test_links_and_a_search_lead_to_candidates(sites: dict[str, LocalSite], database_url: str) -> None:
    linked, found = sites["agenda"], sites["listing"]
    query(
        database_url,
        "INSERT INTO scraper_sources (slug, start_url, domain) VALUES ('a', 'https://a.example/', 'a.example')",
    )
    query(
        database_url,
        "INSERT INTO scraped_pages (source_id, url, content, content_hash, outlinks) "
        "SELECT id, start_url, '', '', %s FROM scraper_sources",
        [linked.url("/events/1"), "https://www.facebook.com/a"],
    )
    answer = json.dumps({"web": {"results": [{"url": found.url("/e/1")}, {"url": "https://twitter.com/a"}]}})
    with LocalSite({"/search": answer}) as engine:
        ended = run_scrapy(
            *("discover", "--from-links", "--search", "agenda", "--json"),
            database_url=database_url,
            env={**QUICK, "LCL_SEARCH_KEY": KEY, "LCL_SEARCH_URL": engine.url("/search")},
        )
        (asked,) = engine.requests
    assert ended.code == 0, ended.stderr
    by_url = {result["url"]: result for result in json.loads(ended.stdout)}
    assert {url: result["decision"] for url, result in by_url.items()} == {
        linked.url(): "enabled",
        found.url(): "enabled",
        "https://twitter.com/": "noise domain",
    }
    assert by_url[linked.url()]["origin"] == "linked by 1 sites, 1 pages"
    assert asked.headers["x-subscription-token"] == KEY
    assert KEY not in ended.stdout + ended.stderr


def test_when_nobody_answers_the_command_fails(database_url: str) -> None:
    with LocalSite() as site:
        url = site.url()
    ended = run_scrapy("discover", url, database_url=database_url, env=QUICK)
    assert ended.code == 1
    assert "online?" in ended.stderr
    assert "refuses connections" in ended.stdout


def test_what_was_judged_before_an_interruption_is_kept(sites: dict[str, LocalSite], database_url: str) -> None:
    asked = Event()

    def never(path: str) -> Page:
        asked.set()
        return Page(delay=3_600)

    patient = {**QUICK, "LCL_DISCOVERY_TIMEOUT": "300", "LCL_DISCOVERY_CONCURRENCY": "1"}
    with LocalSite(not_found=never) as hanging:
        process = start_scrapy("discover", sites["poor"].url(), hanging.url(), database_url=database_url, env=patient)
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "1 candidates are not judged" in stderr
    assert sites["poor"].url() in stdout
    assert query(database_url, "SELECT start_url FROM scraper_sources") == [(sites["poor"].url(),)]


@pytest.mark.parametrize(
    ("arguments", "env", "code", "says"),
    [
        ([], {}, 2, "--from-links"),
        (["--pattern", "https://{place}.nl/"], {}, 2, "--places"),
        (["example.org", "two words"], {}, 1, "two words"),
        (["--from", "/nowhere/sites"], {}, 1, "/nowhere/sites"),
        (["--search", "agenda"], {}, 1, "LCL_SEARCH_KEY"),
        (["example.org"], {"LCL_DISCOVERY_WEIGHTS": '{"fed": 1}'}, 1, "fed"),
    ],
)
def test_what_cannot_be_read_is_refused_before_any_request(
    arguments: list[str], env: dict[str, str], code: int, says: str, url: str
) -> None:
    ended = run_scrapy("discover", *arguments, database_url=url, env=env)
    assert ended.code == code
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
