"""B13: a host's slot is held to what its answers ask for, beside Scrapy's own AutoThrottle."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request, Spider, signals
from scrapy.core.downloader import Slot
from scrapy.extensions.throttle import AutoThrottle
from scrapy.http import Response
from scrapy.robotstxt import ProtegoRobotParser
from scrapy.utils.test import get_crawler

from lcl_spiders.extensions.politeness import PolitenessExtension
from lcl_spiders.politeness import Politeness

HOST = "example.org"
URL = f"https://{HOST}/"
TELNET = "scrapy.extensions.telnet.TelnetConsole"


class Downloads:
    """A crawl whose downloads are made up: Scrapy's own signals and slots, without the network."""

    def __init__(self, *, autothrottle: bool = False, **settings: Any) -> None:
        given = {
            "LCL_MAX_DELAY": 30,
            "AUTOTHROTTLE_ENABLED": autothrottle,
            "USER_AGENT": "LCL-Spiders/0.1",
            "EXTENSIONS": {"lcl_spiders.extensions.politeness.PolitenessExtension": 20, TELNET: None},
            **settings,
        }
        self.crawler = get_crawler(Spider, settings_dict=given)
        self.crawler.spider = Spider("example")
        self.slots: dict[str, Slot] = {}
        self.crawler.engine = SimpleNamespace(downloader=SimpleNamespace(slots=self.slots))  # type: ignore[assignment]  # no crawl runs
        found: Any = {type(each): each for each in self.crawler.extensions.middlewares}  # type: ignore[union-attr]  # set by Scrapy
        if autothrottle:
            found[AutoThrottle]._spider_opened(self.crawler.spider)
        self.extension: PolitenessExtension = found.get(PolitenessExtension)

    def send(self, url: str = URL) -> Request:
        request = Request(url, meta={"download_slot": HOST})
        self.slots.setdefault(HOST, Slot(concurrency=8, delay=0.0, jitter=0.5))
        self.crawler.signals.send_catch_log(signals.request_reached_downloader, request=request, spider=None)
        return request

    def answer(
        self, status: int, headers: dict[str, str] | None = None, request: Request | None = None, latency: float = 0.0
    ) -> Slot:
        request = request or self.send()
        request.meta["download_latency"] = latency
        response = Response(request.url, status=status, headers=headers, request=request)
        sent = {"response": response, "request": request, "spider": self.crawler.spider}
        self.crawler.signals.send_catch_log(signals.response_downloaded, **sent)
        return self.slots[HOST]

    def robots(self, text: str) -> None:
        parser = ProtegoRobotParser(text.encode(), None)
        self.crawler.signals.send_catch_log(signals.robots_parsed, robotparser=parser, request=Request(URL))


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("autothrottle", [False, True])
def test_a_site_that_says_too_much_is_asked_half_as_often_at_once(status: int, autothrottle: bool) -> None:
    downloads = Downloads(autothrottle=autothrottle)
    assert [downloads.answer(status).delay for _ in range(6)] == pytest.approx([2, 4, 8, 16, 30, 30], abs=0.01)
    assert downloads.crawler.stats is not None
    assert downloads.crawler.stats.get_value("lcl/politeness/slowed") == 6


def test_requests_that_were_under_way_together_count_once() -> None:
    downloads = Downloads()
    downloads.answer(429)
    assert downloads.answer(429, latency=5.0).delay == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("autothrottle", [False, True])
def test_good_answers_do_not_shorten_a_learned_delay(autothrottle: bool) -> None:
    downloads = Downloads(autothrottle=autothrottle)
    downloads.answer(429)
    for _ in range(20):
        slot = downloads.answer(200, latency=0.01)
    assert slot.delay == pytest.approx(2, abs=0.01)
    assert slot.jitter == 0


@pytest.mark.parametrize("status", [200, 304, 404, 500, 503])
def test_other_answers_lengthen_nothing(status: int) -> None:
    downloads = Downloads()
    assert downloads.answer(status).delay == 0
    assert downloads.extension.learned is None


def test_a_new_run_begins_with_what_is_left_of_the_learned_delay() -> None:
    twelve_hours_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=12)
    downloads = Downloads()
    downloads.extension.remember(HOST, Politeness(delay=8, at=twelve_hours_ago, status=429).as_json())
    downloads.send()
    assert downloads.slots[HOST].delay == pytest.approx(4, abs=0.01)
    assert downloads.extension.learned is None


def test_what_a_run_learned_is_handed_over_at_its_end() -> None:
    downloads = Downloads()
    downloads.extension.remember(HOST, None)
    downloads.answer(429, {"Retry-After": "60", "X-RateLimit-Remaining": "0"})
    learned = downloads.extension.learned
    assert learned is not None
    assert (learned["delay"], learned["status"], learned["rate_limit"]["remaining"]) == (2, 429, 0)
    assert learned["rate_limit"]["retry_at"] > learned["rate_limit"]["at"]


def test_the_limit_of_a_good_answer_is_remembered_too() -> None:
    downloads = Downloads()
    downloads.extension.remember(HOST, None)
    downloads.answer(200, {"RateLimit": '"hour";r=12;t=900'})
    learned = downloads.extension.learned
    assert learned is not None
    assert (learned["delay"], learned["rate_limit"]["remaining"]) == (0, 12)


def test_what_another_host_says_slows_it_alone() -> None:
    downloads = Downloads()
    downloads.extension.remember(HOST, None)
    request = downloads.send("https://cdn.example.net/")
    request.meta["download_slot"] = "cdn.example.net"
    downloads.slots["cdn.example.net"] = Slot(8, 0.0, 0.5)
    downloads.answer(429, request=request)
    downloads.send()
    assert downloads.slots["cdn.example.net"].delay == pytest.approx(2, abs=0.01)
    assert downloads.slots[HOST].delay == 0
    assert downloads.extension.learned is None


@pytest.mark.parametrize("autothrottle", [False, True])
def test_the_crawl_delay_of_robots_txt_is_kept_to(autothrottle: bool) -> None:
    downloads = Downloads(autothrottle=autothrottle)
    downloads.robots("User-agent: LCL-Spiders\nCrawl-delay: 7\n\nUser-agent: *\nCrawl-delay: 1\n")
    assert downloads.answer(200, latency=0.01).delay == 7
    assert downloads.slots[HOST].jitter == 0


def test_a_crawl_delay_is_kept_to_within_reason() -> None:
    downloads = Downloads()
    downloads.robots("User-agent: *\nCrawl-delay: 3600\n")
    downloads.send()
    assert downloads.slots[HOST].delay == 30


def test_a_crawl_delay_that_is_gone_is_forgotten() -> None:
    downloads = Downloads()
    downloads.extension.remember(HOST, {"crawl_delay": 7})
    downloads.robots("User-agent: *\nAllow: /\n")
    downloads.send()
    assert downloads.slots[HOST].delay == 0
    assert downloads.extension.learned == {"delay": 0.0}


def test_a_longer_delay_of_the_source_s_own_stays() -> None:
    downloads = Downloads()
    downloads.send()
    downloads.slots[HOST].delay = 60
    assert downloads.answer(429).delay == 60


def test_zero_switches_it_off() -> None:
    assert Downloads(LCL_MAX_DELAY=0).extension is None


@pytest.mark.parametrize("given", ["soon", "-1", "301"])
def test_a_longest_delay_that_makes_no_sense_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="LCL_MAX_DELAY"):
        Downloads(LCL_MAX_DELAY=given)
