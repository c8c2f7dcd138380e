"""What an embedding provider is, what it raises, and the check that every answer passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

PROBE = "health check"


class ProviderError(Exception):
    """Base of what a provider raises. Never the source's fault. `reason` is why a run ends for it."""

    reason = "provider_unavailable"


class ProviderMisconfigured(ProviderError):
    """A setting or key is missing or wrong: no retry can help."""


class ProviderUnavailable(ProviderError):
    """The provider does not answer, or not rightly, after all retries: the run stops and nothing is lost."""


class ProviderRefused(ProviderError):
    """The provider refuses one of these texts: its page is recorded as failed, the others go on."""

    kind = "embedding_refused"


class UnusableVector(ProviderRefused):
    """The answer to one of these texts is a vector that is zero or not a number."""

    kind = "unusable_vector"


@dataclass(frozen=True)
class ProviderSpec:
    """Which model of which provider, and how it is reached. Holds no secret, so that it can be stored.

    `model` None is the provider's own default, `dimensions` None the model's own length. `base_url` None is where the
    environment's OPENAI_BASE_URL points, `api_key_env` the variable that holds the key, OPENAI_API_KEY when None.
    """

    provider: str
    model: str | None = None
    dimensions: int | None = None
    base_url: str | None = None
    api_key_env: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """An answer: `vectors` `(n, dims) float32` of unit length, in the order of the texts.

    `token_counts` has one count for each text, None where the provider only tells the sum.
    """

    vectors: npt.NDArray[np.float32]
    token_counts: Sequence[int] | None
    total_tokens: int


class EmbeddingProvider(Protocol):
    """Turns texts into vectors."""

    name: str
    model: str

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed a batch. Raises `ProviderError` of the kind that tells what to do."""

    async def close(self) -> None:
        """Give back what the provider holds."""


def checked(answer: Embedded, texts: Sequence[str], dimensions: int) -> Embedded:
    """Return the answer if it has one finite, non-zero vector of the right length for each text (A16).

    Such an answer must not be stored: raises `ProviderUnavailable` when it is no answer to these texts at all, and
    `UnusableVector` when a vector is zero or not a number.
    """
    shape = answer.vectors.shape
    if shape != (len(texts), dimensions):
        msg = f"the embedding provider answered {shape} for {len(texts)} texts of {dimensions} dimensions"
        raise ProviderUnavailable(msg)
    norms = np.linalg.norm(answer.vectors, axis=1)
    if not np.isfinite(norms).all() or not (norms > 0).all():
        msg = "the embedding provider answered a vector that is zero or not a number"
        raise UnusableVector(msg)
    return answer
