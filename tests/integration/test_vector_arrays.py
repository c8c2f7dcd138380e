"""Arrays of vectors that are made in bulk arrive as PostgreSQL would have made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pytest

from db.vectors import Vectors
from tests.support.postgres import rows, value

if TYPE_CHECKING:
    from db.connection import Connection


@pytest.mark.parametrize(
    "given", [[[1.5, -2.0, 0.0]], [[1.0, 2.0], None, [3.0, 4.0]], [None, [0.1, 1e-30]], [None, None]], ids=str
)
async def test_each_vector_arrives_in_its_place(connection: Connection, given: list[list[float] | None]) -> None:
    vectors = Vectors([None if each is None else np.array(each, dtype=np.float32) for each in given])
    found = await rows(connection, "SELECT u::real[] FROM unnest(%s) AS u", vectors)
    assert [each for (each,) in found] == [
        None if each is None else pytest.approx(np.float32(each).tolist(), rel=1e-6) for each in given
    ]


async def test_no_vectors_are_an_empty_array(connection: Connection) -> None:
    assert await value(connection, "SELECT cardinality(%s)", Vectors([])) == 0


async def test_vectors_of_two_lengths_are_not_sent(connection: Connection) -> None:
    with pytest.raises(ValueError, match=r"broadcast|shape|sequence"):
        await value(connection, "SELECT %s", Vectors([np.ones(2, dtype=np.float32), np.ones(3, dtype=np.float32)]))


async def test_what_pgvector_does_not_take_is_its_own_error(connection: Connection) -> None:
    with pytest.raises(psycopg.DataError, match="NaN"):
        await value(connection, "SELECT %s", Vectors([np.array([np.nan], dtype=np.float32)]))
