from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pipelines.batching import Batcher

if TYPE_CHECKING:
    from collections.abc import Sequence

FOREVER = 3600.0


def recorder(batches: list[list[int]]):
    async def flush(batch: Sequence[int]) -> list[int]:
        batches.append(list(batch))
        return [member * 10 for member in batch]

    return flush


async def test_each_caller_gets_its_own_result():
    batches: list[list[int]] = []
    batcher: Batcher[int, int] = Batcher(recorder(batches), max_items=3, max_weight=99, linger=FOREVER)
    assert await asyncio.gather(*(batcher.submit(n) for n in (1, 2, 3))) == [10, 20, 30]
    assert batches == [[1, 2, 3]]


async def test_a_lonely_member_leaves_after_the_linger():
    batches: list[list[int]] = []
    batcher: Batcher[int, int] = Batcher(recorder(batches), max_items=64, max_weight=99, linger=0.001)
    assert await batcher.submit(7) == 70


async def test_a_batch_is_full_by_weight_and_a_member_heavier_than_that_goes_alone():
    batches: list[list[int]] = []
    batcher: Batcher[int, int] = Batcher(recorder(batches), max_items=64, max_weight=10, linger=FOREVER)
    weights = {1: 6, 2: 6, 3: 50, 4: 10}
    await asyncio.gather(*(batcher.submit(n, weight) for n, weight in weights.items()))
    assert batches == [[1], [2], [3], [4]]


async def test_while_a_flush_runs_the_next_batch_goes_on_filling():
    gate = asyncio.Event()
    batches: list[list[int]] = []

    async def flush(batch: Sequence[int]) -> list[int]:
        batches.append(list(batch))
        await gate.wait()
        return list(batch)

    batcher: Batcher[int, int] = Batcher(flush, max_items=2, max_weight=99, linger=0)
    waiting = [asyncio.create_task(batcher.submit(n)) for n in range(5)]
    await asyncio.sleep(0.01)  # long enough for a second batch to begin, if one did
    assert len(batches) == 1
    gate.set()
    assert await asyncio.gather(*waiting) == list(range(5))
    assert all(len(batch) <= 2 for batch in batches)


async def test_an_error_reaches_every_member_of_its_batch_and_no_other():
    async def flush(batch: Sequence[int]) -> list[int]:
        if 2 in batch:
            raise RuntimeError("no")
        return list(batch)

    batcher: Batcher[int, int] = Batcher(flush, max_items=2, max_weight=99, linger=FOREVER)
    results = await asyncio.gather(*(batcher.submit(n) for n in (1, 2, 3, 4)), return_exceptions=True)
    assert [type(result) for result in results] == [RuntimeError, RuntimeError, int, int]


async def test_closing_flushes_what_waits():
    batches: list[list[int]] = []
    batcher: Batcher[int, int] = Batcher(recorder(batches), max_items=64, max_weight=99, linger=FOREVER)
    waiting = [asyncio.create_task(batcher.submit(n)) for n in (1, 2)]
    await asyncio.sleep(0)  # a turn of the loop
    await batcher.close()
    assert [await task for task in waiting] == [10, 20]


async def test_a_flush_that_answers_too_little_is_an_error_for_all():
    async def flush(batch: Sequence[int]) -> list[int]:
        return list(batch)[1:]

    batcher: Batcher[int, int] = Batcher(flush, max_items=2, max_weight=99, linger=FOREVER)
    with pytest.raises(ValueError, match="a flush of 2 answered 1"):
        await asyncio.gather(batcher.submit(1), batcher.submit(2))
