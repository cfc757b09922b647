"""The statements of AI Development Assistant's revisions: versioned SQL files, one up and one down (ADA-19, X-14)."""

import re
from pathlib import Path

from alembic import op

from migrations import concurrently

FOLDER = Path(__file__).parent / "sql"


def statements(name: str) -> list[str]:
    """The statements of a file; each ends with a semicolon before an empty line or the end.

    One at a time, because asyncpg takes no two in one call. Semicolons inside a DO block end no statement as
    long as no empty line follows them.
    """
    parts = re.split(r";[ \t]*(?:\n[ \t]*\n|\s*\Z)", (FOLDER / name).read_text())
    literal = (part.strip().replace(":", r"\:") for part in parts)  # a colon is no parameter of SQLAlchemy's
    return [statement for statement in literal if statement]


def run(name: str) -> None:
    """Execute a file in the revision's transaction."""
    for statement in statements(name):
        op.execute(statement)


def run_concurrently(name: str) -> None:
    """Execute a file outside a transaction: an index of a table with rows."""
    concurrently.run(*statements(name))
