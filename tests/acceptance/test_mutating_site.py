"""The mutating-site benchmark (C9) in small: eight refreshes of a site of forty pages, and nothing may be wrong."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from benchmarks.mutating_site import FAILURES, LIARS
from benchmarks.mutation_script import COMMON, PASSING, RARE, Script
from benchmarks.refresh import Crawled, environment, figures, play, problems
from benchmarks.score import EMPTY, Hidden, Index, Row, Score, Trust, Truth, Version, compare
from tests.support.scrapy import run_scrapy
from tests.support.site import html, prose

PAGES = 40
TOPICS = ("harbour", "library", "market", "bakery", "lighthouse", "museum", "orchard", "ferry")
TRUST = Trust(after=1, audit_every=3)


def page(number: int, links: list[str]) -> str:
    topic = f"{TOPICS[number % len(TOPICS)]} of quarter {number}"
    return html(topic.title(), prose(topic, 4 + number % 3), links)


def town() -> dict[str, str]:
    """A start page with links to a few pages, which lead to the others."""
    paths = ["/", *(f"/quarter-{number}.html" for number in range(1, PAGES))]
    return {
        path: page(number, ["/", *paths[number * 3 + 1 : number * 3 + 4], paths[(number + 7) % PAGES]])
        for number, path in enumerate(paths)
    }


def test_an_index_says_what_a_site_says_whatever_the_site_does(database_url: str) -> None:
    def crawl(start: str) -> Crawled:
        done = run_scrapy(
            *("crawl", "website", "-a", f"url={start}"),
            database_url=database_url,
            env=environment(TRUST),
            settings={"DOWNLOAD_TIMEOUT": "2", "RETRY_TIMES": "1", "LOG_LEVEL": "WARNING"},
        )
        return Crawled(done.code, done.stderr)

    spare = [page(number, ["/"]) for number in range(100, 110)]
    script = Script(town(), spare, start="/", rng=Random(3), refreshes=8, trust_after=TRUST.after, density=1)
    rounds = list(play(script, database_url, TRUST, crawl))

    kinds = {*COMMON, *RARE, *PASSING, *FAILURES, *(f"lying_{signal}" for signal in LIARS)}
    kinds |= {"removed_page", "returned", "soft_404s", "twin", "orphaned_twin"}
    assert {change.kind for change in script.changes} == kinds
    assert "\n".join(problems(rounds)) == ""
    assert [figure for figure in figures(rounds) if not figure.is_reached] == []


OLD, NEW, OTHER = (Version(name, (name + b"1", name + b"2")) for name in (b"old", b"new", b"other"))
TRUTH = Truth(
    refresh=4,
    pages={"/page": NEW},
    aliases={"/page?utm_source=x": "/page"},
    hidden={},
    versions={version.content_hash: version for version in (OLD, NEW, OTHER)},
    failures=frozenset(),
)
TWINS = replace(TRUTH, pages={"/page": NEW, "/twin": NEW})
HIDDEN = replace(TRUTH, pages={"/page": NEW, "/liar": OTHER}, hidden={"/page": Hidden("etag", 3)})


def row(version: Version, number: int = 1, original: int | None = None) -> Row:
    chunks = version.chunks if original is None else ()
    return Row(number, version.content_hash, chunks, tuple(sorted(chunks)), original)


def index(**rows: Row) -> Index:
    return Index({f"/{name}": each for name, each in rows.items()}, ())


def scored(truth: Truth, before: Index, after: Index, *sent: str) -> Score:
    return replace(compare(truth, before, after, sent, TRUST), fewest=0)


class TestScore:
    """A benchmark is worth as much as it sees."""

    def test_an_index_that_is_right_has_nothing_against_it(self) -> None:
        assert scored(TRUTH, index(page=row(OLD)), index(page=row(NEW))) == Score()

    @pytest.mark.parametrize(
        ("truth", "before", "after", "expected"),
        [
            (TRUTH, index(page=row(OLD)), index(page=row(OLD)), Score(stale=["/page"])),
            (TRUTH, index(page=row(NEW)), EMPTY, Score(false_deletions=["/page"])),
            (TRUTH, EMPTY, EMPTY, Score(missing=["/page"])),
            (TRUTH, EMPTY, index(page=row(NEW), gone=row(OTHER, 2)), Score(zombies=["/gone"])),
            (TRUTH, EMPTY, index(page=replace(row(NEW), manifest=NEW.chunks[::-1])), Score(wrong_chunks=["/page"])),
            (TRUTH, EMPTY, index(page=replace(row(NEW), embedded=NEW.chunks[:1])), Score(wrong_chunks=["/page"])),
            (TRUTH, EMPTY, index(page=replace(row(NEW), embedded=OLD.chunks)), Score(wrong_chunks=["/page"])),
            (TRUTH, EMPTY, replace(index(page=row(NEW)), broken=["/page"]), Score(orphans=["/page"])),
            (TWINS, EMPTY, index(page=row(NEW), twin=row(NEW, 2)), Score(zombies=["/twin"])),
            (TWINS, EMPTY, index(page=row(NEW, 1, 2), twin=row(NEW, 2, 1)), Score(missing=["/page"])),
            (TWINS, EMPTY, index(page=row(NEW), twin=row(NEW, 2, 9)), Score(zombies=["/twin"])),
        ],
    )
    def test_each_thing_that_can_be_wrong_is_seen(
        self, truth: Truth, before: Index, after: Index, expected: Score
    ) -> None:
        assert scored(truth, before, after) == expected

    @pytest.mark.parametrize("after", [index(page=row(NEW)), index(page=row(NEW, 1, 2), twin=row(NEW, 2))])
    def test_a_text_may_be_indexed_under_any_of_its_urls(self, after: Index) -> None:
        assert scored(TWINS, EMPTY, after) == Score()

    @pytest.mark.parametrize(("original", "zombies"), [(1, []), (None, ["/page?utm_source=x"])])
    def test_another_name_of_a_page_is_its_duplicate_at_most(self, original: int | None, zombies: list[str]) -> None:
        after = index(page=row(NEW), **{"page?utm_source=x": row(NEW, 2, original)})

        assert scored(TRUTH, EMPTY, after) == Score(zombies=zombies)

    def test_a_lie_excuses_a_stale_page(self) -> None:
        stale = index(page=row(OLD), liar=row(OTHER, 2))

        assert scored(HIDDEN, stale, stale).excused.keys() == {"/page"}

    def test_a_day_on_which_the_site_shows_no_page_is_no_check(self) -> None:
        stale = index(page=row(OLD), liar=row(OTHER, 2))
        truth = replace(HIDDEN, hidden={"/page": Hidden("etag", 1)}, unread=frozenset({2}))

        assert scored(truth, stale, stale).excused.keys() == {"/page"}

    @pytest.mark.parametrize(
        ("truth", "sent"),
        [
            (HIDDEN, ["/page"]),
            (replace(HIDDEN, hidden={"/page": Hidden("etag", 1)}), []),
            (replace(HIDDEN, refresh=0), []),
            (replace(HIDDEN, hidden={"/page": Hidden("etag", 3), "/liar": Hidden("etag", 2)}), []),
        ],
        ids=["it was sent in full", "its audit is overdue", "nothing is trusted yet", "another lie was found"],
    )
    def test_a_lie_excuses_nothing_when(self, truth: Truth, sent: list[str]) -> None:
        before, after = (index(page=row(OLD), liar=row(version, 2)) for version in (OLD, OTHER))

        score = scored(truth, before, after, *sent)

        assert (score.stale, score.excused) == (["/page"], {})

    def test_the_fewest_texts_are_those_that_no_page_had_before(self) -> None:
        before = index(page=row(OLD), other=row(replace(OTHER, chunks=NEW.chunks[:1]), 2))

        assert compare(TRUTH, before, index(page=row(NEW)), (), TRUST).fewest == 1
