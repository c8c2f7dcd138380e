"""The provider's side of batches: OpenAI's files and batches, by the client library.

API: https://platform.openai.com/docs/api-reference/batch and /files.
"""

from __future__ import annotations

import datetime as dt
import logging
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import httpx2
import openai

from db.batches import STATES, Remote
from pipelines import index_model
from pipelines.batch_api.lines import ENDPOINT
from pipelines.providers import ProviderMisconfigured, ProviderUnavailable
from pipelines.providers.openai import OpenAIProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from openai.types import Batch

    from db.models import Model
    from pipelines.embedding_config import EmbeddingConfig
    from pipelines.providers import ProviderSpec

logger = logging.getLogger(__name__)

KEY = "lcl_batch"
"""The name under which the provider keeps a batch's key, in its metadata."""

RETRIES = 4
PAGE = 100  # batches that are listed at a time, the most the API gives
BACK = dt.timedelta(hours=1)  # how much two clocks may differ


class BatchRefused(ProviderUnavailable):
    """The provider does not take a batch as it is: asking again would bring the same answer."""


class BatchUnknown(BatchRefused):
    """The provider has no such batch or file, though it answers: it was deleted there, or is another account's."""


class BatchApi:
    """The batches of one model at one provider."""

    def __init__(self, provider: OpenAIProvider) -> None:
        self._provider = provider
        self._client = provider.client
        self._patient = provider.client.with_options(max_retries=RETRIES)

    @classmethod
    async def of(cls, spec: ProviderSpec, config: EmbeddingConfig, model: Model) -> Self:
        """Build for a stored model, whose provider is asked for one vector first.

        Raises `ProviderMisconfigured` for a provider without batches, `ModelMismatch` where what answers is another
        model, and whatever `ProviderError` comes of the question.
        """
        index_model.takes_batches(spec.provider)
        provider = OpenAIProvider.from_spec(spec, config)
        try:
            index_model.held_to(model, (await provider.probe()).vectors.shape[-1])
        except BaseException:  # a cancellation, too, must leave no client open
            await provider.close()
            raise
        return cls(provider)

    @property
    def model(self) -> str:
        """The model's name."""
        return self._provider.model

    @property
    def dimensions(self) -> int | None:
        """The length that has to be asked for; None where it is the model's own."""
        return self._provider.asked

    async def close(self) -> None:
        """Close the client's connections."""
        await self._provider.close()

    def shown(self, words: object) -> str:
        """Return a server's words as one short line without secrets."""
        return self._provider.access.shown(words)

    async def upload(self, name: str, content: bytes) -> str:
        """Upload the file of a batch and return its id."""
        with self._errors():
            return (await self._patient.files.create(file=(name, content), purpose="batch")).id

    async def create(self, file_id: str, key: str) -> Remote:
        """Begin a batch. Asked once: a second request after a time-out might begin, and cost, a second batch.

        Raises `BatchRefused` when the provider says no, or has lost the file.
        """
        with self._errors(f"the file {file_id}"):
            return self._read(
                await self._client.batches.create(
                    completion_window="24h", endpoint=ENDPOINT, input_file_id=file_id, metadata={KEY: key}
                )
            )

    async def find(self, key: str, since: dt.datetime) -> Remote | None:
        """Return the batch with a key that was begun after a time; None when the provider has none.

        The provider lists the newest first.
        """
        with self._errors():
            async for batch in self._patient.batches.list(limit=PAGE):
                if (batch.metadata or {}).get(KEY) == key:
                    return self._read(batch)
                if batch.created_at < (since - BACK).timestamp():
                    break
        return None

    async def get(self, remote_id: str) -> Remote:
        """Return how far a batch has come. Raises `BatchUnknown`."""
        with self._errors(remote_id):
            return self._read(await self._patient.batches.retrieve(remote_id))

    async def cancel(self, remote_id: str) -> Remote:
        """Ask for the end of a batch, which comes some minutes later; what is done by then has results.

        Raises `BatchUnknown`.
        """
        with self._errors(remote_id):
            return self._read(await self._patient.batches.cancel(remote_id))

    async def lines(self, file_id: str) -> AsyncIterator[str]:
        """Yield the lines of a file, as they come in. Raises `BatchUnknown`."""
        with self._errors(f"the file {file_id}"):
            async with self._patient.files.with_streaming_response.content(file_id) as response:
                async for line in response.iter_lines():
                    if line.strip():
                        yield line

    def _read(self, batch: Batch) -> Remote:
        counts, errors = batch.request_counts, (batch.errors and batch.errors.data) or []
        ended = batch.completed_at or batch.failed_at or batch.expired_at or batch.cancelled_at
        return Remote(
            remote_id=batch.id,
            input_file_id=batch.input_file_id,
            output_file_id=batch.output_file_id,
            error_file_id=batch.error_file_id,
            state=batch.status if batch.status in STATES else "in_progress",
            completed=counts.completed if counts else 0,
            failed=counts.failed if counts else 0,
            completed_at=dt.datetime.fromtimestamp(ended, dt.UTC) if ended else None,
            error=self.shown("; ".join(f"{error.code}: {error.message}" for error in errors[:3])) or None,
        )

    @contextmanager
    def _errors(self, asked_for: str | None = None) -> Iterator[None]:
        """Say what an error asks of us, without its cause, which quotes what the server echoed.

        `asked_for` is what a 404 says that there is not.
        """
        access = self._provider.access
        try:
            yield
        except openai.APIStatusError as error:
            if asked_for is not None and error.status_code == HTTPStatus.NOT_FOUND:
                msg = f"the provider at {access.server} does not know {asked_for}: {access.shown(error)}"
                raise BatchUnknown(msg) from None
            meaning = self._provider.meaning(error)
            if isinstance(meaning, ProviderMisconfigured):
                raise meaning from None
            kind = BatchRefused if error.status_code < 500 and error.status_code != 429 else ProviderUnavailable
            msg = f"the provider at {access.server} refuses a batch: {access.shown(error)}"
            raise kind(msg) from None
        except (openai.OpenAIError, httpx2.HTTPError) as error:  # the latter while a file comes in
            why = access.shown(error.__cause__ or "") or access.shown(error)
            msg = f"the provider at {access.server} does not answer: {why}. Check {access.url_name}"
            raise ProviderUnavailable(msg) from None
