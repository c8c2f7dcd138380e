"""A fake embeddings server with latency, a rate limit, and a time in which it hangs.

A process of its own, so that what it takes is not measured with what asks it. It prints its port. `GET /stats` tells
what it answered, `POST /hang?seconds=…` makes it silent.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import math
import time

import numpy as np
from aiohttp import web


class Server:
    """A token bucket of `rate` requests a second in front of vectors made beforehand; `rate` 0 is no limit."""

    def __init__(self, *, rate: float, latency: float, dimensions: int, tells: bool) -> None:
        self.rate, self.latency, self.tells = rate, latency, tells
        self.level = self.burst = max(1.0, rate)
        self.at = time.monotonic()
        self.silent_until = 0.0
        self.counts = {"answered": 0, "refused": 0, "texts": 0}
        vectors = np.random.default_rng(7).random((64, dimensions), dtype=np.float32)
        self.vectors = [base64.b64encode(vector.tobytes()).decode() for vector in vectors]

    async def embeddings(self, request: web.Request) -> web.Response:
        texts = (await request.json())["input"]
        await asyncio.sleep(max(0.0, self.silent_until - time.monotonic()))  # it is told to be silent until then
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.rate and self.level < 1:
            self.counts["refused"] += 1
            wait = (1 - self.level) / self.rate
            headers = {"Retry-After": str(math.ceil(wait)), **self.told()}
            return web.json_response({"error": {"message": "too fast"}}, status=429, headers=headers)
        self.level -= 1
        await asyncio.sleep(self.latency)  # the latency that it is to have
        self.counts["answered"] += 1
        self.counts["texts"] += len(texts)
        entries = ",".join(
            f'{{"object":"embedding","index":{index},"embedding":"{self.vectors[index % 64]}"}}'
            for index in range(len(texts))
        )
        tokens = sum(map(len, texts)) // 4
        body = f'{{"object":"list","data":[{entries}],"model":"fake","usage":{{"total_tokens":{tokens}}}}}'
        return web.Response(text=body, content_type="application/json", headers=self.told())

    def told(self) -> dict[str, str]:
        if not self.rate or not self.tells:
            return {}
        reset = (self.burst - self.level) / self.rate
        return {
            "x-ratelimit-limit-requests": f"{self.rate * 60:.0f}",
            "x-ratelimit-remaining-requests": f"{max(0, math.floor(self.level))}",
            "x-ratelimit-reset-requests": f"{reset * 1000:.0f}ms",
        }

    async def stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.counts)

    async def hang(self, request: web.Request) -> web.Response:
        self.silent_until = time.monotonic() + float(request.query["seconds"])
        return web.Response()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding_server", description=__doc__)
    parser.add_argument("--rate", type=float, default=20, help="requests a second, 0 for no limit")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--silent", action="store_true", help="send no x-ratelimit headers")
    given = parser.parse_args()
    server = Server(rate=given.rate, latency=given.latency, dimensions=given.dimensions, tells=not given.silent)

    async def serve() -> None:
        app = web.Application(client_max_size=2**30)
        app.add_routes(
            [
                web.post("/v1/embeddings", server.embeddings),
                web.get("/stats", server.stats),
                web.post("/hang", server.hang),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
