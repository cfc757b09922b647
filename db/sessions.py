"""How Keel's own sessions with the server begin, so that nothing is evaluated in them that a product's login planted (decision 15).

An owner may set parameters for a database (ALTER DATABASE … SET), and an operator may set one for a role by hand. None of them
has an effect here. What is set here comes with the connection and wins over them; the rest is taken back first. With
`search_path = pg_catalog` every operator, function, cast and type that is not qualified is the server's own.
"""

from collections.abc import Mapping
from typing import Any

import psycopg

from environment.names import LOOK, SUPERUSER

UNHURRIED = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
"""Nothing ends a session that waits for Keel."""
_FIXED = {
    "search_path": "pg_catalog",
    "role": "none",
    "row_security": "off",  # a policy is an error, not an expression to evaluate
    "check_function_bodies": "off",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "off",
    **UNHURRIED,
    "tcp_user_timeout": "0",
    "client_connection_check_interval": "0",
    "max_parallel_workers_per_gather": "0",  # a worker begins with what was set for everybody
    "work_mem": "16MB",  # enough to need no file, of which a login may have been left none
}
_SINCE_17 = {"transaction_timeout": "0"}
"""Like those above: a moment is enough to end a session before it can set anything."""
_TAKEN_BACK = b"""
select set_config(name, boot_val, false) from pg_settings
where name !~ '^transaction_' and (
    context = 'user' and source in ('configuration file', 'command line', 'global', 'database', 'user', 'database user')
    or context = 'superuser' and source in ('global', 'database', 'user', 'database user') and current_setting('is_superuser') = 'on')
union all
select set_config(name, case name when 'event_triggers' then 'off' else 'view,foreign-table' end, false) from pg_settings
where name = 'restrict_nonsystem_relation_kind'
   or name = 'event_triggers' and current_setting('is_superuser') = 'on'
"""
"""What was set for the server, all roles, the database or the role is PostgreSQL's own default again; settings of one transaction have
ended with the one that began the session. What only a superuser may set for the server stays: what is logged, for one. The first of the others came with minor versions of 2024, the second with PostgreSQL 17."""


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
    try:
        connection = _connect(database, where, user, _FIXED | _SINCE_17)
    except psycopg.OperationalError as error:
        if not any(f'unrecognized configuration parameter "{name}"' in str(error) for name in _SINCE_17):
            raise
        connection = _connect(database, where, user, _FIXED)
    try:
        connection.execute(_TAKEN_BACK)
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(
    database: str, where: dict[str, Any], user: str, fixed: Mapping[str, str]
) -> "psycopg.Connection[tuple[Any, ...]]":
    given = {"user": user, "dbname": database, "client_encoding": "UTF8", "options": options(fixed), **where}
    return psycopg.connect(**given, autocommit=True)


def options(fixed: Mapping[str, str]) -> str:
    """What begins a session with these settings; a value with a space is none."""
    return " ".join(f"-c {name}={value}" for name, value in fixed.items())
