"""A model that one process alone builds, activates or frees."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import psycopg

from db import models
from db.connection import open_connection
from lcl_spiders.console import CommandFailed

if TYPE_CHECKING:
    from db.connection import Connection
    from db.models import Model

ANSWER_TIMEOUT = 5.0  # seconds


class Busy(CommandFailed):
    """Another process works on the model."""


class Reservation:
    """Keeps models for this process, on a direct connection of its own, while it is entered.

    A build asks nothing of that connection for hours: the server must not take it for a forgotten one.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._taken: list[Model] = []

    async def __aenter__(self) -> Self:
        self._connection = await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def take(self, model: Model) -> Connection:
        """Reserve a model, unless it is not stored yet, and return the connection. Raises `Busy`."""
        connection = await self.connection()
        if model.id:
            await _reserve(connection, model)
            self._taken.append(model)
        return connection

    async def connection(self) -> Connection:
        """Return the connection; after the database was away, a new one that keeps the same models.

        Raises `Busy` when another process has taken one of them meanwhile, or `DatabaseUnavailable`.
        """
        if self._connection is not None and await _answers(self._connection):
            return self._connection
        if self._connection is not None:
            await self._connection.close()
        self._connection = await self._open()
        for model in self._taken:
            await _reserve(self._connection, model)
        return self._connection

    async def _open(self) -> Connection:
        return await open_connection(
            self._url,
            vectors=True,
            idle_session_timeout="0",
            tcp_keepalives_idle="20",
            tcp_keepalives_interval="5",
        )


async def _answers(connection: Connection) -> bool:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await connection.execute("SELECT 1")
    except (psycopg.OperationalError, TimeoutError):
        return False
    return True


async def _reserve(connection: Connection, model: Model) -> None:
    if not await models.reserve(connection, model):
        msg = f"another process works on {model}; nothing was done. See how far it is: scrapy reembed --status"
        raise Busy(msg)
