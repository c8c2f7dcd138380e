"""Answers of an embeddings endpoint: read strictly, or not at all (A16)."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.providers import UnusableVector
from pipelines.providers.answers import NoAnswer, read

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def encoded(row: list[float]) -> str:
    return base64.b64encode(np.array(row, dtype="<f4").tobytes()).decode()


def body(*entries: tuple[Any, Any], **fields: Any) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in entries]
    return json.dumps({"object": "list", "data": data, "usage": {"total_tokens": 7}, **fields}).encode()


@pytest.mark.parametrize("form", [list, encoded], ids=["floats", "base64"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=["in order", "shuffled"])
def test_vectors_come_back_in_the_order_of_the_texts(form, order):
    vectors, tokens = read(body(*((index, form(ROWS[index])) for index in order)), 3)
    assert vectors.tolist() == ROWS
    assert (vectors.dtype, tokens) == (np.float32, 7)


@pytest.mark.parametrize(
    "answer",
    [
        body((0, ROWS[0])),
        body((0, ROWS[0]), (1, ROWS[1]), (2, ROWS[2])),
        body((0, ROWS[0]), (0, ROWS[1])),
        body((1, ROWS[0]), (2, ROWS[1])),
        body((0, ROWS[0]), (1, [1.0])),
        body((0, ROWS[0]), (1, encoded(ROWS[1])[:-3])),
        body((0, ROWS[0]), (1, "no base64!")),
        body((0, ROWS[0]), (1, [[1.0, 2.0]])),
        body((0, ROWS[0]), (1, None)),
        body((0, []), (1, [])),
        body((0, ROWS[0]), (1, [10**400, 1.0])),
        body((0, ROWS[0]), (1, ["a", "b"])),
        body(),
    ],
    ids=[
        "too few", "too many", "an index twice", "an index missing", "lengths differ", "base64 cut short", "no base64",
        "nested", "nothing", "empty vectors", "no float", "words", "empty",
    ],
)  # fmt: skip
def test_what_is_not_one_vector_for_each_text_is_refused(answer):
    with pytest.raises(UnusableVector):
        read(answer, 2)


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"<html>", b"[]", b"null", b'"x"', b'{"error": "x"}', b'{"data": [1]}'),
        *(body(("0", ROWS[0])), b"\xff", b"[" * 10**6),
    ],
    ids=lambda answer: answer[:20].decode(errors="replace"),
)
def test_what_is_no_answer_of_such_an_endpoint_is_told_from_a_bad_one(answer):
    with pytest.raises(NoAnswer):
        read(answer, 1)


def test_a_number_too_large_for_a_vector_is_left_to_the_check_of_vectors():
    vectors, _ = read(body((0, [1e39, 1.0])), 1)
    assert np.isinf(vectors[0, 0])


def test_tokens_that_are_not_told_are_none():
    assert read(body((0, ROWS[0]), usage=None), 1)[1] == 0
    assert read(body((0, ROWS[0]), usage={"prompt_tokens": 3}), 1)[1] == 3


@pytest.mark.parametrize("told", [-5, 2**31, 10**30, 1e308])
def test_what_can_be_no_count_of_tokens_is_none(told):
    assert read(body((0, ROWS[0]), usage={"total_tokens": told}), 1)[1] == 0


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["data", "index", "embedding", "usage"]) | st.text(), inner)))  # fmt: skip
def test_no_document_breaks_the_reader(document):
    with suppress(NoAnswer, UnusableVector):
        assert len(read(json.dumps(document).encode(), 1)[0]) == 1
