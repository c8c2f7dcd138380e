"""The waiting room: whose answer is kept for whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipelines.budget import TokenLimitReached
from pipelines.providers import ProviderRefused
from pipelines.waiting import Answer, Order, Query, WaitingRoom
from tests.support.embedding import Meter

if TYPE_CHECKING:
    from pipelines.providers import ProviderError


def order(*texts: str, meter: Meter | Query | None = None) -> Order:
    return Order(texts, meter or Meter(), asyncio.get_running_loop().create_future())


def room_with(first: Order, answer: Answer | ProviderError) -> WaitingRoom:
    """Return a room in which the first of two texts is answered, and the other is on its way."""
    room = WaitingRoom(max_texts=1, max_tokens=100, max_bytes=1000)
    room.enter(first)
    (text,), _ = room.take(), room.take()
    room.settle(text, answer)
    return room


@pytest.mark.parametrize("error", [ProviderRefused("refused"), TokenLimitReached("too much")])
async def test_an_error_is_kept_for_who_asks_while_the_rest_of_its_order_is_on_its_way(error: ProviderError) -> None:
    first, second, third = order("a", "b"), order("a"), order("a")
    room = room_with(first, error)
    room.enter(second)
    assert second.done.result() == [error]
    for each in (first, second):
        room.leave(each)
    room.enter(third)
    assert [text.text for text in room.take()] == ["a"]


async def test_a_limit_that_a_run_met_is_no_answer_to_a_query() -> None:
    room = room_with(order("a", "b"), TokenLimitReached("too much"))
    query = order("a", meter=Query())
    room.enter(query)
    assert not query.done.done()
    (text,) = room.take()
    room.settle(text, Answer(np.ones(2, dtype=np.float32), 1))
    (answer,) = query.done.result()
    assert isinstance(answer, Answer)
    assert answer.is_own


async def test_who_goes_on_waiting_pays_for_what_the_first_left_before_it_was_sent() -> None:
    room = WaitingRoom(max_texts=1, max_tokens=100, max_bytes=1000)
    first, second = order("a"), order("a")
    room.enter(first)
    room.enter(second)
    room.leave(first)
    (text,) = room.take()
    room.settle(text, Answer(np.ones(2, dtype=np.float32), 1))
    assert text.payer is second.meter
    assert [answer.is_own for answer in second.done.result() if isinstance(answer, Answer)] == [True]


async def test_what_the_first_has_paid_for_is_not_counted_for_another_when_the_first_is_gone() -> None:
    room = WaitingRoom(max_texts=1, max_tokens=100, max_bytes=1000)
    first, second = order("a"), order("a")
    room.enter(first)
    (text,) = room.take()
    room.enter(second)
    room.leave(first)
    room.settle(text, Answer(np.ones(2, dtype=np.float32), 1))
    assert text.payer is first.meter
    assert [answer.is_own for answer in second.done.result() if isinstance(answer, Answer)] == [False]
