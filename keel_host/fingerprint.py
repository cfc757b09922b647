"""What a database holds, table by table, in a form that two moments can be compared by."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

FORM = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex "
    "-c search_path=pg_catalog -c row_security=off -c statement_timeout=0"
)
"""Settings under which the same row is the same text everywhere, and a row that may not be seen is an error."""
TABLES = """
select format('%I.%I', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p'
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
order by 1
"""
"""Tables and partitions; what is not logged comes empty out of a recovery."""
DIGEST = "select count(*), coalesce(sum(hashtextextended(every_row::text, 0)::numeric), 0)::text from only {} every_row"
"""The sum does not depend on the order of the rows."""

Table = list[Any]
"""Number of rows and digest."""


def connect(where: str) -> psycopg.Connection[Any]:
    """A connection in which rows are written alike."""
    return psycopg.connect(where, options=FORM, autocommit=True)


def fingerprint(connection: psycopg.Connection[Any]) -> dict[str, Table]:
    """Table → number of rows and digest."""
    tables = [name for (name,) in connection.execute(TABLES).fetchall()]
    return {
        # The server has quoted the names.
        name: list(connection.execute(sql.SQL(DIGEST).format(sql.SQL(name))).fetchone() or ())
        for name in tables
    }
