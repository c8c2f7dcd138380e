"""What becomes of a batch: an answer for each of its texts, found by halving where the batch as a whole has none."""

from __future__ import annotations

import logging
import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from pipelines.budget import Bill, TokenLimitReached, within
from pipelines.patience import ATTEMPTS
from pipelines.providers import ProviderRefused, ProviderUnavailable, UnusableVector, checked, sound
from pipelines.waiting import Answer, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from pipelines.budget import Budget
    from pipelines.patience import Patience
    from pipelines.providers import Embedded, EmbeddingProvider
    from pipelines.waiting import Text, WaitingRoom

logger = logging.getLogger(__name__)

IN_A_ROW = 3  # a provider that has no vector for this many lone texts in a row may be ill itself
ISOLATING_ATTEMPTS = 2
NO_VECTOR = "the embedding provider answered a vector that is zero or not a number"


class Settler:
    """Settles the texts of a waiting room, batch by batch. `dimensions` must be set before the first.

    `budget` is asked before each of them; None counts nothing and sets no limit. `answered_at` is the monotonic time of
    the last answer that could be used.
    """

    def __init__(
        self, room: WaitingRoom, patience: Patience, provider: EmbeddingProvider, budget: Budget | None = None
    ) -> None:
        self.dimensions = 0
        self.answered_at = -math.inf
        self._provider = provider
        self._budget = budget
        self._room = room
        self._patience = patience
        self._refused_in_a_row = 0

    def forget(self) -> None:
        """Begin to count anew: the provider was given up."""
        self._refused_in_a_row = 0
        self.answered_at = -math.inf

    async def settle(
        self,
        texts: Sequence[Text],
        *,
        is_permitted: bool = False,
        attempts: int = ATTEMPTS,
        answered: Callable[[], None] = lambda: None,
    ) -> int:
        """Embed a batch and give everybody the answers. Returns how many of its texts have no vector.

        `is_permitted`: the limits were asked for its first request. `answered` is called when the provider has nothing
        more to do for the batch, and what it cost is still to be counted; not where the batch ends otherwise. Raises
        `ProviderMisconfigured`, `ProviderUnavailable` or `DatabaseProblem`.
        """
        sent = [text.text for text in texts]
        tokens = sum(text.tokens for text in texts)
        try:
            async with self._spending(texts, tokens) as bill:
                try:
                    answer = await self._patience.embed(sent, tokens, is_permitted=is_permitted, attempts=attempts)
                finally:
                    self._room.max_tokens = self._patience.batch_tokens
                bill.texts, bill.tokens = len(sent), answer.total_tokens
                answer = checked(answer, sent, self.dimensions)
                is_sound = sound(answer.vectors)
                if not is_sound.any():
                    raise UnusableVector(NO_VECTOR)
                self._refused_in_a_row = 0
                self.answered_at = time.monotonic()
                answered()  # last: the next batch leaves by what this one showed
        except TokenLimitReached as error:
            if is_permitted:
                self._patience.give_back(tokens)
            return await self._ration(texts, error, attempts)
        except ProviderRefused as error:
            return await self._isolate(texts, error)
        self._count(texts, answer)
        counts = _token_counts(texts, answer)
        for text, vector, count, is_whole in zip(texts, answer.vectors, counts, is_sound, strict=True):
            self._room.settle(text, Answer(vector, count) if is_whole else UnusableVector(NO_VECTOR))
        return int((~is_sound).sum())

    def _spending(self, texts: Sequence[Text], tokens: int) -> AbstractAsyncContextManager[Bill]:
        if self._budget is None or all(isinstance(text.payer, Query) for text in texts):
            return nullcontext(Bill())
        return self._budget.request(self._provider.name, self._provider.model, self.dimensions, tokens)

    async def _ration(self, texts: Sequence[Text], error: TokenLimitReached, attempts: int) -> int:
        """Embed as many texts of a batch as a limit has room for, and turn the others away, but no person's query."""
        for text in texts:
            text.payer = text.query or text.payer
        of_queries = [text for text in texts if isinstance(text.payer, Query)]
        others = [text for text in texts if not isinstance(text.payer, Query)]
        fitting = within([text.tokens for text in others], error.left)
        without = len(others) - fitting
        for group in filter(None, (of_queries, others[:fitting])):
            without += await self.settle(group, attempts=attempts)
        for text in others[fitting:]:
            self._room.settle(text, error)
        return without

    async def _isolate(self, texts: Sequence[Text], error: ProviderRefused) -> int:
        """Halve a batch that is refused until the text that is refused stands alone."""
        if len(texts) == 1:
            await self._doubt(error)
            self._room.settle(texts[0], error)
            return 1
        middle = len(texts) // 2
        refused = 0
        for half in (texts[:middle], texts[middle:]):
            if any(text.wanted_by for text in half):
                refused += await self.settle(half, attempts=ISOLATING_ATTEMPTS)
                continue
            for text in half:
                self._room.settle(text, error)
                refused += 1
        if not refused and type(error) is ProviderRefused:
            self._room.max_texts = min(self._room.max_texts, middle)
            logger.warning("the embedding provider takes %d texts at a time, not %d: %s", middle, len(texts), error)
        return refused

    async def _doubt(self, error: ProviderRefused) -> None:
        """Look whether it is the provider that is ill, when one lone text after the other has no vector.

        One that refuses is asked to embed the probe; one that does not answer rightly is ill. Raises
        `ProviderUnavailable` or `ProviderMisconfigured` when it is.
        """
        self._refused_in_a_row += 1
        if self._refused_in_a_row < IN_A_ROW:
            return
        if type(error) is ProviderRefused:
            await self._patience.check()
            self._refused_in_a_row = 0
            return
        msg = f"{error}, {self._refused_in_a_row} times in a row"
        raise ProviderUnavailable(msg) from error

    def _count(self, texts: Sequence[Text], answer: Embedded) -> None:
        payers = {id(text.payer): text.payer for text in texts}
        counts = _token_counts(texts, answer)
        for key, payer in payers.items():
            mine = [count for text, count in zip(texts, counts, strict=True) if id(text.payer) == key]
            payer.count("chunks/embedded", len(mine))
            payer.count("tokens/embedded", sum(count or 0 for count in mine))


def _token_counts(texts: Sequence[Text], answer: Embedded) -> Sequence[int | None]:
    """Return each text's tokens: the provider's, or its share of the sum that the provider tells.

    Shares add up to the sum exactly, so that what was spent, and what is saved later, can be added up from the chunks.
    """
    if answer.token_counts is not None:
        return answer.token_counts
    if not answer.total_tokens:
        return [None] * len(texts)
    bounds = np.cumsum([text.tokens for text in texts]) / sum(text.tokens for text in texts) * answer.total_tokens
    shares = np.diff(np.round(bounds).astype(int), prepend=0)
    return [int(share) for share in shares]
