"""The statements of AI Development Assistant's revisions: versioned SQL files, one up and one down (ADA-19, X-14)."""

import re
from pathlib import Path

from alembic import op

from migrations.session import LOCK_TIMEOUT

FOLDER = Path(__file__).parent / "sql"


def statements(name: str) -> list[str]:
    """The statements of a file; each ends with a semicolon before an empty line or the end.

    One at a time, because asyncpg takes no two in one call. Semicolons inside a DO block end no statement as
    long as no empty line follows them.
    """
    parts = re.split(r";[ \t]*(?:\n[ \t]*\n|\s*\Z)", (FOLDER / name).read_text())
    return [part.strip() for part in parts if part.strip()]


def run(name: str) -> None:
    """Execute a file in the revision's transaction."""
    for statement in statements(name):
        op.execute(statement.replace(":", r"\:"))  # a colon is a colon, not a parameter of SQLAlchemy's


def run_concurrently(name: str) -> None:
    """Execute a file outside a transaction, for an index of a table with rows.

    CREATE INDEX CONCURRENTLY waits for old transactions without blocking anybody: no lock_timeout, but an end.
    Afterwards the session is as migrations/session.py made it.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("SET statement_timeout = '1h'")
        run(name)
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        op.execute("SET statement_timeout = 0")
