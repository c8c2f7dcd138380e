"""What strangers are told when a search fails, over real HTTP from an application whose handler raises."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from db.errors import AmbiguousSource, DatabaseUnavailable, ModelMismatch
from lcl_spiders.commands.serve import is_loopback, url_of
from lcl_spiders.searching.problems import as_problem_details
from pipelines.providers import ProviderUnavailable

SECRET = "hunter2"


async def told(error: Exception) -> tuple[int, dict[str, Any], str]:
    """Return the status, the problem and Retry-After of a request whose handler raises `error`."""

    async def fail(_request: web.Request) -> web.Response:
        raise error

    app = web.Application(middlewares=[as_problem_details])
    app.router.add_get("/", fail)
    async with TestClient(TestServer(app)) as client, client.get("/") as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert set(problem) >= {"type", "title", "status", "detail"}
        assert answer.status == problem["status"]
        return answer.status, problem, answer.headers.get("Retry-After", "")


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (DatabaseUnavailable(f"cannot reach host=db password={SECRET}"), "the database does not answer"),
        (psycopg.OperationalError(f"connection to db as {SECRET} failed"), "the database does not answer"),
        (ModelMismatch(f"made with {SECRET}"), "the index cannot be searched: model_mismatch"),
        (
            ProviderUnavailable(f"https://user:{SECRET}@provider did not answer"),
            "the embedding provider does not answer; text_only=true asks without it",
        ),
    ],
    ids=lambda given: type(given).__name__,
)
async def test_an_outage_is_told_without_its_particulars_and_may_be_tried_again(error: Exception, detail: str) -> None:
    status, problem, retry_after = await told(error)

    assert (status, problem["detail"]) == (503, detail)
    assert int(retry_after) > 0


async def test_what_nobody_expected_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, problem, _ = await told(RuntimeError(SECRET))

    assert status == 500
    assert SECRET not in str(problem)
    assert SECRET in caplog.text


async def test_a_domain_with_several_sources_is_the_callers_to_resolve() -> None:
    status, problem, _ = await told(AmbiguousSource("the domain has several sources: a, b"))

    assert (status, problem["parameter"]) == (400, "source")
    assert problem["detail"] == "source: the domain has several sources: a, b"


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_only_this_machine_reaches_loopback(host: str, is_ours: bool) -> None:
    assert is_loopback(host) is is_ours


def test_an_ipv6_address_is_bracketed_in_a_url() -> None:
    assert url_of("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert url_of("::1", 8080) == "http://[::1]:8080"
