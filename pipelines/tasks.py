"""Ending background tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_AFTER = 0.5  # seconds


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and return when it has ended, whatever came of it.

    Once is not enough: in Python 3.11 `asyncio.wait_for` loses a cancellation that comes in the moment in which what it
    waits for is done (python/cpython#86296), and a pool waits by it for each connection.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_AFTER)
