"""How Keel's own sessions with the server begin, so that nothing is evaluated in them that a product's login planted (decision 15).

Whoever owns a database may set parameters for it (ALTER DATABASE … SET). What is set here comes with the connection and wins
over that. With `search_path = pg_catalog` every operator, function, cast and type that is not qualified is the server's own.
"""

from typing import Any

import psycopg

from environment.names import LOOK, SUPERUSER

_FIXED = {
    "search_path": "pg_catalog",
    "role": "none",
    "row_security": "off",  # a policy is an error, not an expression to evaluate
    "check_function_bodies": "off",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
_WHERE_KNOWN = b"""
select set_config(name, case name when 'event_triggers' then 'off' when 'transaction_timeout' then '0' else 'view,foreign-table' end,
                  false)
from pg_settings
where name in ('restrict_nonsystem_relation_kind', 'transaction_timeout')
   or name = 'event_triggers' and current_setting('is_superuser') = 'on'
"""
"""The first came with minor versions of 2024, the others with PostgreSQL 17."""


def superuser(database: str, **where: Any) -> "psycopg.Connection[tuple[Any, ...]]":
    """A session as postgres. In a product's database it is only for changes that evaluate nothing: GRANT, ALTER … OWNER,
    CREATE SCHEMA, CREATE EXTENSION. Whatever looks there is `look`. The caller closes it."""
    return _open(database, where, SUPERUSER)


def look(database: str, user: str = LOOK, **where: Any) -> "psycopg.Connection[tuple[Any, ...]]":
    """A session that reads what `user` may, by default the catalogue and the version table. It changes nothing: not even its
    own password, which every login may set. The caller closes it."""
    connection = _open(database, where, user)
    connection.read_only = True
    return connection


def _open(database: str, where: dict[str, Any], user: str) -> "psycopg.Connection[tuple[Any, ...]]":
    options = " ".join(f"-c {name}={value}" for name, value in _FIXED.items())
    given = {"user": user, "dbname": database, "client_encoding": "UTF8", "options": options, **where}
    connection = psycopg.connect(**given, autocommit=True)
    try:
        connection.execute(_WHERE_KNOWN)
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection
