"""An OpenAI-compatible embeddings server that fails on demand: the double for faults that no real one shows."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

DIMENSIONS = 8
POISON = "arsenic"
VOID = "nothingness"
PROBE = ["health check"]


@dataclass(frozen=True)
class Reply:
    """What a request gets. `manner`: answered, or `hang` until the server is closed, or `reset` the connection."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: str = "answer"


HANG = Reply(manner="hang")
RESET = Reply(manner="reset")


def refusal(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Reply:
    """Return an error as OpenAI words it; headers are named with underscores."""
    error = {"message": message, "type": code, "code": code, "param": None}
    return Reply(status, {"error": error}, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(frozen=True)
class Request:
    """A request as it came. `headers` are found in any case."""

    path: str
    headers: Message
    body: Mapping[str, Any]


class FaultyProvider:
    """Answers, unless it is to do otherwise; the health check is spared.

    `plan` holds what the next requests get instead, in order; `fault` says what is wrong with every answer, None for
    nothing; `probe` is what the health check gets. `texts` are those that were embedded. `met_plan` is set when the
    first of the plan was met.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.fault: str | None = None
        self.plan: deque[Reply] = deque()
        self.probe: Reply | None = None
        self.headers: dict[str, str] = {}
        self.has_floats = False
        self.dimensions = DIMENSIONS
        self.requests: list[Request] = []
        self.texts: list[str] = []
        self.met_plan = Event()
        self.closed = Event()

    @property
    def env(self) -> dict[str, str]:
        return {
            "LCL_EMBEDDING_PROVIDER": "openai",
            "LCL_EMBEDDING_MODEL": "double",
            "OPENAI_API_KEY": "any-word",
            "OPENAI_BASE_URL": self.url,
        }

    def reply(self, request: Request) -> Reply:
        """Return what a request gets."""
        self.requests.append(request)
        if self.fault == "echo":
            return refusal(401, f"bad credentials: {request.headers['Authorization']}")
        texts = request.body["input"]
        if texts == PROBE:
            return self.probe or self.answer(texts, request.body)
        if self.plan:
            self.met_plan.set()
            return self.plan.popleft()
        if any(POISON in text for text in texts):
            return refusal(400, "this text is refused")
        if self.fault == "down":
            return refusal(503, "overloaded", retry_after_ms="1")
        self.texts += texts
        return self.answer(texts, request.body)

    def answer(self, texts: list[str], body: Mapping[str, Any]) -> Reply:
        """Return vectors, with what is wrong with them."""
        fault = None if texts == PROBE else self.fault
        vectors = [_vector(text, body.get("dimensions", self.dimensions)) * (VOID not in text) for text in texts]
        if fault == "too few":
            vectors = vectors[:-1]
        elif fault == "zero":
            vectors = [vector * 0 for vector in vectors]
        elif fault == "not a number":
            vectors = [vector * np.nan for vector in vectors]
        elif fault == "short":
            vectors = [vector[:-1] for vector in vectors]
        is_base64 = body.get("encoding_format") == "base64" and not self.has_floats
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.tobytes()).decode() if is_base64 else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        if fault == "shuffled":
            data.reverse()
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return Reply(200, {"object": "list", "data": data, "model": "double", "usage": usage}, self.headers)


def _vector(text: str, dimensions: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    seed = list(hashlib.sha256(text.encode()).digest())
    return np.random.default_rng(seed).random(dimensions, dtype=np.float32) + np.float32(0.01)


@contextmanager
def faulty_provider() -> Iterator[FaultyProvider]:
    """Run the double on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = provider.reply(Request(self.path, self.headers, body))
            if reply.manner == "reset":
                # A linger of no time makes closing a reset instead of an end.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            if reply.manner == "hang":
                provider.closed.wait()
                self.close_connection = True
                return
            sent = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def finish(self) -> None:
            if self.connection.fileno() != -1:
                super().finish()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def shutdown_request(self, request: Any) -> None:
            if request.fileno() != -1:
                super().shutdown_request(request)

    server = Server(("127.0.0.1", 0), Handler)
    provider = FaultyProvider(f"http://127.0.0.1:{server.server_port}/v1")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.closed.set()
        server.shutdown()
        server.server_close()
        thread.join()
