"""Indexes on tables with rows: built and dropped while the table is read and written.

Each is a revision of its own, outside a transaction: killed half-way it leaves an INVALID index at most, and running
it again starts with taking that away.
"""

from alembic import op

LONGEST = "1h"
"""statement_timeout of building one index: it scans the table twice and waits for the transactions before it."""


def create_index(name: str, definition: str) -> None:
    """`definition` is what follows ON: `messages USING gin (metadata)`."""
    run(
        f"DROP INDEX CONCURRENTLY IF EXISTS {name}",  # an INVALID leftover
        f"CREATE INDEX CONCURRENTLY {name} ON {definition}",
    )


def drop_index(name: str) -> None:
    """Also when a killed attempt has dropped it already."""
    run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def run(*statements: str) -> None:
    """Wait for old transactions as long as it takes, which blocks no other session. The limits end with the revision."""
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute(f"SET statement_timeout = '{LONGEST}'")
        for statement in statements:
            op.execute(statement)
