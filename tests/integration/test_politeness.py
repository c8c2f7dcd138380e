"""B13: politeness outlives the run that learned it."""

from psycopg.types.json import Jsonb

from db import sources
from db.connection import Connection
from lcl_spiders.local_site import LocalSite, Page
from tests.support.crawl import succeeded
from tests.support.scrapy import run_scrapy
from tests.support.site import html, prose


async def test_a_run_begins_politely_and_remembers_what_it_is_told(connection: Connection, database_url: str) -> None:
    limit = {"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "60"}
    pages = {
        "/robots.txt": Page("User-agent: *\nCrawl-delay: 0.1\n", content_type="text/plain"),
        "/": html("Town", prose("town"), links=["/closed"]),
        "/closed": Page("not for you", status=403, headers=limit),
    }
    with LocalSite(pages) as site:
        source, _ = await sources.add(connection, site.url("/"))
        await connection.execute(
            "UPDATE scraper_sources SET politeness = %s || jsonb_build_object('at', now())",
            (Jsonb({"delay": 0.2, "status": 429}),),
        )
        env = {"LCL_MAX_DELAY": "1", "LCL_MAX_FAILURE_SHARE": "1"}
        settings = {"LOG_LEVEL": "INFO", "AUTOTHROTTLE_ENABLED": "true", "AUTOTHROTTLE_START_DELAY": "0"}
        done = run_scrapy("crawl", source.slug, database_url=database_url, env=env, settings=settings)
        assert done.code == 0, done.stderr
        assert "are 0.2 s apart, as it asked for in an earlier run" in done.stderr

        known = (await sources.get(connection, source.slug)).politeness
        assert known is not None
        assert (known["delay"], known["status"], known["crawl_delay"]) == (1.0, 403, 0.1)
        assert (known["rate_limit"]["limit"], known["rate_limit"]["remaining"]) == (10, 0)
        shown = run_scrapy("sources", "show", source.slug, database_url=database_url).stdout
        assert "1.0 s from 403 answers" in shown
        assert "0 requests left of 10; new in" in shown

        del site["/closed"]
        succeeded(site, database_url, env={"LCL_MAX_DELAY": "1"})
        again = (await sources.get(connection, source.slug)).politeness
        assert again is not None
        assert (again["at"], again["rate_limit"]) == (known["at"], known["rate_limit"])
