"""Where a product's database is in its history, read so that nothing runs which its owner planted (W0)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `./keel status` needs the question alone, and no driver
    import psycopg

QUESTION = Path(__file__).with_name("revision.sql").read_text()
"""Its answer is the statement that reads the revision; none where there is no version table."""


def read_revision(connection: psycopg.Connection[Any]) -> str | None:
    """The revision that the connected database is at; None before the first. Raises psycopg.Error."""
    statement = connection.execute(QUESTION.encode()).fetchone()
    if not statement:
        return None
    with connection.cursor() as cursor, cursor.copy(statement[0].encode()) as rows:
        found = b"".join(rows).decode().split()
    return found[0] if found else None
