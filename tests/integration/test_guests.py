"""What the add-on promises to spiders of other projects, as docs/addon.md says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from db.locks import DomainLock
from tests.support.guests import SITE, Crawl, page, tell
from tests.support.postgres import rows, value
from tests.support.site import html, prose

if TYPE_CHECKING:
    from db.connection import Connection

PICKY = {"ITEM_PIPELINES": {"tests.support.guests.Picky": 300}}
TEXTS = {name: "\n\n".join(prose(name, 2)) for name in ("bridge", "harbour", "library", "market")}


def town(*names: str) -> list[dict[str, Any]]:
    return [page(name, TEXTS[name], title=name.title()) for name in names or TEXTS]


async def indexed(connection: Connection) -> dict[str, tuple[str | None, str | None, int]]:
    """Return title, language and number of chunks of each page, by its path."""
    found = await rows(
        connection,
        """
        SELECT p.url, p.title, p.language, (SELECT count(*) FROM page_embeddings WHERE page_id = p.id)
        FROM scraped_pages AS p
        ORDER BY p.url
        """,
    )
    return {url.removeprefix(SITE): (title, language, chunks) for url, title, language, chunks in found}


async def test_items_of_every_class_are_indexed_and_come_out_as_they_went_in(
    database_url: str, connection: Connection
) -> None:
    crawl = Crawl()
    for kind, name in zip(("dict", "DataclassPage", "AttrsPage", "ScrapyPage"), TEXTS, strict=True):
        crawl = crawl.of(page(name, TEXTS[name]), kind=kind)
    crawl = crawl.of({"url": SITE + "boat", "name": "boat"}, kind="Product").of({"name": "no page"})
    (told,), _ = tell(database_url, crawl)

    assert (told.status, told.reason, told.untouched) == ("succeeded", "finished", True)
    assert sorted(told.items, key=str) == sorted([(kind, _filled(kind, item)) for kind, item in crawl.items], key=str)
    found = await indexed(connection)
    assert list(found) == sorted(TEXTS)
    assert all(chunks > 0 for _, _, chunks in found.values())
    assert {name: told.counters[name] for name in ("requests/sent", "items/pages", "items/other", "pages/new")} == {
        "requests/sent": 1,
        "items/pages": 4,
        "items/other": 2,
        "pages/new": 4,
    }
    stored = "SELECT slug, start_url, domain, spider, enabled FROM scraper_sources"
    assert await rows(connection, stored) == [("teller", SITE, "town.example", "teller", False)]


def _filled(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, dict[str, Any]] = {
        "DataclassPage": {"title": None, "price": 0},
        "AttrsPage": {"rating": 0.5},
    }
    return {**item, **defaults.get(kind, {})}


async def test_a_second_run_embeds_what_changed_and_keeps_what_was_not_yielded(
    database_url: str, connection: Connection
) -> None:
    changed = page("harbour", TEXTS["harbour"] + "\n\nThe last boat leaves at ten.", title="Harbour")
    first, second = Crawl().of(*town()), Crawl().of(*town("bridge", "library"), changed)
    told, _ = tell(database_url, first, second, first)

    assert [each.status for each in told] == ["succeeded"] * 3
    again = told[1].counters
    assert (again["pages/unchanged"], again["pages/changed"], again["pages/unasked"]) == (2, 1, 1)
    assert 0 < again["chunks/embedded"] < told[0].counters["chunks/embedded"]
    assert again["saved/body/pages"] == 2
    assert list(await indexed(connection)) == sorted(TEXTS)
    assert told[2].counters["pages/changed"] == 1
    assert told[2].counters["chunks/embedded"] <= 1


async def test_a_page_leaves_by_404_or_410_alone(database_url: str, connection: Connection) -> None:
    def gone(name: str, **more: Any) -> dict[str, Any]:
        return {"url": SITE + name, "outcome": "gone", **more}

    without_evidence = Crawl().of(*town("bridge"), gone("harbour"), gone("library", http_status=403))
    cut_short = Crawl(ends="enough").of(*town("bridge", "harbour"), gone("market", http_status=404))
    with_evidence = Crawl().of(*town("bridge", "harbour"), gone("library", http_status=410))
    told, _ = tell(database_url, Crawl().of(*town()), without_evidence, cut_short, with_evidence)

    assert told[1].counters["pages/failed"] == 2
    assert (told[2].status, told[2].counters["pages/left_unjudged"]) == ("failed", 1)
    assert (told[3].status, told[3].counters["pages/gone"]) == ("succeeded", 1)
    assert list(await indexed(connection)) == ["bridge", "harbour", "market"]
    assert await rows(connection, "SELECT url, reason, http_status FROM page_tombstones") == [
        (SITE + "library", "http_410", 410)
    ]


async def test_documents_are_read_and_what_they_do_not_say_stays_missing(
    database_url: str, connection: Connection
) -> None:
    plain = f"<html><body><main><p>{'</p><p>'.join(prose('bridge'))}</p></main></body></html>"
    hidden = html("Hidden", prose("market"), head='<meta name="robots" content="noindex">')
    items = [
        {"url": SITE + "a", "html": html("Harbour", prose("harbour"))},
        {"url": SITE + "b", "body": html("Library", prose("library")), "title": "A better title", "language": "en-GB"},
        {"url": SITE + "c", "html": plain},
        {"url": SITE + "d", "html": hidden},
        {"url": SITE + "e", "html": ""},
    ]
    told, _ = tell(database_url, Crawl().of(*items), Crawl().of(*items[:3]))

    found = await indexed(connection)
    assert {path: (title, language) for path, (title, language, _) in found.items()} == {
        "a": ("Harbour", "en"),
        "b": ("A better title", "en"),
        "c": (None, "en"),  # by its text
    }
    assert all(chunks > 0 for _, _, chunks in found.values())
    assert await rows(connection, "SELECT url, kind FROM failed_pages") == [(SITE + "e", "empty_body")]
    assert told[1].counters["saved/body/pages"] == 3


async def test_a_bad_item_fails_its_page_alone_and_the_page_keeps_its_old_version(
    database_url: str, connection: Connection
) -> None:
    bad = [
        page("harbour", "", content=["a list", "of getall"]),
        page("library", "half of a character: \ud800"),
        {"url": SITE + "market", "content": None},
        {"url": "/relative", "content": "text"},
        {"url": None, "content": "text"},
    ]
    told, log = tell(database_url, Crawl().of(*town()), Crawl().of(*town("bridge"), *bad), Crawl().of(*town()))

    assert (told[1].status, told[1].reason) == ("failed", "too_many_failures")
    assert (told[1].counters["pages/failed"], told[1].counters["items/without_url"]) == (5, 2)
    assert len(told[1].items) == 6
    assert list(await indexed(connection)) == sorted(TEXTS)
    assert "not an absolute http or https URL: '/relative'" in log
    assert "content is list, not text" in log
    assert told[2].counters["pages/unchanged"] == 4
    assert await value(connection, "SELECT count(*) FROM failed_pages") == 0


async def test_what_a_pipeline_of_the_project_drops_or_breaks_is_not_indexed(
    database_url: str, connection: Connection
) -> None:
    crawl = Crawl(settings=PICKY).of(*town("bridge"), page("x", "unwanted"), page("y", "broken"))
    (told,), _ = tell(database_url, crawl)

    assert (told.status, told.counters["items/failed"]) == ("succeeded", 1)
    assert list(await indexed(connection)) == ["bridge"]


async def test_a_run_that_finds_too_little_fails_unless_it_was_to_be_partial_or_short(database_url: str) -> None:
    short = {"CLOSESPIDER_ITEMCOUNT": 1}
    told, log = tell(
        database_url,
        Crawl().of(*town()),
        Crawl().of({"name": "not a page"}),
        Crawl().of(*town("bridge")),
        Crawl(settings={"LCL_PARTIAL_RUNS": True}),
        Crawl(settings=short).of(*town("bridge")),
        Crawl().of(*town("bridge"), *town("bridge")),
        Crawl(arguments={"allow_mass_delete": "yes"}).of(*town("bridge")),
    )

    assert [(each.status, each.reason) for each in told] == [
        ("succeeded", "finished"),
        ("failed", "yield_collapse"),
        ("failed", "yield_collapse"),
        ("succeeded", "max_pages"),
        ("succeeded", "max_pages"),
        ("failed", "yield_collapse"),
        ("succeeded", "finished"),
    ]
    assert "none of 1 items is about a page" in (told[1].message or "")
    assert "LCL_PARTIAL_RUNS = True" in (told[2].message or "")
    assert told[5].counters["pages/repeated"] == 1
    assert log.count("yield_collapse") >= 3


async def test_reembed_embeds_every_page_again(database_url: str) -> None:
    crawl = Crawl().of(*town())
    told, _ = tell(database_url, crawl, Crawl(crawl.items, arguments={"reembed": "true"}))
    assert told[1].counters["pages/reembedded"] == 4
    assert told[1].counters["chunks/embedded"] == told[0].counters["chunks/embedded"]


async def test_one_run_at_a_time_crawls_a_site_and_the_other_is_skipped(
    database_url: str, connection: Connection
) -> None:
    lock = DomainLock(database_url, "town.example")
    assert await lock.acquire()
    try:
        (told, other), _ = tell(database_url, Crawl().of(*town()), Crawl(spider="town_news").of(*town()))
    finally:
        await lock.release()
    for each in (told, other):
        assert (each.status, each.reason, each.exit_code, each.items) == ("skipped", "domain_locked", 75, [])
    assert await value(connection, "SELECT count(*) FROM scraped_pages") == 0


async def test_spiders_of_one_site_have_sources_of_their_own(database_url: str, connection: Connection) -> None:
    tell(database_url, Crawl().of(*town("bridge")), Crawl(spider="town_news").of(*town("market")))
    found = await rows(
        connection,
        "SELECT s.slug, s.start_url, p.url FROM scraper_sources AS s JOIN scraped_pages AS p ON p.source_id = s.id "
        "ORDER BY s.slug",
    )
    assert found == [("teller", SITE, SITE + "bridge"), ("town-news", SITE + "news/", SITE + "market")]


MISTAKES = {
    "Set LCL_SOURCE_URL to where the site begins": Crawl(spider="nowhere"),
    "LCL_SOURCE_URL is no address": Crawl(settings={"LCL_SOURCE_URL": "town"}),
    "set LCL_SOURCE to a name for it": Crawl(settings={"LCL_SOURCE": "website"}),
    "on another domain. Set LCL_SOURCE": Crawl(settings={"LCL_SOURCE_URL": "https://other.example/"}),
    "is the source teller already, of the spider": Crawl(spider="town_news", settings={"LCL_SOURCE_URL": SITE}),
    "must be of lower case letters": Crawl(settings={"LCL_SOURCE": "A b", "LCL_SOURCE_URL": SITE + "a"}),
    "reembed='maybe' is neither true nor false": Crawl(arguments={"reembed": "maybe"}),
    "LCL_ITEM_FIELDS names address": Crawl(settings={"LCL_ITEM_FIELDS": {"address": "url"}}),
    "LCL_INDEX_ENABLED='perhaps' is neither true nor": Crawl(settings={"LCL_INDEX_ENABLED": "perhaps"}),
    "LCL_PARTIAL_RUNS='now and then' is neither": Crawl(settings={"LCL_PARTIAL_RUNS": "now and then"}),
    "LCL_CHUNK_SIZE is 'large'": Crawl(settings={"LCL_CHUNK_SIZE": "large"}),
}


async def test_what_cannot_be_crawled_as_it_is_set_ends_before_the_first_item(
    database_url: str, connection: Connection
) -> None:
    crawls = [crawl.of(*town("market")) for crawl in MISTAKES.values()]
    told, _ = tell(database_url, Crawl().of(*town("bridge")), *crawls)
    wrong = {
        says: each
        for says, each in zip(MISTAKES, told[1:], strict=True)
        if says not in (each.message or "") or (each.items, each.exit_code) != ([], 1)
    }
    assert wrong == {}
    assert list(await indexed(connection)) == ["bridge"]


def test_without_a_database_the_run_ends_and_the_switch_crawls_without_index() -> None:
    crawl = Crawl().of(*town())
    off = Crawl(crawl.items, settings={"LCL_INDEX_ENABLED": "false"})
    (refused, crawled), log = tell("postgresql://user:secret@127.0.0.1:1/none", crawl, off)

    assert (refused.status, refused.reason, refused.items) == ("failed", "database_unavailable", [])
    assert "secret" not in log
    assert (crawled.status, len(crawled.items)) == (None, 4)
