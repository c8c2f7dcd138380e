"""The waiting room of an embedder: texts of many pages and runs, each once, and who waits for them.

No I/O and no clock: whoever calls decides when a batch leaves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pipelines.budget import TokenLimitReached
from pipelines.providers.base import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from db.pages import Embedding

BYTES_PER_TOKEN = 3  # WordPiece and BPE vocabularies have 3.5 to 5 in European languages, and 2 to 3 elsewhere


class Meter(Protocol):
    """For whom texts are embedded: counts what is spent, and says when nothing more is wanted. A `Run` is one."""

    @property
    def stop_reason(self) -> str | None:
        """Why no more requests are to be made, None as long as they are."""

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter: `chunks/embedded`, `tokens/embedded`."""


class Query:
    """The meter of a person's query, which belongs to no run: counted nowhere, and held up by no limit on tokens."""

    stop_reason: str | None = None

    def count(self, name: str, by: int = 1) -> None:
        """Count nothing."""


class Answer(NamedTuple):  # of which there is one for each text: a frozen dataclass takes three times as long to make
    """A text's vector, of unit length, and its tokens; None where the provider does not tell them.

    `is_own`: it was embedded for this call, and not for another that had asked for the same text before.
    """

    vector: Embedding
    tokens: int | None
    is_own: bool = True


@dataclass(eq=False, slots=True)
class Order:
    """Texts that somebody waits for. `done` gets one answer for each, in their order."""

    texts: Sequence[str]
    meter: Meter
    done: asyncio.Future[list[Answer | ProviderError]]
    answers: list[Answer | ProviderError | None] = field(init=False)
    left: int = field(init=False)
    stopped_at: float | None = None

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.texts)
        self.left = len(self.texts)

    def fail(self, error: Exception) -> None:
        """End the waiting with an error of the same kind, which takes no vector away that is there: it is paid for."""
        if self.done.done():
            return
        own = type(error)(str(error))  # one object raised in many tasks would collect the traces of all of them
        if isinstance(own, ProviderError) and any(isinstance(answer, Answer) for answer in self.answers):
            self.done.set_result([own if answer is None else answer for answer in self.answers])
        else:
            self.done.set_exception(own)

    def take(self, index: int, answer: Answer | ProviderError) -> None:
        """Note the answer to one text."""
        self.answers[index] = answer
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result([answer for answer in self.answers if answer is not None])


@dataclass(eq=False, slots=True)
class Text:
    """A text that waits, is on its way, or has its answer. `wanted_by` empties when nobody waits any more.

    `payer` is, of those who waited when it was sent, who had asked first. `answer` is there once it is settled, for
    those who ask before everybody who waited for it has left.
    """

    text: str
    size: int
    tokens: int
    payer: Meter
    wanted_by: list[tuple[Order, int]] = field(default_factory=list)
    is_sent: bool = False
    answer: Answer | ProviderError | None = None

    @property
    def query(self) -> Query | None:
        """A person's query that waits for the text, also where somebody else asked first."""
        return next((order.meter for order, _ in self.wanted_by if isinstance(order.meter, Query)), None)


class WaitingRoom:
    """Holds texts up to `max_bytes`; orders that do not fit wait at the door, in their order.

    Texts that are on their way count until they are settled. An order larger than the room enters when it is empty.
    An answer is kept until everybody who waited for it has left: who asks in between gets it as well.
    """

    def __init__(self, *, max_texts: int, max_tokens: int, max_bytes: int) -> None:
        self.max_texts = max_texts
        self.max_tokens = max_tokens
        self._max_bytes = max_bytes
        self._bytes = 0
        self._texts: dict[str, Text] = {}
        self._queue: deque[Text] = deque()
        self._queued_tokens = 0
        self._door: dict[Order, None] = {}
        self._inside: dict[Order, None] = {}
        self._kept: dict[str, Text] = {}

    @property
    def orders(self) -> list[Order]:
        """Everybody who waits, oldest first."""
        return [*self._inside, *self._door]

    @property
    def has_queue(self) -> bool:
        """Whether a text waits to be sent."""
        return bool(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether a whole batch waits to be sent."""
        return len(self._queue) >= self.max_texts or self._queued_tokens >= self.max_tokens

    @property
    def bytes(self) -> int:
        """The bytes of the texts inside."""
        return self._bytes

    def enter(self, order: Order) -> None:
        """Let an order in, or have it wait at the door."""
        self._door[order] = None
        self._admit()

    def leave(self, order: Order) -> None:
        """Forget an order, also one that has its answers: no text is sent any more that nobody else wants."""
        self._door.pop(order, None)
        for name in set(order.texts):
            if (kept := self._kept.get(name)) is not None:
                kept.wanted_by = [(other, index) for other, index in kept.wanted_by if other is not order]
                if not kept.wanted_by:
                    del self._kept[name]
        if order not in self._inside:
            return
        del self._inside[order]
        for name in set(order.texts):
            if (text := self._texts.get(name)) is not None:
                text.wanted_by = [(other, index) for other, index in text.wanted_by if other is not order]
                if text.wanted_by and not text.is_sent:
                    text.payer = text.wanted_by[0][0].meter
        for text in [text for text in self._queue if not text.wanted_by]:
            self._forget(text)
        self._queue = deque(text for text in self._queue if text.wanted_by)
        self._queued_tokens = sum(text.tokens for text in self._queue)
        self._admit()

    def fail(self, error: Exception) -> None:
        """End everybody's waiting with an error, and forget all texts."""
        orders = self.orders
        self._door, self._inside, self._texts = {}, {}, {}
        self._kept.clear()
        self._queue.clear()
        self._bytes = self._queued_tokens = 0
        for order in orders:
            order.fail(error)

    def is_sent(self, order: Order) -> bool:
        """Whether some of an order's texts are being embedded at this moment."""
        unanswered = (name for name, answer in zip(order.texts, order.answers, strict=True) if answer is None)
        return order in self._inside and any(self._texts[name].is_sent for name in unanswered)

    def next_tokens(self) -> int:
        """Return the estimated tokens of the batch that would leave now, 0 when nothing waits."""
        return sum(text.tokens for text in self._next())

    def take(self) -> list[Text]:
        """Return the next batch, which is then on its way until each of its texts is settled."""
        batch = list(self._next())
        for text in batch:
            self._queue.popleft()
            self._queued_tokens -= text.tokens
            text.is_sent = True
        return batch

    def settle(self, text: Text, answer: Answer | ProviderError) -> None:
        """Give a text's answer to everybody who waits for it."""
        if not self._forget(text):
            return
        if text.wanted_by:
            text.answer = answer
            self._kept[text.text] = text
        is_paid = False
        for order, index in text.wanted_by:
            is_own = not is_paid and order.meter is text.payer
            is_paid |= is_own
            self._give(order, index, answer if is_own else _of_another(answer))
        self._admit()

    def _give(self, order: Order, index: int, answer: Answer | ProviderError) -> None:
        order.take(index, answer)
        if not order.left:
            self._inside.pop(order, None)

    def _next(self) -> Iterator[Text]:
        tokens = 0
        for count, text in enumerate(self._queue):
            tokens += text.tokens
            if count >= self.max_texts or (count and tokens > self.max_tokens):
                return
            yield text

    def _admit(self) -> None:
        while self._door:
            order = next(iter(self._door))
            size = sum(byte_length(text) for text in order.texts)
            if self._bytes and self._bytes + size > self._max_bytes:
                return
            del self._door[order]
            self._inside[order] = None
            for index, name in enumerate(order.texts):
                kept = self._kept.get(name)
                if kept is not None and kept.answer is not None and _is_answer_for(order, kept.answer):
                    kept.wanted_by.append((order, index))
                    self._give(order, index, _of_another(kept.answer))
                    continue
                text = self._texts.get(name) or self._queued(name, order.meter)
                text.wanted_by.append((order, index))

    def _queued(self, name: str, payer: Meter) -> Text:
        size = byte_length(name)
        text = self._texts[name] = Text(name, size, estimated_tokens(size), payer)
        self._queue.append(text)
        self._queued_tokens += text.tokens
        self._bytes += size
        return text

    def _forget(self, text: Text) -> bool:
        """Return whether the text was inside: after a failure another one may stand under the same name."""
        if self._texts.get(text.text) is not text:
            return False
        del self._texts[text.text]
        self._bytes -= text.size
        return True


def _of_another(answer: Answer | ProviderError) -> Answer | ProviderError:
    return Answer(answer.vector, answer.tokens, is_own=False) if isinstance(answer, Answer) else answer


def _is_answer_for(order: Order, answer: Answer | ProviderError) -> bool:
    """Return whether an answer to another holds for an order as well: a limit on tokens is none to a query."""
    return not (isinstance(order.meter, Query) and isinstance(answer, TokenLimitReached))


def byte_length(text: str) -> int:
    """Return the length in UTF-8, without encoding what is ASCII."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def estimated_tokens(size: int) -> int:
    """Return the most tokens that a text of so many bytes is likely to have.

    An estimate from bytes, because the vocabularies of hosted models are files that would have to be downloaded.
    """
    return size // BYTES_PER_TOKEN + 1
