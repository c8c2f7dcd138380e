"""A server that speaks OpenAI's files and batches beside its embeddings; a test says when a batch moves on.

API: https://platform.openai.com/docs/api-reference/batch and /files.
"""

from __future__ import annotations

import email
import itertools
import json
import random
import time
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from tests.support.faulty_provider import FaultyProvider, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDPOINT = "/v1/embeddings"
TOKENS = 7
"""What each text of a batch costs."""

MISSING = 404, {"error": {"message": "No such object", "type": "invalid_request_error"}}


class BatchProvider(FaultyProvider):
    """`batches` and `files` are what the server has; of what is taken out of them it knows nothing.

    `asked` are all texts of all batches that were begun. `cuts_files` breaks off each file in its middle.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.begun = Event()
        self.lets_go = Event()
        self.lets_go.set()
        self.refusal: tuple[int, str] | None = None
        self.cuts_files = False
        self._numbers = itertools.count(1)
        self._lock = Lock()

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "LCL_EMBEDDING_BATCH": "true"}

    # What the client asks for.

    def upload(self, content_type: str, body: bytes) -> tuple[int, Any]:
        message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
        parts = {
            part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True)
            for part in message.get_payload()  # type: ignore[union-attr]  # a form has parts
        }
        assert parts["purpose"] == b"batch"
        file_id = f"file-{next(self._numbers)}"
        self.files[file_id] = parts["file"]  # type: ignore[assignment]  # a part that is a file is bytes
        made = {"id": file_id, "object": "file", "purpose": "batch", "bytes": len(parts["file"]), "filename": "x"}
        return 200, {**made, "created_at": int(time.time()), "status": "processed"}

    def create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        if self.refusal is not None:
            status, message = self.refusal
            return status, {"error": {"message": message, "type": "invalid_request_error"}}
        assert asked["endpoint"] == ENDPOINT
        assert asked["completion_window"] == "24h"
        if asked["input_file_id"] not in self.files:
            return MISSING
        with self._lock:
            batch_id = f"batch_{next(self._numbers)}"
            requests = self.in_file(asked["input_file_id"])
            self.asked += [each["body"]["input"] for each in requests]
            self.batches[batch_id] = {
                "id": batch_id,
                "object": "batch",
                **asked,
                "status": "validating",
                "created_at": int(time.time()),
                "request_counts": {"total": len(requests), "completed": 0, "failed": 0},
            }
        self.begun.set()
        return 200, self.batches[batch_id]

    def in_file(self, file_id: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[file_id].splitlines()]

    def cancel(self, batch_id: str) -> tuple[int, Any]:
        if batch_id not in self.batches:
            return MISSING
        self.batches[batch_id]["status"] = "cancelling"
        return 200, self.batches[batch_id]

    def get(self, path: str) -> tuple[int, Any]:
        _, kind, *rest = path.split("?", maxsplit=1)[0].strip("/").split("/")
        if rest:
            held: dict[str, Any] = self.files if kind == "files" else self.batches
            return (200, held[rest[0]]) if rest[0] in held else MISSING
        newest = list(reversed(self.batches.values()))
        return 200, {"object": "list", "data": newest, "has_more": False}

    # What a test has happen.

    def start(self) -> None:
        """Move all new batches on to being worked at."""
        for batch in self.batches.values():
            if batch["status"] == "validating":
                batch["status"] = "in_progress"

    def end(self, status: str = "completed", *, done: int | None = None, broken: str | None = None) -> None:
        """End all batches that have not ended: `done` texts of each, all by default, have answers, in any order.

        A text with the word `broken` is answered by a server error.
        """
        for batch in self.batches.values():
            if batch["status"] in {"completed", "expired", "failed", "cancelled"}:
                continue
            requests = self.in_file(batch["input_file_id"])
            random.Random(7).shuffle(requests)
            lines = [self._line(each, broken) for each in requests[:done]]
            left = requests[len(lines) :]
            good = [line for line in lines if line["response"]["status_code"] == 200]
            bad = [line for line in lines if line not in good] + [_unanswered(each, status) for each in left]
            batch["status"] = status
            batch[f"{status}_at"] = int(time.time())
            batch["request_counts"] = {"total": len(requests), "completed": len(good), "failed": len(bad)}
            batch["output_file_id"] = self._file(good)
            batch["error_file_id"] = self._file(bad)

    def fail(self, message: str) -> None:
        """Let all batches that are validated fail as a whole."""
        for batch in self.batches.values():
            if batch["status"] == "validating":
                errors = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": message}]}
                batch.update(status="failed", failed_at=int(time.time()), errors=errors)

    def _line(self, request: dict[str, Any], broken: str | None) -> dict[str, Any]:
        text = request["body"]["input"]
        if broken is not None and broken in text:
            status, body = 500, {"error": {"message": "the server had an error"}}
        else:
            embedded, self.texts = self.texts, []  # those of requests of their own
            reply = self.reply(Request(ENDPOINT, Message(), request["body"] | {"input": [text]}))
            status, body = reply.status, reply.body
            self.texts = embedded
        if status == 200:
            body["usage"] = {"prompt_tokens": TOKENS, "total_tokens": TOKENS}
        response = {"status_code": status, "request_id": "r", "body": body}
        return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": response, "error": None}

    def _file(self, lines: list[dict[str, Any]]) -> str | None:
        if not lines:
            return None
        file_id = f"file-{next(self._numbers)}"
        self.files[file_id] = "".join(json.dumps(line) + "\n" for line in lines).encode()
        return file_id


def _unanswered(request: dict[str, Any], status: str) -> dict[str, Any]:
    error = {"code": f"batch_{status}", "message": "This request could not be executed before the batch ended."}
    return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": None, "error": error}


@contextmanager
def batch_provider() -> Iterator[BatchProvider]:
    """Run the server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.strip("/").split("/")
            if path[1] == "embeddings":
                reply = provider.reply(Request(self.path, self.headers, json.loads(body)))
                self._send(reply.status, reply.body)
            elif path[1] == "files":
                self._send(*provider.upload(self.headers["Content-Type"], body))
            elif path[-1] == "cancel":
                self._send(*provider.cancel(path[2]))
            else:
                answer = provider.create(json.loads(body))
                provider.lets_go.wait()
                self._send(*answer)

        def do_GET(self) -> None:
            self._send(*provider.get(self.path))

        def _send(self, status: int, answer: Any) -> None:
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if provider.cuts_files and isinstance(answer, bytes):
                content, self.close_connection = content[: len(content) // 2], True
            self.wfile.write(content)

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client was killed
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider = BatchProvider(f"http://127.0.0.1:{server.server_port}/v1")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.lets_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
