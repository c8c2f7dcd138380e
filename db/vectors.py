"""pgvector's type on our connections, and arrays of it made in bulk: one by one they take a sixth of a build's time."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from pgvector.psycopg import register_vector_async
from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.pages import Embedding

_NULL = struct.pack("!i", -1)


class Vectors:
    """A `vector[]` to be sent to the database: vectors of one length, and None for NULL."""

    def __init__(self, vectors: Sequence[Embedding | None]) -> None:
        self.vectors = vectors

    def as_array(self, element_oid: int) -> bytes:
        """Return the array as PostgreSQL sends and receives it (`array_recv`, and `vector_recv` of pgvector)."""
        given = [vector for vector in self.vectors if vector is not None]
        if not self.vectors:
            return struct.pack("!iiI", 0, 0, element_oid)
        head = struct.pack("!iiIii", 1, len(given) < len(self.vectors), element_oid, len(self.vectors), 1)
        if not given:
            return head + _NULL * len(self.vectors)
        dimensions = len(given[0])
        elements = np.empty(len(given), [("size", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("x", ">f4", dimensions)])
        elements["size"] = elements.dtype.itemsize - 4
        elements["dim"] = dimensions
        elements["unused"] = 0
        elements["x"] = given
        if len(given) == len(self.vectors):
            return head + elements.tobytes()
        each = iter(elements)
        return head + b"".join(_NULL if vector is None else next(each).tobytes() for vector in self.vectors)


class _VectorsDumper(Dumper):
    """Sends `Vectors`; a class for each connection, since the types' oids are the database's."""

    format = Format.BINARY
    element_oid: int

    def dump(self, obj: Vectors) -> bytes:
        return obj.as_array(self.element_oid)


async def register(connection: psycopg.AsyncConnection[Any]) -> None:
    """Teach a connection the type. Raises `psycopg.ProgrammingError` where the database does not have it."""
    await register_vector_async(connection)
    info = connection.adapters.types["vector"]
    dumper = type("VectorsDumper", (_VectorsDumper,), {"oid": info.array_oid, "element_oid": info.oid})
    connection.adapters.register_dumper(Vectors, dumper)
