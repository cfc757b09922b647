"""Who may ask a scratch server, and as whom. No client is admitted before its recovery has ended (keel_host/scratch.py).

Its superuser only makes roles and extensions, as the account that the server runs as. What reads rows is `keel_scratch`, by
COPY; what evaluates anything that a product's owner made (masks, a query) is `keel_scratch_<database>`, which has the rights
of that owner and no others (W0).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from keel_host.accounts import SCRATCH
from keel_host.fingerprint import connect

READER = "keel_scratch"
"""Reads every row of every database."""
SUPERUSER = "postgres"
RECOVERING = "local all all reject\n"
"""pg_hba.conf while the recovery goes on, with the repository's key within reach."""
SERVING = "local all all peer map=scratch\n"


def owner(database: str) -> str:
    """The role with the rights of a database's owner."""
    return f"{READER}_{database}"


def identities(products: Iterable[str]) -> str:
    """pg_ident.conf: the server's own account is whom it wants to be, the controller, who comes as root over SSH, is no superuser."""
    roots = [READER, *map(owner, products)]
    pairs = [(SCRATCH, SUPERUSER), (SCRATCH, READER), *(("root", role) for role in roots)]
    return "".join(f"scratch {account} {role}\n" for account, role in pairs)


def reader(sockets: Path, database: str) -> psycopg.Connection[Any]:
    """A connection that reads rows by COPY."""
    return connect(f"host={sockets} user={READER} dbname={database}")


def superuser(sockets: Path, database: str) -> psycopg.Connection[Any]:
    """A connection for statements about the catalogue, all of whose names are the catalogue's own."""
    return connect(f"host={sockets} user={SUPERUSER} dbname={database}")


def admit(sockets: Path) -> None:
    """Make the roles. They are this server's alone: no backup holds them."""
    with superuser(sockets, "postgres") as connection:
        connection.execute(f"create role {READER} login bypassrls in role pg_read_all_data")
        databases = connection.execute(DATABASES).fetchall()
        for database, owned_by, by_superuser in databases:
            for statement in grants(database, owned_by, by_superuser):
                connection.execute(statement)
    for database, owned_by, by_superuser in databases:
        # One that was left out of the restore takes no connections.
        with suppress(psycopg.OperationalError):
            if not by_superuser:
                hand_over(sockets, database, owned_by)


DATABASES = """
select datname::text, datdba::regrole::text, rolsuper
from pg_database join pg_roles r on r.oid = datdba where datallowconn
"""
"""Names, their owners (quoted), and whether these are superusers."""


def grants(database: str, owned_by: str, by_superuser: bool) -> Iterator[sql.Composed]:
    """Statements that let the roles into a database."""
    there = sql.Identifier(database)
    yield sql.SQL("grant connect on database {} to {}").format(there, sql.Identifier(READER))
    if not by_superuser:
        role = sql.Identifier(owner(database))
        yield sql.SQL("create role {} login bypassrls in role {}").format(role, sql.SQL(owned_by))
        yield sql.SQL("grant connect, temporary on database {} to {}").format(there, role)
        yield sql.SQL("grant set on parameter session_replication_role to {}").format(role)


NOT_OWNED = """
select format('alter schema %I owner to ', nspname) from pg_namespace join pg_roles r on r.oid = nspowner
where rolsuper and nspname !~ '^pg_' and nspname <> 'information_schema'
union all
select format('alter %s %I.%I owner to ', case relkind when 'S' then 'sequence' else 'table' end, nspname, relname)
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and nspname !~ '^pg_' and nspname <> 'information_schema'
  and relowner <> (select datdba from pg_database where datname = current_database())
  and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype in ('e', 'a', 'i'))
"""
"""Beginnings of statements, for what another role owns, such as tables that an operator restored; not what an extension owns."""


def hand_over(sockets: Path, database: str, owned_by: str) -> None:
    """Give the database's owner every table in it, so that everything can be masked and loaded with the owner's rights."""
    with superuser(sockets, database) as connection:
        for (statement,) in connection.execute(NOT_OWNED).fetchall():
            connection.execute(sql.SQL(statement + owned_by))
