"""How a table is filled, row by row: what is told on the way, and which row a server refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from db import load_rows
from db.load_rows import PopulateError
from db.populate import Rows
from environment.products import catalogue

PRODUCT = catalogue()["jeex_idea"]
TABLE = Rows("users", ("id",), 12_000, lambda number, _: (number,))


class Server:
    """Takes rows until `refused`: -1 takes none, not even the statement."""

    def __init__(self, refused: int | None = None) -> None:
        self.refused, self.rows = refused, 0

    def cursor(self) -> Server:
        return self

    @contextmanager
    def copy(self, _: Any) -> Iterator[SimpleNamespace]:
        if self.refused == -1:
            raise psycopg.DataError("no such column")
        yield SimpleNamespace(write_row=self._take)

    def _take(self, row: tuple[int]) -> None:
        if row[0] == self.refused:
            raise psycopg.DataError("it cannot be sent")
        self.rows += 1


def fill(server: Any) -> list[tuple[str, int, int]]:
    """What is told on the way."""
    told: list[tuple[str, int, int]] = []
    load_rows._copy(server, PRODUCT, TABLE, 1, lambda *said: told.append(said))
    return told


def test_a_long_table_tells_how_far_it_is() -> None:
    server = Server()
    assert fill(server) == [("users", done, 12_000) for done in (0, 5_000, 10_000, 12_000)]
    assert server.rows == 12_000


@pytest.mark.parametrize(
    ("refused", "where"),
    [(0, "users, row 0: "), (11_998, "users, row 11998: "), (11_999, "users: "), (-1, "users: ")],
)
def test_a_row_that_cannot_be_sent_is_named(refused: int, where: str) -> None:
    """Behind the last one it may as well be a constraint that is checked at the end; before the first one it is none."""
    with pytest.raises(PopulateError) as told:
        fill(Server(refused))
    assert where in str(told.value)
