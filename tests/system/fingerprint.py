"""What the databases of an environment hold, in a form that two moments can be compared by."""

from __future__ import annotations

import psycopg
from psycopg import sql

from ops.hosts.session import Session

TABLES = """
select format('%I.%I', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
order by 1
"""
ROLES = """
select rolname, rolcanlogin, rolbypassrls,
       case when rolname not in ('postgres', 'keel_replication', 'keel_rewind') then rolpassword end
from pg_authid where rolname !~ '^pg_' order by 1
"""
"""Patroni gives its own logins a new salt whenever it has made or recovered a cluster; that they work, replication shows."""


def fingerprint(session: Session) -> dict[str, object]:
    """`product: table` → number of rows and a digest of them all; and the roles with their verifiers."""
    found: dict[str, object] = {}
    with session.superuser() as superuser:
        for product in session.manifest.products:
            with superuser.connect(product) as connection:
                for (table,) in connection.execute(TABLES).fetchall():
                    found[f"{product}: {table}"] = _rows(connection, table)
        with superuser.connect("postgres") as connection:
            found["roles"] = connection.execute(ROLES).fetchall()
    return found


def _rows(connection: psycopg.Connection[tuple[object, ...]], table: str) -> object:
    digest = sql.SQL(
        "select count(*), md5(coalesce(string_agg(md5(t::text), '' order by md5(t::text)), '')) from {} t"
    ).format(sql.SQL(table))  # quoted by the server
    return connection.execute(digest).fetchone()
