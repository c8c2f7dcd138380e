import asyncio

from pipelines.tasks import end


async def test_a_task_that_loses_its_first_cancellation_is_ended_all_the_same() -> None:
    lost = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append(True)

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)  # a turn of the loop

    await end(task)

    assert (task.cancelled(), lost) == (True, [True])


async def test_a_task_that_ended_by_itself_with_an_error_needs_no_ending() -> None:
    async def broken() -> None:
        raise ValueError

    task = asyncio.create_task(broken())
    await asyncio.wait([task])

    await end(task)

    assert isinstance(task.exception(), ValueError)
