"""A runtime over one connection whose database is away for a number of calls: a fault that cannot be made to order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from db.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from db.connection import Connection


class FaultyRuntime:
    """Carries out actions as `pipelines.runtime.Runtime` does, but for the next `failures`."""

    def __init__(self, connection: Connection) -> None:
        self.failures = 0
        self._connection = connection

    async def use_connection(self, action: Callable[[Connection], Awaitable[Any]]) -> Any:
        """Run an action, or raise `DatabaseUnavailable`."""
        if self.failures:
            self.failures -= 1
            msg = "the database does not answer"
            raise DatabaseUnavailable(msg)
        return await action(self._connection)
