"""Indexes of filled tables, built and dropped while the application writes."""

from alembic import op

LONGEST = "1h"
"""For one statement; it scans the table twice and waits for the transactions that were open before it."""


def create_index(name: str, on: str) -> None:
    """CREATE INDEX CONCURRENTLY, the only statement of its revision, which may be killed and run again.

    What a killed run leaves is an INVALID index, which goes first.
    """
    _outside_a_transaction(
        f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
        f"CREATE INDEX CONCURRENTLY {name} ON {on}",
    )


def drop_index(name: str) -> None:
    """The way back; it may be killed and run again too."""
    _outside_a_transaction(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def _outside_a_transaction(*statements: str) -> None:
    """Waiting for a lock blocks nobody here, so it is not limited. Both settings end with the revision (env.py)."""
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute(f"SET statement_timeout = '{LONGEST}'")
        for statement in statements:
            op.execute(statement)
