"""Roles: attributes, passwords, memberships, privileges, settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from db import migrate, scram
from environment import scratch, server_parameters
from environment.budget import connections
from environment.manifest import Manifest, ProductEntry
from environment.names import ADMIN, BACKUP, LOOK, MONITOR, PGBOUNCER, REPLICATION, REWIND, SESSIONS
from environment.products import Product, catalogue
from ops.hosts.session import Session
from tests.verify import expect
from tests.verify.databases import Databases
from tests.verify.pooler import Pooler

Row = dict[str, Any]
OFF = {"rolsuper": False, "rolcreatedb": False, "rolcreaterole": False, "rolreplication": False, "rolbypassrls": False}


@pytest.fixture(scope="module")
def roles(superuser: psycopg.Connection[Any]) -> dict[str, Row]:
    """Every role but PostgreSQL's own, as pg_authid has it; ``expires`` is None where the password holds for ever."""
    attributes = sql.SQL(", ").join(map(sql.Identifier, ("rolcanlogin", "rolconnlimit", "rolpassword", *OFF)))
    query = sql.SQL(
        "select rolname::text, {}, nullif(rolvaliduntil, 'infinity')::text as expires from pg_authid where rolname !~ '^pg_'"
    )
    with superuser.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query.format(attributes)).fetchall()
    return {row["rolname"]: row for row in rows}


@pytest.fixture
def database(looker: Databases, product: ProductEntry) -> Iterator[psycopg.Connection[Any]]:
    """The product's database as the login that looks."""
    with looker.connect(product.product.name) as connection:
        yield connection


def names(connection: psycopg.Connection[Any], query: str, *values: object) -> list[str]:
    """The first column of a query."""
    return [row[0] for row in connection.execute(query, values).fetchall()]


def test_application(product: ProductEntry, roles: dict[str, Row], database: psycopg.Connection[Any]) -> None:
    """PLAT-09: the application's role has no power of its own and owns nothing."""
    role = product.product.app_role
    expect.same(roles[role], OFF, role)
    owned = names(database, "select relname::text from pg_class where pg_get_userbyid(relowner) = %s", role)
    expect.nothing(f"{role} owns {name}" for name in owned)


def test_operational_roles(roles: dict[str, Row], manifest: Manifest) -> None:
    """PLAT-09: migrator, read-only, administration, monitoring, backup and replication have a login each, and no more power."""
    wanted: dict[str, Row] = dict.fromkeys((ADMIN, MONITOR, PGBOUNCER, SESSIONS, LOOK), OFF)
    wanted[ADMIN] = {**OFF, "rolcreatedb": True}
    wanted[BACKUP] = {**OFF, "rolbypassrls": True}
    wanted[REPLICATION] = {**OFF, "rolreplication": True}
    for entry in manifest.products.values():
        wanted[entry.product.readonly_role] = OFF
        wanted[entry.product.migrator_role] = {**OFF, "rolbypassrls": True}
    for name, attributes in wanted.items():
        assert name in roles, f"there is no role {name}"
        expect.same(roles[name], {**attributes, "rolcanlogin": True}, name)


def test_monitoring_reads_statistics(superuser: psycopg.Connection[Any]) -> None:
    """PLAT-09, W0: the monitoring role is a member of pg_monitor. The backup role reads all data, and no one's queries."""
    row = superuser.execute(
        "select pg_has_role(%s, 'pg_monitor', 'USAGE'), pg_has_role(%s, 'pg_monitor', 'USAGE'), "
        "pg_has_role(%s, 'pg_read_all_data', 'USAGE')",
        (MONITOR, BACKUP, BACKUP),
    ).fetchone()
    assert row == (True, False, True), f"{MONITOR} and {BACKUP} in pg_monitor, {BACKUP} in pg_read_all_data: {row}"


def test_who_sees_everything(roles: dict[str, Row], manifest: Manifest) -> None:
    """PLAT-19: exactly backup and migrators see all rows on purpose, and only postgres is a superuser."""
    bypass = {name for name, row in roles.items() if row["rolbypassrls"] and not row["rolsuper"]}
    closed = {p.migrator_role for name, p in catalogue().items() if name not in manifest.products}
    bypass -= {name for name in closed & bypass if not roles[name]["rolcanlogin"]}  # of parked products
    expect.exactly(
        bypass, [BACKUP, *(e.product.migrator_role for e in manifest.products.values())], "role with BYPASSRLS"
    )
    expect.exactly({name for name, row in roles.items() if row["rolsuper"]}, ["postgres"], "superuser")


def test_application_becomes_nobody(product: ProductEntry, database: psycopg.Connection[Any]) -> None:
    """PLAT-19: the application's role is a member of no other, so it cannot become one that sees more."""
    query = "select r.rolname::text from pg_roles r where pg_has_role(%s, r.oid, 'MEMBER') and r.rolname <> %s"
    role = product.product.app_role
    expect.nothing(f"{role} is a member of {other}" for other in names(database, query, role, role))


def test_logins(roles: dict[str, Row], manifest: Manifest) -> None:
    """PLAT-09: only roles that the model declares can log in, and none of a parked product."""
    declared = {"postgres", REPLICATION, REWIND, ADMIN, MONITOR, BACKUP, PGBOUNCER, SESSIONS, LOOK}
    declared |= {role for entry in manifest.products.values() for role in entry.product.login_roles}
    expect.exactly({name for name, row in roles.items() if row["rolcanlogin"]}, declared, "login")


def test_passwords(roles: dict[str, Row], session: Session) -> None:
    """PLAT-11: every login's password is the one derived from the environment's secret, kept as a SCRAM verifier; one that comes
    by a host's socket alone has none. None expires."""
    by_socket = (SESSIONS, LOOK)
    expect.nothing(
        f"the password of {name} expires at {row['expires']}" for name, row in roles.items() if row["expires"]
    )
    expect.nothing(f"{name} has a password" for name in by_socket if roles[name]["rolpassword"])
    expect.nothing(
        f"the password of {name} is not the derived one"
        for name, row in roles.items()
        if row["rolcanlogin"]
        and name not in by_socket
        and not scram.matches(session.roots.password(name), row["rolpassword"])
    )


CONNECTS = "select datname::text from pg_database where datallowconn and has_database_privilege(%s, datname, 'CONNECT')"
"""template0 takes no connections at all."""


def connects(connection: psycopg.Connection[Any], role: str, own: str, manifest: Manifest) -> list[str]:
    """The databases to which a role of the product ``own`` connects, without that one's throwaway copies."""
    copies = [own] if scratch.offered(manifest) else []
    return [name for name in names(connection, CONNECTS, role) if not scratch.belongs(name, copies)]


def test_connect(product: ProductEntry, database: psycopg.Connection[Any], manifest: Manifest) -> None:
    """PLAT-10: the application connects to its own database only, and its copies; PUBLIC to none."""
    role, own = product.product.app_role, product.product.name
    expect.exactly(connects(database, role, own, manifest), [own], f"{role} connects to: database")
    public = (
        "select distinct datname::text from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) "
        " where grantee = 0 and datallowconn"
    )
    expect.nothing(f"PUBLIC has a privilege on {name}" for name in names(database, public))


def test_jeex_user(jeex_idea: Product, looker: Databases, roles: dict[str, Row], manifest: Manifest) -> None:
    """JEEX-06: jeex_user has limited privileges on jeex_idea only; administration is another role."""
    assert jeex_idea.app_role == "jeex_user"
    with looker.connect("jeex_idea") as connection:
        reachable = connects(connection, "jeex_user", "jeex_idea", manifest)
        creates = connection.execute(
            "select has_schema_privilege('jeex_user', 'public', 'CREATE'), has_database_privilege('jeex_user', 'jeex_idea', 'CREATE')"
        ).fetchone()
    expect.exactly(reachable, ["jeex_idea"], "jeex_user connects to: database")
    assert creates == (False, False), "jeex_user creates objects"
    expect.same(roles[ADMIN], {"rolcanlogin": True, "rolsuper": False, "rolcreaterole": False}, ADMIN)


PRIVILEGES = """
select c.relname::text,
       array(select p from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
             where has_table_privilege(%(role)s, c.oid, p))
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
"""


def test_tables(product: ProductEntry, database: psycopg.Connection[Any]) -> None:
    """PLAT-10: the application reads and writes every table of its product as declared, and does nothing else to it."""
    role, tables = product.product.app_role, product.product.tables
    rows = dict(database.execute(PRIVILEGES, {"role": role}).fetchall())
    expect.exactly(rows, tables, f"{product.product.name}: table")
    expect.exactly(
        (f"{right} on {name}" for name, rights in rows.items() for right in rights),
        (f"{right} on {name}" for name, table in tables.items() for right in table.rights),
        f"{role}: privilege",
    )


def test_future_tables(product: ProductEntry, direct: Callable[[Product], str]) -> None:
    """PLAT-10: a table and a sequence that a later migration makes are the application's to use without a grant."""
    role = product.product.app_role
    with psycopg.connect(direct(product.product)) as migrator:
        migrator.execute(f"set local role {product.product.owner_role}")
        migrator.execute("create table public.keel_verify (id integer)")
        migrator.execute("create sequence public.keel_verify_id")
        rights = migrator.execute(
            "select array(select p from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p"
            " where not has_table_privilege(%(role)s, 'public.keel_verify', p)),"
            " has_sequence_privilege(%(role)s, 'public.keel_verify_id', 'USAGE')",
            {"role": role},
        ).fetchone()
        migrator.rollback()
    assert rights == ([], True), (
        f"{role} on a new table lacks {rights and rights[0]}, on a new sequence has USAGE: {rights}"
    )


def test_bounds(
    product: ProductEntry, roles: dict[str, Row], database: psycopg.Connection[Any], manifest: Manifest
) -> None:
    """W9: no login holds more of the server than its share, nor the product's database; what it forgets ends, what it sorts
    has room."""
    share, limits = connections(manifest)[product.product.name], product.limits
    logins = product.product.bounded_roles
    wanted = dict.fromkeys(logins, share.login) | {product.product.migrator_role: share.migrator}
    expect.same({name: roles[name]["rolconnlimit"] for name in wanted}, wanted, "connections of")
    found = database.execute("select datconnlimit from pg_database where datname = current_database()").fetchone()
    assert found == (share.database,), f"{product.product.name} takes {found} connections, not {share.database}"
    rows = database.execute("select rolname::text, rolconfig from pg_roles where rolname = any(%s)", [list(logins)])
    ends = {
        "idle_in_transaction_session_timeout": f"{limits.idle_transaction}s",
        "temp_file_limit": f"{limits.temp_files}MB",
    }
    for login, settings in rows.fetchall():
        expect.same(dict(setting.split("=", 1) for setting in settings), ends, login)


def test_timeouts(product: ProductEntry, pooler: Pooler, manifest: Manifest) -> None:
    """ADA-02: a statement of the application ends after its limit, 10 s by default, or sooner where its clients say so; it holds
    through the pooler."""
    with pooler.connect(product.product.app_role, product.product.name) as connection:
        row = connection.execute("show statement_timeout").fetchone()
    limit = product.limits.startup.get("statement_timeout", product.product.statement_timeout)
    timeout = server_parameters.known(manifest.release.postgres)["statement_timeout"]
    assert row and timeout.same(row[0], limit), f"{product.product.app_role}: statement_timeout is {row}, not {limit}"


def test_migrations_take_their_time(product: ProductEntry, superuser: psycopg.Connection[Any]) -> None:
    """ADA-02: the limit is the application's alone: migrator, administration and backup have none (X-12)."""
    rows = superuser.execute(
        "select rolname::text, setting from pg_roles, unnest(rolconfig) setting where setting ~ '^statement_timeout='"
    ).fetchall()
    limited = {role: setting for role, setting in rows if not setting.endswith("=0")}
    expect.nothing(
        f"{role} has {limited[role]}" for role in (product.product.migrator_role, ADMIN, BACKUP) if role in limited
    )


def test_admitted_at_head(product: ProductEntry, roles: dict[str, Row], database: psycopg.Connection[Any]) -> None:
    """PLAT-28: the application may log in, and does so only because its database is at the head of its history."""
    revision = names(database, "select version_num from alembic.alembic_version")
    at_head = revision == [migrate.head(product.product)]
    admitted = roles[product.product.app_role]["rolcanlogin"]
    assert admitted and at_head, f"{product.product.app_role}: admitted: {admitted}, revision: {revision}"
