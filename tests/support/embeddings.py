"""An OpenAI-compatible embeddings server that counts what it is paid for, and can be made to wait, refuse or fail."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.pages import Embedding

DIMENSIONS = 8


class EmbeddingServer:
    """Serves any model; each makes vectors of its own of a text.

    `answered` are the texts of pages that were answered, by model. A request with a text in which `wait_for` occurs is
    not answered until `open`; one in which `refuse` occurs is refused by all but `tolerant` models. Models that are
    `down` answer 503, those that are `failing` do so to all but health checks. With another `salt`, models have other
    weights.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered: dict[str, list[str]] = {}
        self.wait_for: str | None = None
        self.refuse: str | None = None
        self.down: set[str] = set()
        self.failing: set[str] = set()
        self.tolerant: set[str] = set()
        self.salt = ""
        self.waiting = Event()
        self._opened = Event()
        self._lock = Lock()

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {"OPENAI_API_KEY": "any-word", "OPENAI_BASE_URL": self.url}

    def open(self) -> None:
        """Let go on what waits, without an answer: nothing is paid for. Nothing waits any more."""
        self.wait_for = None
        self._opened.set()

    def sent(self, model: str) -> list[str]:
        """Return the texts that a model was paid for."""
        with self._lock:
            return list(self.answered.get(model, ()))

    def answer(self, model: str, texts: list[str]) -> tuple[int, object] | None:
        """Return status and body, None for no answer."""
        is_probe = all(text.startswith("health check") for text in texts)
        if self.wait_for is not None and any(self.wait_for in text for text in texts):
            self.waiting.set()
            self._opened.wait()
            return None
        if model in self.down or (model in self.failing and not is_probe):
            return 503, {"error": {"message": "overloaded"}}
        if model not in self.tolerant and self.refuse is not None and any(self.refuse in text for text in texts):
            return 400, {"error": {"message": "this text is refused", "type": "invalid_request_error"}}
        if not is_probe:
            with self._lock:
                self.answered.setdefault(model, []).extend(texts)
        data = [
            {"index": at, "embedding": base64.b64encode(vector(self.salt + model, text).tobytes()).decode()}
            for at, text in enumerate(texts)
        ]
        tokens = sum(len(text) // 4 + 1 for text in texts)
        return 200, {"data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def vector(model: str, text: str) -> Embedding:
    """Return a model's vector of a text, always the same."""
    seed = list(hashlib.sha256(f"{model}\0{text}".encode()).digest())
    made = np.random.default_rng(seed).random(DIMENSIONS, dtype=np.float32) - np.float32(0.5)
    unit: Embedding = made / np.linalg.norm(made)
    return unit


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """Run the server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = server.answer(asked["model"], asked["input"])
            if answer is None:
                self.close_connection = True
                return
            body = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After-Ms", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that are gone: some are killed on purpose."""

    http = Server(("127.0.0.1", 0), Handler)
    server = EmbeddingServer(f"http://127.0.0.1:{http.server_port}/v1")
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.open()
        http.shutdown()
        http.server_close()
        thread.join()
