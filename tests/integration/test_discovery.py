"""What discovery asks of the database."""

from db import discovery, source_edits, sources
from db.connection import Connection
from db.models import Model
from db.sql import load
from lcl_spiders.discovery.candidates import Candidate
from lcl_spiders.discovery.config import DiscoveryConfig
from lcl_spiders.discovery.door import Decision, Door
from lcl_spiders.discovery.findings import Findings
from lcl_spiders.discovery.scoring import judge
from tests.support.index import Index, page
from tests.support.postgres import plan, rows

RECORD = {"score": 0.4, "checked_at": "2026-11-22T10:00:00+00:00", "reason": None, "kind": "listing", "evidence": []}


async def stored(connection: Connection, slug: str) -> tuple[object, ...]:
    (row,) = await rows(
        connection, "SELECT spider, enabled, confidence, discovery FROM scraper_sources WHERE slug = %s", slug
    )
    return row


async def test_a_candidate_is_stored_with_its_evidence(connection: Connection) -> None:
    source, is_new = await discovery.store(
        connection, "https://example.net/a", kind="listing", enabled=False, score=0.4, discovery=RECORD
    )
    assert is_new
    assert await stored(connection, source.slug) == ("listing", False, 0.4, RECORD)


async def test_a_known_source_is_never_changed(connection: Connection) -> None:
    known, _ = await sources.add(connection, "https://example.net/a", slug="mine")
    source, is_new = await discovery.store(
        connection, "https://example.net/a", kind="listing", enabled=False, score=0.4, discovery=RECORD
    )
    assert (source, is_new) == (known, False)
    assert await stored(connection, "mine") == ("website", True, None, None)


async def test_known_means_the_same_url_or_the_same_domain_and_never_a_part_of_one(connection: Connection) -> None:
    for number, url in enumerate(("https://example.net/a", "https://example.net/b", "https://www.example.net/")):
        await sources.add(connection, url, slug=f"s{number}")

    async def known(url: str, domain: str) -> list[str]:
        return [each.slug for each in await discovery.known(connection, [url], [domain])]

    assert await known("https://example.net/c", "example.net") == ["s0", "s1"]
    assert await known("https://example.net/a", "none.example") == ["s0"]
    assert await known("https://ample.net/", "ample.net") == []
    assert await known("https://example.net%", "%") == []


async def test_known_sources_are_found_by_index_among_many(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO scraper_sources (slug, start_url, domain) "
        "SELECT 's' || n, 'https://' || n || '.example/', n || '.example' FROM generate_series(1, 5000) AS n"
    )
    await connection.execute("ANALYZE scraper_sources")
    asked = {"urls": ["https://7.example/", "https://x.example/"], "domains": ["7.example", "x.example"]}
    assert "Seq Scan" not in await plan(connection, load("discovery")["known"], asked)


async def test_only_what_discovery_added_and_nobody_touched_waits(connection: Connection) -> None:
    found = {}
    for name, enabled in (("weak", False), ("strong", True)):
        found[name], _ = await discovery.store(
            connection, f"https://{name}.example/", kind="website", enabled=enabled, score=0.4, discovery=RECORD
        )
    by_hand, _ = await sources.add(connection, "https://hand.example/", enabled=False)
    domains = [each.domain for each in (*found.values(), by_hand)]
    known = await discovery.known(connection, [], domains)
    assert {each.slug for each in known if each.is_waiting} == {found["weak"].slug}


async def test_judging_again_keeps_the_settings(connection: Connection) -> None:
    source, _ = await discovery.store(
        connection, "https://example.net/", kind="listing", enabled=False, score=0.1, discovery=RECORD
    )
    again = {**RECORD, "score": 0.8}
    await discovery.judge_again(connection, source.id, enabled=True, score=0.8, discovery=again)
    assert await stored(connection, source.slug) == ("listing", True, 0.8, again)


async def test_domains_are_ranked_by_the_sites_that_link_to_them_and_not_by_the_pages(
    connection: Connection, index: Index, model: Model
) -> None:
    other = await Index.opened(connection, (await sources.add(connection, "https://other.example/"))[0], model)
    footer = ["http://footer.example/about", "https://www.facebook.com/x", "https://other.example/", index.url("p1")]
    for number in range(5):
        await index.write(page(index.url(f"p{number}"), f"text {number}", outlinks=footer))
    both = ["http://both.example/1", "https://both.example/2", "https://shared.example:8443/"]
    await index.write(page(index.url("a"), "a", outlinks=both[:2]))
    await other.write(page(other.url("b"), "b", outlinks=both[1:]))

    found = await discovery.most_linked(connection, noise=["facebook.com"], limit=10)

    assert [(each.start_url, each.sites, each.pages) for each in found] == [
        ("https://both.example/", 2, 2),
        ("http://footer.example/", 1, 5),
        ("https://shared.example:8443/", 1, 1),
    ]
    assert len(await discovery.most_linked(connection, noise=["both.example", "facebook.com"], limit=1)) == 1


async def test_a_guess_that_names_no_host_is_no_candidate(connection: Connection) -> None:
    config = DiscoveryConfig()
    door = Door(connection, config)
    decisions = []
    for url, is_guess in (("https://visitnowhere.example/", True), ("https://typed.example/", False)):
        absent = Findings(url, url, failure="there is no such host", is_silent=True, is_absent=True)
        result = await door.settle(Candidate(url, "x", is_guess=is_guess), absent, judge(absent, config), None)
        decisions.append(result.decision)
    assert decisions == [Decision.ABSENT, Decision.REVIEW]
    assert await rows(connection, "SELECT start_url FROM scraper_sources") == [("https://typed.example/",)]


async def test_two_candidates_that_lead_to_one_domain_become_one_source(connection: Connection) -> None:
    config = DiscoveryConfig()
    for dry_run in (True, False):
        door = Door(connection, config, dry_run=dry_run)
        decisions = []
        for name in ("a", "b"):
            found = Findings(f"https://{name}.example/", f"https://www.example/{name}", failure="it answered 404")
            result = await door.settle(Candidate(found.url, "x"), found, judge(found, config), None)
            decisions.append(result.decision)
        assert decisions == [Decision.REVIEW, Decision.KNOWN]
    assert await rows(connection, "SELECT start_url FROM scraper_sources") == [("https://www.example/a",)]


async def test_a_candidate_that_was_rejected_or_reviewed_waits_no_more(connection: Connection) -> None:
    waiting, rejected, reviewed = [
        (await discovery.store(connection, f"https://{name}.example/", kind="website", enabled=False, score=0.5,
                               discovery={"score": 0.5}))[0]
        for name in ("waiting", "rejected", "reviewed")
    ]  # fmt: skip
    await source_edits.reject(connection, rejected.id)
    await sources.set_enabled(connection, reviewed.id, enabled=False)

    known = await discovery.known(connection, [], [each.domain for each in (waiting, rejected, reviewed)])

    assert {each.slug: each.is_waiting for each in known} == {
        waiting.slug: True,
        rejected.slug: False,
        reviewed.slug: False,
    }


async def test_judging_again_is_no_review(connection: Connection) -> None:
    source, _ = await discovery.store(
        connection, "https://a.example/", kind="website", enabled=False, score=0.5, discovery={"score": 0.5}
    )

    await discovery.judge_again(connection, source.id, enabled=False, score=0.6, discovery={"score": 0.6})

    assert [each.slug for each in await source_edits.waiting_for_review(connection)] == [source.slug]
