import pytest

from lcl_spiders.base_spiders.listing import ListingSpider, parted
from lcl_spiders.source_config import SourceConfig

START = "https://example.org/agenda"


@pytest.mark.parametrize(
    ("outlinks", "items", "onward"),
    [
        (("/1", "/2", START, "/agenda?page=2"), ("/1", "/2"), ("/agenda?page=2",)),
        ((START, "/agenda?page=2"), (), ("/agenda?page=2",)),
        (("/1", START), ("/1",), ()),
        (("https://elsewhere.example/",), (), ()),
        ((), (), ()),
    ],
    ids=["both", "no-items", "last-page", "item", "nothing"],
)
def test_the_stored_links_of_a_listing_page_tell_items_from_next_pages(outlinks, items, onward):
    assert parted(outlinks, START) == (items, onward)


def reads_as(**settings: object) -> str:
    spider = type("Listing", (ListingSpider,), {"config": SourceConfig.parse(settings)})
    return spider().reads_as


def test_other_selectors_are_another_reading_and_other_limits_are_not():
    same = reads_as()
    assert reads_as(max_listing_pages=3) == same
    assert reads_as(item_links=".card a") != same
    assert reads_as(next_page=".card a") != reads_as(item_links=".card a")
