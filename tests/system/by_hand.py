"""What a person does with psql in a product's database, as postgres on the primary's host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ops.hosts.session import Session


@contextmanager
def by_hand(session: Session, database: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's session on the default search path, committed at the end. Keel's own begin otherwise (db/sessions.py)."""
    with session.superuser() as superuser, superuser.connect(database) as connection:
        connection.execute('set search_path = "$user", public')
        connection.execute("set row_security = on")
        connection.commit()
        yield connection
