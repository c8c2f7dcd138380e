"""The lines of a batch's files, and a parked page as JSON."""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.page_rows import ChunkRow, Fetch, PageRow, Recognised, Schedule
from pipelines.batch_api import lines
from pipelines.batch_api.pages import checks_of, chunk_texts, to_json, to_row
from tests.support.index import digest, page

DIGEST = digest("a text")
NOW = dt.datetime(2026, 11, 22, 15, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def answer(*values: float, status: int = 200, tokens: int = 7, **fields: Any) -> str:
    vector = b64encode(np.array(values, dtype="<f4").tobytes()).decode()
    body = {"data": [{"index": 0, "embedding": vector}], "usage": {"total_tokens": tokens}}
    response = {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": "x", "custom_id": DIGEST.hex(), "response": response, "error": None, **fields})


def read(line: str) -> lines.Result | None:
    return lines.result(line, 2, lambda words: str(words).replace("sk-secret", "***"))


@given(TEXTS)
def test_a_request_is_one_line_that_holds_its_text(text: str) -> None:
    line = lines.request(DIGEST, text, "m", None)
    assert line.count(b"\n") == 1
    asked = json.loads(line)
    assert asked["custom_id"] == DIGEST.hex()
    assert (asked["method"], asked["url"]) == ("POST", "/v1/embeddings")
    assert asked["body"] == {"model": "m", "input": text, "encoding_format": "base64"}
    assert json.loads(lines.request(DIGEST, text, "m", 256))["body"]["dimensions"] == 256


def test_an_answer_is_a_vector_of_unit_length_with_its_tokens() -> None:
    found = read(answer(3, 4))
    assert found is not None
    assert found.vector is not None
    assert found.chunk_hash == DIGEST
    assert found.vector[0] == pytest.approx([0.6, 0.8])
    assert found.vector[1] == 7


@pytest.mark.parametrize("values", [(0, 0), (float("nan"), 1), (float("inf"), 1), (1, 2, 3), ()])
def test_an_answer_that_is_no_vector_of_the_model_is_never_stored_and_its_tokens_are_counted(
    values: tuple[float, ...],
) -> None:
    found = read(answer(*values))
    assert found is not None
    assert found.vector is None
    assert found.refusal is not None
    assert (found.refusal.kind, found.refusal.tokens) == ("unusable_vector", 7)


def test_a_refused_text_tells_why_without_what_the_server_echoed() -> None:
    body = {"error": {"message": "not this one, sk-secret"}}
    found = read(answer(response={"status_code": 400, "body": body}))
    assert found is not None
    assert found.refusal is not None
    assert found.refusal.kind == "embedding_refused"
    assert found.refusal.message == "the embedding provider refuses a text: not this one, ***"


@pytest.mark.parametrize(
    "line",
    [
        answer(status=500),
        answer(status=429),
        answer(response=None, error={"code": "batch_expired"}),
        answer(response=None),
        answer(response={"status_code": 200, "body": "no answer"}),
        answer(response={"status_code": 200, "body": {"data": 3}}),
        answer(1, 2, custom_id="no hash"),
        answer(1, 2, custom_id=None),
        "[]",
        "3",
        "{",
        "",
    ],
)
def test_what_is_no_answer_may_be_asked_again(line: str) -> None:
    assert read(line) is None


@given(st.text())
def test_no_line_can_stop_the_others(line: str) -> None:
    read(line)


RECOGNISED = st.builds(
    Recognised, TEXTS, st.just({"cards": 3, "share": 0.5}), st.none() | st.lists(st.binary(min_size=16, max_size=16))
)


@given(
    content=TEXTS,
    title=st.none() | TEXTS,
    days=st.integers(0, 99),
    has_fetch=st.booleans(),
    recognised=st.none() | RECOGNISED,
)
def test_a_parked_page_is_the_page_again(
    content: str, title: str | None, days: int, has_fetch: bool, recognised: Recognised | None
) -> None:
    fetch = Fetch(NOW, 1234, "reader", "2026-11-01", 3, recognised) if has_fetch else None
    row = page(
        "https://example.org/x",
        content,
        title=title,
        language="nl",
        body_hash=b"\0\xff",
        etag='"e"',
        outlinks=["https://example.org/y"],
        structured={"a": [1, None]},
        seen_at=NOW - DAY,
        fetch=fetch,
    )
    schedule = Schedule(NOW, DAY, 2 * DAY, 0.9, lambda _: days * DAY)
    stored = json.loads(json.dumps(to_json(row, schedule)))
    vectors = {chunk.hash: (chunk.embedding, chunk.token_count) for chunk in row.chunks if chunk.embedding is not None}
    assert str(to_row(row.url, row.content_hash, stored, vectors)) == str(row)
    assert chunk_texts(stored) == {chunk.hash: chunk.content for chunk in row.chunks}
    assert checks_of(stored).patience == days * DAY


def test_a_page_without_a_time_of_its_own_was_seen_when_it_was_downloaded() -> None:
    row = page("https://example.org/x", "text", fetch=Fetch(NOW, 1, None, None, 0))
    stored = to_json(row, Schedule(NOW, DAY, DAY, 0.9, lambda _: DAY))
    written: PageRow = to_row(row.url, row.content_hash, stored, {})
    assert written.seen_at == NOW
    assert list(written.chunks) == [ChunkRow(digest("text"), None, "text", None, None)]
