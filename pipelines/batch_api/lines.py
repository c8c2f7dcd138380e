"""The files of a batch: one request a line going in, one answer a line coming out.

Format: https://platform.openai.com/docs/guides/batch. Each request has one text, so that one that is refused stands
alone, and is known by its chunk hash, since answers come in any order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from db.batches import TextRefusal
from pipelines.providers import ProviderRefused, UnusableVector, answers, sound
from pipelines.providers.base import unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from db.pages import Embedding

ENDPOINT: Final = "/v1/embeddings"
OVERHEAD = 300  # bytes of a line beside its text, at most
REFUSING = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)


@dataclass(frozen=True)
class Result:
    """What became of one text: its vector of unit length with its tokens, or why it has none."""

    chunk_hash: bytes
    vector: tuple[Embedding, int] | None = None
    refusal: TextRefusal | None = None


def request(chunk_hash: bytes, text: str, model: str, dimensions: int | None) -> bytes:
    """Return the line that asks for the vector of a text; `dimensions` None asks for no particular length."""
    body: dict[str, Any] = {"model": model, "input": text, "encoding_format": "base64"}
    if dimensions is not None:
        body["dimensions"] = dimensions
    line = {"custom_id": chunk_hash.hex(), "method": "POST", "url": ENDPOINT, "body": body}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def result(line: str, dimensions: int, shown: Callable[[object], str]) -> Result | None:
    """Return what a line of an output or error file says of a text (A16); None for what may still be answered.

    That is a server's fault, a batch that expired before the text's turn, and a line that cannot be read at all.
    `shown` makes a server's words fit to be stored.
    """
    try:
        answer = json.loads(line)
        chunk_hash = bytes.fromhex(answer["custom_id"])
        response = answer.get("response") or {}
        status, body = int(response.get("status_code") or 0), response.get("body")
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if answer.get("error") or status not in {HTTPStatus.OK, *REFUSING}:
        return None
    if status != HTTPStatus.OK:
        words = body["error"].get("message") if isinstance(body, dict) and isinstance(body.get("error"), dict) else body
        message = f"the embedding provider refuses a text: {shown(words)}"
        return Result(chunk_hash, refusal=TextRefusal(ProviderRefused.kind, message))
    return _embedded(chunk_hash, body, dimensions)


def _embedded(chunk_hash: bytes, body: Any, dimensions: int) -> Result | None:
    try:
        vectors, tokens = answers.of(body, 1)
    except answers.NoAnswer:
        return None
    except UnusableVector as error:
        return Result(chunk_hash, refusal=TextRefusal(UnusableVector.kind, str(error), answers.tokens(body)))
    if vectors.shape[1] != dimensions:
        message = f"the embedding provider answered {vectors.shape[1]} dimensions, and {dimensions} are wanted"
        return Result(chunk_hash, refusal=TextRefusal(UnusableVector.kind, message, tokens))
    if not sound(vectors)[0]:
        message = "the embedding provider answered a vector that is zero or not a number"
        return Result(chunk_hash, refusal=TextRefusal(UnusableVector.kind, message, tokens))
    return Result(chunk_hash, (unit(vectors)[0], tokens))
