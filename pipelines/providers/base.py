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


class ProviderBusy(ProviderError):
    """This request failed, and the same one may succeed later.

    `retry_after`: seconds that the provider asks to wait before anything is sent. `is_limit`: a rate limit, no fault.
    `is_late`: no answer in time.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        is_limit: bool = False,
        is_late: bool = False,
        limits: RateLimits | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_limit = is_limit
        self.is_late = is_late
        self.limits = limits


class ProviderRefused(ProviderError):
    """The provider refuses one of these texts: its page is recorded as failed, the others go on."""

    kind = "embedding_refused"


class UnusableVector(ProviderRefused):
    """The answer to one of these texts is no vector that could be stored: missing, zero or not a number."""

    kind = "unusable_vector"


class KeepsFailing(ProviderRefused):
    """The provider fails at one of these texts again and again, and answers to others."""

    kind = "embedding_failed"


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
class Quota:
    """What a provider says of one of its limits: how much of it there is, how much is left, seconds until it is whole.

    None: not told.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What an answer says of the provider's limits."""

    requests: Quota = Quota()
    tokens: Quota = Quota()


@dataclass(frozen=True, slots=True)
class Embedded:
    """An answer: `vectors` `(n, dims) float32` of unit length, in the order of the texts.

    `token_counts` has one count for each text, None where the provider only tells the sum.
    """

    vectors: npt.NDArray[np.float32]
    token_counts: Sequence[int] | None
    total_tokens: int
    limits: RateLimits = RateLimits()


class EmbeddingProvider(Protocol):
    """Turns texts into vectors, one request for each call, and tells what its errors mean.

    `max_texts` is the most that one request may hold, `max_concurrency` how many requests at a time are of any use;
    None where the provider sets no bound.
    """

    name: str
    model: str
    max_texts: int | None
    max_concurrency: int | None

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed a batch in one request. Raises `ProviderError` of the kind that tells what to do."""

    async def probe(self) -> Embedded:
        """Embed `PROBE`, and learn what has to be known of the model. Raises `ProviderError`."""

    async def close(self) -> None:
        """Give back what the provider holds."""


def checked(answer: Embedded, texts: Sequence[str], dimensions: int) -> Embedded:
    """Return the answer if it has one vector of the right length for each text (A16); see `sound` for the vectors.

    Such an answer must not be stored: raises `UnusableVector` when vectors are missing, and `ProviderUnavailable` when
    they are of another length, which no single text can be the reason of.
    """
    count, length = answer.vectors.shape
    if count != len(texts):
        msg = f"the embedding provider answered {count} vectors for {len(texts)} texts"
        raise UnusableVector(msg)
    if length != dimensions:
        msg = f"the embedding provider answered vectors of {length} dimensions, and {dimensions} are wanted"
        raise ProviderUnavailable(msg)
    return answer


def sound(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return for each row of `(n, dims)` whether it can be stored: finite and not zero."""
    norms = _norms(vectors)
    whole: npt.NDArray[np.bool_] = np.isfinite(norms) & (norms > 0)
    return whole


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale the rows of `(n, dims)` to unit length, in place; rows that are not sound stay as they are."""
    np.divide(vectors, _norms(vectors)[:, None], out=vectors, where=sound(vectors)[:, None])
    return vectors


def _norms(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # such rows are told by what comes out
        norms: npt.NDArray[np.float32] = np.linalg.norm(vectors, axis=1)
    return norms
