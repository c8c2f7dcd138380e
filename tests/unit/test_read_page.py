"""The hook of a spider that reads its pages itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scrapy.http import HtmlResponse

from lcl_spiders.base_spiders import WebsiteSpider
from lcl_spiders.extraction import EmptyBody, SpiderFailed, body_hash
from lcl_spiders.source_config import SourceConfig
from lcl_spiders.spiders.town_agenda import TownAgendaSpider

URL = "https://example.org/harbour"
BODY = b"<html lang=en><title>Harbour</title><body><main><p>The ferry leaves at seven.</p></main><p>Imprint</p></body>"


class Loud(WebsiteSpider):
    """A spider that reads its pages itself."""

    name = "loud"

    def read_page(self, response):
        page = super().read_page(response)
        return replace(page, content=page.content.upper())


def answer(body: bytes = BODY) -> HtmlResponse:
    return HtmlResponse(URL, body=body, headers={"Content-Type": "text/html; charset=utf-8"})


async def test_a_spiders_own_reading_is_what_a_crawl_takes() -> None:
    page = await Loud().extract(answer(), URL)
    assert "THE FERRY LEAVES AT SEVEN." in page.content


def test_a_spider_reads_by_the_settings_of_its_source() -> None:
    class Narrow(WebsiteSpider):
        config = SourceConfig(content_css=["main"])

    assert Narrow("narrow").read_page(answer()).content == "The ferry leaves at seven."


@pytest.mark.parametrize("wrong", [lambda: 1 / 0, lambda: None])
async def test_whatever_goes_wrong_in_it_is_that_pages_failure(wrong) -> None:
    class Broken(WebsiteSpider):
        name = "broken"

        def read_page(self, response):
            return wrong()

    with pytest.raises(SpiderFailed, match=r"read_page: (ZeroDivisionError|TypeError)") as raised:
        await Broken().extract(answer(), URL)
    assert raised.value.kind == "spider_error"


async def test_a_page_that_cannot_be_read_is_not_the_spiders_fault() -> None:
    with pytest.raises(EmptyBody):
        await Loud().extract(answer(b" "), URL)


def test_reading_otherwise_makes_every_page_be_read_again() -> None:
    class Louder(Loud):
        read_revision = 1

    class Usual(WebsiteSpider):
        name = "usual"
        read_revision = 1

    readers = [spider().reads_as for spider in (Loud, Louder, WebsiteSpider)]
    assert len({body_hash(BODY, reader) for reader in readers}) == 3
    assert Usual().reads_as == WebsiteSpider().reads_as


def test_a_spider_under_another_name_reads_as_before() -> None:
    named = type("SomeSource", (Loud,), {"name": "some-source"})
    assert named().reads_as == Loud().reads_as


def test_the_agenda_says_the_same_on_every_day() -> None:
    event = '<h1>Jazz</h1><article class="event"><time datetime="2026-12-04T20:30"><b>{}</b></time> Mill'
    today, tomorrow = (
        TownAgendaSpider().read_page(answer(event.format(word).encode())) for word in ("Tonight", "Yesterday")
    )
    assert today == tomorrow
    assert today.content == "2026-12-04 20:30 Mill"
