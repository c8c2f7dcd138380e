"""What a page's structured data state is stored with it, where they agree with the page (A24)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lcl_spiders.local_site import LocalSite
from tests.support.crawl import succeeded
from tests.support.postgres import rows
from tests.support.site import html, tale

if TYPE_CHECKING:
    from db.connection import Connection


def stating(title: str, **stated: str) -> str:
    data = json.dumps({"@type": "NewsArticle", **stated})
    page = html(title, tale(title), links=["/"])
    return page.replace("</head>", f'<script type="application/ld+json">{data}</script></head>')


async def test_description_author_and_dates_are_stored_where_they_agree(
    database_url: str, connection: Connection
) -> None:
    found = {
        "/": html("Start", tale("start"), links=["/agrees", "/lies", "/odd"]),
        "/agrees": stating(
            "Harbour", headline="Harbour", author="Ann", datePublished="2026-05-01", description="Ships"
        ),
        "/lies": stating("Museum", headline="Another thing", author="Bob"),
        "/odd": stating("Market", headline="Market", author="A\0nn \ud800"),
    }
    with LocalSite(found) as site:
        succeeded(site, database_url)
    stored = await rows(connection, "SELECT title, structured FROM scraped_pages ORDER BY title")
    assert stored == [
        ("Harbour", {"description": "Ships", "author": "Ann", "published": "2026-05-01"}),
        ("Market", {"author": "Ann ?"}),
        ("Museum", None),
        ("Start", None),
    ]
