"""B1, B2, A26."""

import asyncio
import uuid

import pytest

from db import sources
from db.connection import Connection, Pool
from db.errors import AmbiguousSource, InvalidSource, SourceNotFound
from db.sources import Source
from tests.support.postgres import value


async def add(pool: Pool, url: str) -> tuple[Source, bool]:
    async with pool.connection() as connection:
        return await sources.add(connection, url)


class TestAdding:
    async def test_a_new_source_is_enabled_and_without_failures(self, connection: Connection) -> None:
        stored, is_new = await sources.add(connection, "https://Example.org", spider="listing", config={"a": 1})

        assert is_new
        assert (stored.slug, stored.start_url, stored.domain) == ("example-org", "https://example.org/", "example.org")
        assert (stored.spider, stored.config, stored.enabled, stored.auto_disabled) == (
            "listing",
            {"a": 1},
            True,
            False,
        )
        assert (stored.consecutive_failures, stored.backoff_level, stored.backoff_until) == (0, 0, None)
        assert (stored.confidence, stored.last_run_at, stored.last_success_at) == (None, None, None)

    async def test_a_known_start_url_changes_nothing(self, connection: Connection) -> None:
        first, _ = await sources.add(connection, "https://example.org/", config={"a": 1})

        again, is_new = await sources.add(
            connection, "HTTPS://EXAMPLE.org:443#top", slug="other", spider="feed", config={}, enabled=False
        )

        assert (again, is_new) == (first, False)
        assert await value(connection, "SELECT count(*) FROM scraper_sources") == 1

    async def test_the_same_url_added_at_once_is_stored_once(self, pool: Pool) -> None:
        answers = await asyncio.gather(*(add(pool, "https://example.org/") for _ in range(12)))

        assert sorted(is_new for _, is_new in answers) == [False] * 11 + [True]
        assert len({stored.id for stored, _ in answers}) == 1

    async def test_different_urls_of_a_domain_added_at_once_get_slugs_of_their_own(self, pool: Pool) -> None:
        answers = await asyncio.gather(*(add(pool, f"https://example.org/{n}") for n in range(6)))

        assert {stored.slug for stored, _ in answers} == {"example-org", *(f"example-org-{n}" for n in range(2, 7))}

    @pytest.mark.parametrize(
        ("url", "slug"),
        [
            ("https://www.example.org/agenda", "www-example-org"),
            ("http://127.0.0.1:8000/", "127-0-0-1-8000"),
            ("https://münchen.de/", "xn-mnchen-3ya-de"),
            ("http://source/", "source-2"),
            ("http://website/", "website-2"),
        ],
    )
    async def test_a_slug_is_made_from_the_domain(self, connection: Connection, url: str, slug: str) -> None:
        assert (await sources.add(connection, url))[0].slug == slug

    @pytest.mark.parametrize("slug", sorted(sources.RESERVED_SLUGS))
    async def test_the_names_of_kinds_are_refused_as_slugs(self, connection: Connection, slug: str) -> None:
        with pytest.raises(InvalidSource, match="name of a kind of spider"):
            await sources.add(connection, "https://example.org/", slug=slug)

    @pytest.mark.parametrize("slug", ["", "A", "a b", "-a", "a-", "a_b", "a%", "é", "a\n"])
    async def test_an_ill_formed_slug_is_refused(self, connection: Connection, slug: str) -> None:
        with pytest.raises(InvalidSource, match="lower case letters, digits and hyphens"):
            await sources.add(connection, "https://example.org/", slug=slug)

    async def test_the_slug_of_another_source_is_refused(self, connection: Connection, source: Source) -> None:
        with pytest.raises(InvalidSource, match="belongs to another source"):
            await sources.add(connection, "https://other.org/", slug=source.slug)

    @pytest.mark.parametrize("url", ["", "example.org", "ftp://example.org/", "https://", "https://exa mple.org/"])
    async def test_what_is_no_url_of_a_site_is_refused(self, connection: Connection, url: str) -> None:
        with pytest.raises(InvalidSource, match="is no URL of a site"):
            await sources.add(connection, url)


class TestFinding:
    async def test_a_source_is_found_by_id_slug_and_domain(self, connection: Connection) -> None:
        stored, _ = await sources.add(connection, "https://example.org:8443/", slug="mine")

        for name in (str(stored.id), str(stored.id).upper(), "mine", "example.org:8443", "Example.ORG:8443"):
            assert await sources.get(connection, name) == stored

    async def test_a_slug_that_looks_like_an_id_is_a_slug(self, connection: Connection) -> None:
        looks_like = str(uuid.UUID(int=1))
        for number, slug in enumerate((looks_like, "deadbeef" * 4)):
            stored, _ = await sources.add(connection, f"https://{number}.org/", slug=slug)
            assert await sources.get(connection, slug) == stored

    async def test_a_domain_with_several_sources_lists_their_slugs(self, connection: Connection) -> None:
        for slug, path in (("b", "b"), ("a", "a")):
            await sources.add(connection, f"https://example.org/{path}", slug=slug)

        with pytest.raises(AmbiguousSource, match=r"example\.org has several sources: a, b\."):
            await sources.get(connection, "example.org")
        assert (await sources.get(connection, "b")).start_url == "https://example.org/b"

    @pytest.mark.parametrize(
        "name",
        ["%", "example%", "example_org", "_xample.org", "example", "org", "", "xample.org", str(uuid.UUID(int=7))],
    )
    async def test_nothing_is_found_by_a_pattern_or_a_part(
        self, connection: Connection, source: Source, name: str
    ) -> None:
        with pytest.raises(SourceNotFound, match="no source is called"):
            await sources.get(connection, name)

    async def test_all_sources_are_listed_by_slug(self, connection: Connection) -> None:
        for slug in ("b", "c", "a"):
            await sources.add(connection, f"https://{slug}.org/", slug=slug)

        assert [stored.slug for stored in await sources.list_all(connection)] == ["a", "b", "c"]

    async def test_enabling_and_disabling_is_stored(self, connection: Connection, source: Source) -> None:
        await sources.set_enabled(connection, source.id, enabled=False)
        assert not (await sources.get(connection, source.slug)).enabled

        await sources.set_enabled(connection, source.id, enabled=True)
        assert (await sources.get(connection, source.slug)).enabled
