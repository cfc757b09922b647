"""The databases of the primary as one login, with one connection each: to make one costs more than most questions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from db.found import Connect


class Databases:
    """Connections that stay open."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._open: dict[str, psycopg.Connection[Any]] = {}

    @contextmanager
    def connect(self, database: str) -> Iterator[psycopg.Connection[Any]]:
        """A connection for one test; what it does is rolled back, settings of the session and the role included."""
        connection = self._open.get(database)
        if connection is None or connection.closed:
            connection = self._open[database] = self._connect(database)
        try:
            yield connection
        finally:
            connection.rollback()

    def close(self) -> None:
        """Close them."""
        for connection in self._open.values():
            connection.close()
