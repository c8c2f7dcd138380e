"""The answer of an embeddings endpoint, read strictly.

Format: https://platform.openai.com/docs/api-reference/embeddings. A vector is a list of numbers, or base64 of its
little-endian float32, a quarter of the bytes and a tenth of the time to read.
"""

from __future__ import annotations

import json
import operator
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.providers.base import UnusableVector

if TYPE_CHECKING:
    import numpy.typing as npt


MOST_TOKENS = 2**31 - 1  # of one answer, which is what the index counts a text's in; more is no count of tokens


class NoAnswer(ValueError):
    """The body is not that of an embeddings endpoint at all."""


def read(body: bytes, count: int) -> tuple[npt.NDArray[np.float32], int]:
    """Return the vectors of `count` texts in the texts' order, `(count, dims) float32`, and the tokens they took.

    The tokens are 0 where the answer does not tell them. Raises `NoAnswer`, and `UnusableVector` when an answer does
    not have exactly one vector for each text, all of one length (A16).
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise _no_answer() from None  # the error quotes the body
    return of(answer, count)


def of(answer: Any, count: int) -> tuple[npt.NDArray[np.float32], int]:
    """Return the same of an answer that is read as JSON already. Raises as `read`."""
    try:
        entries = answer["data"]
        indexes = [operator.index(entry["index"]) for entry in entries]
        given = [entry["embedding"] for entry in entries]
        spent = tokens(answer)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise _no_answer() from None
    if sorted(indexes) != list(range(count)):
        msg = f"the embedding provider answered {len(indexes)} vectors for {count} texts, or not one for each"
        raise UnusableVector(msg)
    try:
        rows = [_vector(entry) for entry in given]
    except (ValueError, TypeError, OverflowError):
        msg = "the embedding provider answered something that is no vector"
        raise UnusableVector(msg) from None
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        msg = f"the embedding provider answered vectors of lengths {sorted(lengths)} to one request"
        raise UnusableVector(msg)
    vectors = np.empty((count, lengths.pop()), dtype=np.float32)
    for index, row in zip(indexes, rows, strict=True):
        vectors[index] = row
    return vectors, spent


def tokens(answer: Any) -> int:
    """Return the tokens that an answer says it took, 0 where it does not. Raises what a strange answer makes it."""
    usage = answer.get("usage") or {}
    told = int(usage.get("total_tokens") or usage.get("prompt_tokens") or 0)
    return told if 0 < told <= MOST_TOKENS else 0


def _no_answer() -> NoAnswer:
    return NoAnswer("it is no answer of an embeddings endpoint")


def _vector(given: Any) -> npt.NDArray[np.float32]:
    if isinstance(given, str):
        return np.frombuffer(b64decode(given, validate=True), dtype="<f4")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told by that
        row = np.asarray(given, dtype=np.float32)
    if row.ndim != 1:
        raise ValueError
    return row
