"""The provider's side of each model that has batches, made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from db import models
from pipelines import index_model
from pipelines.batch_api.remote import BatchApi

if TYPE_CHECKING:
    from pipelines.runtime import Runtime


class Apis:
    """A context manager that closes what it made."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._made: dict[int, BatchApi] = {}
        self._lengths: dict[int, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for api in self._made.values():
            await api.close()

    async def of(self, model_id: int) -> BatchApi:
        """Return the batches of a model at its provider. Raises `ProviderError` or `DatabaseProblem`."""
        if model_id not in self._made:
            model = await self._runtime.use_connection(lambda connection: models.get(connection, model_id))
            config = self._runtime.config
            spec = index_model.spec_of(model, config.spec)
            self._made[model_id] = await BatchApi.of(spec, config.embedding, model)
            self._lengths[model_id] = model.dimensions
        return self._made[model_id]

    def length(self, model_id: int) -> int:
        """Return the length of the vectors of a model that was asked for."""
        return self._lengths[model_id]
