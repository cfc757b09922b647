"""What a database holds, table by table, in a form that two moments can be compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg import sql

FORM = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex "
    "-c search_path=pg_catalog -c row_security=off -c statement_timeout=0 -c synchronize_seqscans=off "
    "-c role=none -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"
)
"""Settings under which the same row is the same text everywhere and comes in the same place, and a row that may not be seen is
an error. What comes with the connection wins over what an owner has set for the database: one product's limits would end a
known moment of all."""
UNLIMITED = b"select set_config(name, '0', false) from pg_settings where name = 'transaction_timeout'"
"""It came with PostgreSQL 17."""
TABLES = """
select format('%I.%I', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p'
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
order by 1
"""
"""Tables and partitions; what is not logged comes empty out of a recovery."""
_READ = "copy {} to stdout"
"""COPY of a table asks nothing but the output functions of its types, which only a superuser can make. A query would run what
the table's owner planted: a cast of the row, and already when it is planned an index expression (W0). The rows are those that
lie in the table itself, in their order, which a recovery keeps; generated columns follow from the others and are left out."""
METHOD = "copy, blake2b"
"""How a digest is made. One that was made otherwise cannot be compared."""

Table = list[Any]
"""Number of rows and digest."""


def connect(where: str) -> psycopg.Connection[Any]:
    """A connection in which rows are written alike."""
    connection = psycopg.connect(where, options=FORM, autocommit=True)
    connection.execute(UNLIMITED)
    return connection


def fingerprint(connection: psycopg.Connection[Any]) -> dict[str, Table]:
    """Table → number of rows and digest."""
    return {name: digest(connection, name) for (name,) in connection.execute(TABLES).fetchall()}


def digest(connection: psycopg.Connection[Any], table: str) -> Table:
    """Of one table, whose name the server has quoted."""
    number, content = 0, hashlib.blake2b(digest_size=16)
    for row in rows(connection, sql.SQL(table)):
        number += 1
        content.update(row)
    return [number, content.hexdigest()]


def rows(
    connection: psycopg.Connection[Any], table: sql.Composable
) -> Generator[bytes | bytearray | memoryview, None, None]:
    """Each row of a table as text; nothing of its owner's runs. Who does not read to the end closes it."""
    with connection.cursor() as cursor, cursor.copy(sql.SQL(_READ).format(table)) as copy:
        yield from copy
