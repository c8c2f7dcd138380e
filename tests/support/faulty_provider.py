"""An OpenAI-compatible embeddings server that fails on demand: the double for faults that no real one shows."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

DIMENSIONS = 8
POISON = "arsenic"
VOID = "nothingness"


class FaultyProvider:
    """`fault` says what is wrong with every answer but that to the health check; None for nothing."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fault: str | None = None
        self.texts: list[str] = []

    @property
    def env(self) -> dict[str, str]:
        return {
            "LCL_EMBEDDING_PROVIDER": "openai",
            "LCL_EMBEDDING_MODEL": "double",
            "OPENAI_API_KEY": "any-word",
            "OPENAI_BASE_URL": self.url,
        }

    def answer(self, texts: list[str]) -> tuple[int, Any]:
        healthy = texts == ["health check"]
        if any(POISON in text for text in texts):
            return 400, {"error": {"message": "this text is refused", "type": "invalid_request_error"}}
        if self.fault == "down" and not healthy:
            return 503, {"error": {"message": "overloaded"}}
        if not healthy:
            self.texts += texts
        vectors = [_vector(text) * (VOID not in text) for text in texts]
        if not healthy:
            if self.fault == "too few":
                vectors = vectors[:-1]
            elif self.fault == "zero":
                vectors = [vector * 0 for vector in vectors]
            elif self.fault == "not a number":
                vectors = [vector * np.nan for vector in vectors]
            elif self.fault == "short":
                vectors = [vector[:-1] for vector in vectors]
        data = [
            {"object": "embedding", "index": index, "embedding": base64.b64encode(vector.tobytes()).decode()}
            for index, vector in enumerate(vectors)
        ]
        if self.fault == "shuffled":
            data.reverse()
        return 200, {
            "object": "list",
            "data": data,
            "model": "double",
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }


def _vector(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    seed = list(hashlib.sha256(text.encode()).digest())
    return np.random.default_rng(seed).random(DIMENSIONS, dtype=np.float32) + np.float32(0.01)


@contextmanager
def faulty_provider() -> Iterator[FaultyProvider]:
    """Run the double on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            status, answer = provider.answer(texts)
            if provider.fault == "echo":
                status, answer = 401, {"error": {"message": f"bad credentials: {self.headers['Authorization']}"}}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After-Ms", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = FaultyProvider(f"http://127.0.0.1:{server.server_port}/v1")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
