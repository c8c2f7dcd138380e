import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from lcl_spiders.local_site import Drip, LocalSite, Page

CHANGED = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def fetch(site: LocalSite, path: str = "/", method: str = "GET", **headers: str) -> Answer:
    with closing(http.client.HTTPConnection(site.domain, timeout=5)) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read())


def talk(site: LocalSite, sent: bytes) -> bytes:
    """Everything the site says to raw bytes until it closes the connection."""
    host, port = site.domain.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(sent)
        received = b""
        while piece := client.recv(65536):
            received += piece
        return received


@pytest.fixture
def site() -> Iterator[LocalSite]:
    with LocalSite({"/": "<h1>Café</h1>", "/dated": Page("dated", last_modified=CHANGED)}) as site:
        yield site


class TestAnswers:
    def test_a_page_comes_with_its_length_type_and_date(self, site: LocalSite) -> None:
        answer = fetch(site)

        assert answer.status == 200
        assert answer.body == "<h1>Café</h1>".encode()
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert abs(parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)) < timedelta(minutes=1)

    def test_a_head_request_gets_the_headers_of_the_page_alone(self, site: LocalSite) -> None:
        answer = fetch(site, method="HEAD")

        assert answer.body == b""
        assert answer.headers["Content-Length"] == str(len("<h1>Café</h1>".encode()))
        assert answer.headers["ETag"] == fetch(site).headers["ETag"]

    def test_an_unknown_path_is_404_without_validators(self, site: LocalSite) -> None:
        answer = fetch(site, "/nowhere")

        assert answer.status == 404
        assert b"Not found" in answer.body
        assert "ETag" not in answer.headers

    def test_a_site_can_answer_200_for_unknown_paths(self, site: LocalSite) -> None:
        site.not_found = Page("Nothing here, have a look at our home page")

        assert fetch(site, "/nowhere").status == 200

    def test_what_unknown_paths_are_answered_with_can_name_the_path(self, site: LocalSite) -> None:
        site.not_found = lambda path: Page(f"Nothing at {path}")

        assert fetch(site, "/nowhere?page=2").body == b"Nothing at /nowhere?page=2"
        assert fetch(site, "/").status == 200

    def test_other_methods_are_refused(self, site: LocalSite) -> None:
        answer = fetch(site, method="POST")

        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")

    def test_a_query_finds_its_own_page_first_and_the_plain_one_otherwise(self, site: LocalSite) -> None:
        site["/list"] = "first"
        site["/list?page=2"] = "second"

        assert fetch(site, "/list?page=2").body == b"second"
        assert fetch(site, "/list?utm_source=mail").body == b"first"

    def test_a_path_is_encoded_once(self, site: LocalSite) -> None:
        site["/café"] = "coffee"

        assert site.url("/café") == site.url("/caf%C3%A9")
        assert fetch(site, "/caf%C3%A9").body == b"coffee"

    def test_own_headers_replace_those_of_the_page(self, site: LocalSite) -> None:
        site["/"] = Page("x", status=429, headers={"Retry-After": "7", "content-type": "text/plain"})

        answer = fetch(site)

        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert answer.headers["content-type"] == "text/plain"
        assert "Content-Type" not in answer.headers

    def test_text_is_encoded_in_the_charset_it_is_announced_in(self, site: LocalSite) -> None:
        site["/"] = Page("Café", content_type="text/html; charset=iso-8859-1")

        assert fetch(site).body == b"Caf\xe9"

    def test_a_plain_text_gets_the_type_its_path_says(self, site: LocalSite) -> None:
        site["/robots.txt"] = "User-agent: *"

        assert fetch(site, "/robots.txt").headers["Content-Type"] == "text/plain; charset=utf-8"


class TestConditionalRequests:
    """RFC 9110 section 13."""

    def etag(self, site: LocalSite, path: str = "/") -> str:
        return fetch(site, path).headers["ETag"]

    def test_a_matching_etag_is_304_with_the_etag_and_no_body(self, site: LocalSite) -> None:
        etag = self.etag(site)

        answer = fetch(site, If_None_Match=etag)

        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)

    @pytest.mark.parametrize("form", ["W/{}", '"other", {}', '"other" , W/{}', "*"])
    def test_tags_compare_weakly_in_lists_and_by_star(self, site: LocalSite, form: str) -> None:
        assert fetch(site, If_None_Match=form.format(self.etag(site))).status == 304

    def test_a_changed_page_has_another_etag(self, site: LocalSite) -> None:
        etag = self.etag(site)
        site["/"] = "<h1>Tea</h1>"

        assert fetch(site, If_None_Match=etag).status == 200

    @pytest.mark.parametrize(("seconds", "status"), [(-1, 200), (0, 304), (1, 304)])
    def test_a_date_counts_in_whole_seconds(self, site: LocalSite, seconds: int, status: int) -> None:
        since = (CHANGED + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")

        assert fetch(site, "/dated", If_Modified_Since=since).status == status

    def test_an_etag_that_differs_outweighs_a_date_that_matches(self, site: LocalSite) -> None:
        date = fetch(site, "/dated").headers["Last-Modified"]

        assert fetch(site, "/dated", If_None_Match='"other"', If_Modified_Since=date).status == 200

    @pytest.mark.parametrize("date", ["yesterday", "2026-03-01", "Sun, 99 Mar 2026 12:00:00 GMT"])
    def test_what_is_no_date_is_ignored(self, site: LocalSite, date: str) -> None:
        assert fetch(site, "/dated", If_Modified_Since=date).status == 200

    def test_a_failing_page_never_answers_304(self, site: LocalSite) -> None:
        site["/"] = Page("down", status=503)

        assert fetch(site, If_None_Match="*").status == 503

    def test_a_site_or_a_page_can_ignore_conditions(self, site: LocalSite) -> None:
        site["/"] = replace(site["/"], conditional=False)

        assert fetch(site, If_None_Match=self.etag(site)).status == 200
        with LocalSite({"/": "x"}, conditional=False) as stubborn:
            assert fetch(stubborn, If_None_Match=self.etag(stubborn)).status == 200

    def test_a_site_can_lie_with_an_etag_that_never_changes(self, site: LocalSite) -> None:
        site["/"] = Page("old", etag='"same"')
        site["/"] = Page("new", etag='"same"')

        assert fetch(site, If_None_Match='"same"').status == 304

    def test_a_page_without_an_etag_sends_none(self, site: LocalSite) -> None:
        site["/"] = Page("x", etag=None)

        assert "ETag" not in fetch(site).headers

    def test_a_date_without_a_zone_is_refused(self) -> None:
        with pytest.raises(ValueError, match="time zone"):
            Page("x", last_modified=datetime(2026, 3, 1))  # noqa: DTZ001 - a time without a zone is what is refused


class TestConnections:
    def test_one_connection_carries_many_requests(self, site: LocalSite) -> None:
        with closing(http.client.HTTPConnection(site.domain, timeout=5)) as connection:
            for _ in range(3):
                connection.request("GET", "/")
                used = connection.sock
                assert connection.getresponse().read() == "<h1>Café</h1>".encode()
                assert connection.sock is used

    def test_pipelined_requests_are_answered_in_order_even_behind_a_slow_one(self, site: LocalSite) -> None:
        site["/slow"] = Page("SLOW", delay=0.02)
        site["/fast"] = "FAST"

        received = talk(
            site,
            b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /fast HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /dated HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )

        assert received.count(b"HTTP/1.1 200 OK") == 3
        assert received.index(b"SLOW") < received.index(b"FAST") < received.index(b"dated")

    def test_a_request_body_is_not_taken_for_the_next_request(self, site: LocalSite) -> None:
        received = talk(
            site,
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET /x HTTP/1.1\r\n\r\nx"
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )

        assert [request.status for request in site.requests] == [405, 200]
        assert received.endswith("<h1>Café</h1>".encode())

    def test_a_request_may_arrive_byte_by_byte(self, site: LocalSite) -> None:
        host, port = site.domain.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as client:
            for byte in b"GET / HTTP/1.1\r\nHost: x\r\n\r\n":
                client.sendall(bytes([byte]))
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")

    def test_the_absolute_form_is_accepted(self, site: LocalSite) -> None:
        received = talk(site, f"GET {site.url('/dated')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

        assert received.endswith(b"dated")

    def test_http_1_0_closes_after_the_answer(self, site: LocalSite) -> None:
        assert b"Connection: close" in talk(site, b"GET / HTTP/1.0\r\n\r\n")

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"hello\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
            (b"GET /" + b"x" * 100_000, 431),
        ],
    )
    def test_what_is_no_request_is_refused(self, site: LocalSite, sent: bytes, status: int) -> None:
        assert talk(site, sent).startswith(b"HTTP/1.1 %d " % status)


class TestFaults:
    def test_a_body_can_be_cut_short(self, site: LocalSite) -> None:
        site["/"] = Page("0123456789", truncate_at=4)

        with pytest.raises(http.client.IncompleteRead) as cut:
            fetch(site)

        assert (cut.value.partial, cut.value.expected) == (b"0123", 6)

    def test_a_body_can_drip(self, site: LocalSite) -> None:
        site["/"] = Page("0123456789", drip=Drip(size=3, pause=0.001))

        assert fetch(site).body == b"0123456789"

    def test_a_client_that_leaves_a_drip_harms_no_other(self, site: LocalSite) -> None:
        site["/"] = Page("0123456789", drip=Drip(size=1, pause=60))

        with closing(http.client.HTTPConnection(site.domain, timeout=5)) as connection:
            connection.request("GET", "/")
            connection.getresponse().read(1)

        assert fetch(site, "/dated").status == 200


class TestLife:
    def test_pages_come_change_and_go_while_it_runs(self, site: LocalSite) -> None:
        site["/a"] = "one"
        assert fetch(site, "/a").body == b"one"

        site["/a"] = b"two"
        assert fetch(site, "/a").body == b"two"

        del site["/a"]
        assert "/a" not in site
        assert fetch(site, "/a").status == 404

    def test_pages_is_a_snapshot(self, site: LocalSite) -> None:
        pages = site.pages
        del site["/"]

        assert set(pages) == {"/", "/dated"}
        assert set(site.pages) == {"/dated"}

    def test_requests_are_remembered_until_they_are_reset(self, site: LocalSite) -> None:
        fetch(site, "/nowhere?q=1", X_Test="yes")

        (request,) = site.requests
        assert request[:3] == ("GET", "/nowhere?q=1", 404)
        assert request.headers["x-test"] == "yes"
        site.reset()
        assert site.requests == []

    def test_without_a_log_nothing_is_remembered(self) -> None:
        with LocalSite({"/": "x"}, log=False) as site:
            fetch(site)

            assert site.requests == []

    def test_a_stopped_site_comes_back_at_the_same_address(self) -> None:
        site = LocalSite({"/": "x"})
        site.start()
        url = site.url()
        site.stop()
        with pytest.raises(ConnectionError):
            fetch(site)

        site.start()
        assert site.url() == url
        assert fetch(site).status == 200
        site.stop()
        site.stop()

    def test_stopping_drops_a_client_that_waits(self, site: LocalSite) -> None:
        site["/"] = Page("late", delay=60)
        with closing(http.client.HTTPConnection(site.domain, timeout=5)) as connection:
            connection.request("GET", "/")
            while not site.requests:
                pass
            site.stop()
            with pytest.raises(ConnectionError):
                connection.getresponse()

    def test_a_site_starts_once_at_a_time(self, site: LocalSite) -> None:
        with pytest.raises(RuntimeError, match="already running"):
            site.start()

    def test_a_taken_port_is_an_error_of_the_caller(self, site: LocalSite) -> None:
        with pytest.raises(OSError, match="in use"):
            LocalSite(port=int(site.domain.split(":")[1])).start()

    def test_a_site_has_no_url_before_its_first_start(self) -> None:
        with pytest.raises(RuntimeError, match="first start"):
            LocalSite().url()


class TestFromFolder:
    def test_files_become_pages_with_types_and_dates(self, tmp_path: Path) -> None:
        (tmp_path / "sub folder").mkdir()
        (tmp_path / "index.html").write_text("home")
        (tmp_path / "sub folder" / "index.html").write_text("sub")
        (tmp_path / "sitemap.xml.gz").write_bytes(b"\x1f\x8b")
        (tmp_path / "latin.html").write_bytes(b"<meta charset=iso-8859-1>Caf\xe9")
        (tmp_path / "agenda.ics").write_text("BEGIN:VCALENDAR")

        with LocalSite.from_folder(tmp_path) as site:
            types = {path: page.content_type for path, page in site.pages.items()}
            assert types == {
                "/": "text/html; charset=utf-8",
                "/index.html": "text/html; charset=utf-8",
                "/sub%20folder/": "text/html; charset=utf-8",
                "/sub%20folder/index.html": "text/html; charset=utf-8",
                "/sitemap.xml.gz": "application/gzip",
                "/latin.html": "text/html",
                "/agenda.ics": "text/calendar; charset=utf-8",
            }
            assert fetch(site, "/").body == b"home"
            assert fetch(site, "/").headers["Last-Modified"].endswith("GMT")

    def test_a_folder_that_is_none_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(NotADirectoryError):
            LocalSite.from_folder(tmp_path / "nowhere")
