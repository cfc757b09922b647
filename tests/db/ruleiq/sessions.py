"""What a session does before a test looks at its answer."""

from typing import Any

import psycopg

Session = psycopg.Connection[Any]


def become(connection: Session, role: str | None, identity: str = "") -> None:
    """From here on a program of the product, for somebody."""
    connection.execute(f"SET LOCAL SESSION AUTHORIZATION {role}".encode())
    connection.execute("SELECT set_config('app.current_user_id', %s, true)", [identity])


def plan(connection: Session, statement: str) -> str:
    """How a statement would be answered, without reading a table whole."""
    connection.execute("SET LOCAL enable_seqscan = off")
    return "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}".encode()).fetchall())
