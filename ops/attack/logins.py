"""W4, W15, doors: who logs in to what, with the right password."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from environment.names import ADMIN, BACKUP, LOOKUP, MONITOR, PGBOUNCER, REPLICATION, REWIND, SUPERUSER
from environment.products import Product
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt, must_work

SERVICES = (BACKUP, PGBOUNCER, REPLICATION, REWIND, SUPERUSER)
"""Logins of services: each comes from the host that needs it, or over a socket, and never through the edge."""


def _products(attacker: Attacker) -> list[Product]:
    return [entry.product for entry in attacker.manifest.products.values()]


@attempt("W4")
def services_through_the_edge(attacker: Attacker) -> Iterator[Tried]:
    """Through HAProxy and PgBouncer no login of a service comes in, with the right password, over TLS or in clear."""
    ports = attacker.manifest.ports
    for role in SERVICES:
        for port in (ports.primary, ports.pgbouncer):
            for mode in ("require", "disable"):
                why = attacker.refused(role, "postgres", port, sslmode=mode)
                yield Tried(f"{role} at port {port}, sslmode={mode}", not why, why)


@attempt("W4")
def verifiers_of_strong_logins(attacker: Attacker) -> Iterator[Tried]:
    """PgBouncer's look-up shows only verifiers of logins that it admits: of no migrator and of none of Keel's own."""
    with attacker.session.superuser() as superuser, superuser.connect("postgres") as connection:
        for role in (
            ADMIN,
            BACKUP,
            MONITOR,
            PGBOUNCER,
            REPLICATION,
            REWIND,
            SUPERUSER,
            *(p.migrator_role for p in _products(attacker)),
        ):
            rows = connection.execute(f"select 1 from {LOOKUP}(%s)".encode(), [role]).fetchall()  # noqa: S608
            yield Tried(f"the verifier of {role}", bool(rows))


@attempt("doors")
def another_products_database(attacker: Attacker) -> Iterator[Tried]:
    """No login of a product connects to another product's database, or to Keel's own, through any door."""
    ports = attacker.manifest.ports
    products = _products(attacker)
    for product in products:
        others = [other.name for other in products if other != product] + ["postgres", "template1"]
        for role in product.login_roles:
            for port in (ports.primary, ports.pgbouncer):
                if port == ports.primary or role != product.migrator_role:
                    why = attacker.refused(role, product.name, port)
                    yield from must_work(f"{role} to {product.name} at port {port}", not why, why)
                for database in others:
                    why = attacker.refused(role, database, port)
                    yield Tried(f"{role} to {database} at port {port}", not why, why)


@attempt("doors")
def migrators_through_the_pooler(attacker: Attacker) -> Iterator[Tried]:
    """PgBouncer admits no login that sees all rows."""
    for product in _products(attacker):
        why = attacker.refused(product.migrator_role, product.name, attacker.manifest.ports.pgbouncer)
        yield Tried(f"{product.migrator_role} at PgBouncer", not why, why)


@attempt("doors")
def clear_connections(attacker: Attacker) -> Iterator[Tried]:
    """Where the environment asks for TLS no one logs in without it."""
    if not attacker.manifest.identity.kind.encrypted:
        return
    for product in _products(attacker):
        for port in (attacker.manifest.ports.primary, attacker.manifest.ports.pgbouncer):
            why = attacker.refused(product.app_role, product.name, port, sslmode="disable")
            yield Tried(f"{product.app_role} in clear at port {port}", not why, why)


WRONG = "keel-attack"
POWERS = {
    "becomes the owner": "set role {owner}",
    "reads verifiers": "select rolpassword from pg_authid limit 1",
    "reads the server's files": "select pg_read_file('PG_VERSION')",
    "runs a program": "copy (select 1) to program 'true'",
    "changes the server's settings": "alter system set work_mem = default",
    "creates a function in public": "create function public.keel_attack() returns integer language sql as 'select 1'",
    "creates a schema": "create schema keel_attack",
    "stores a large object, which all tenants see": "select lo_create(0)",
    "takes the lock of migrations": "select pg_try_advisory_xact_lock(0)",
    "creates an extension": "create extension dblink",
    "switches row-level security off": "alter table {table} disable row level security",
    "reads past row-level security": "set local row_security = off; select * from {table} limit 1",
    "reads other sessions' queries": "do $$ begin if not exists (select from pg_stat_activity where usename <> current_user and query <> '<insufficient privilege>' and query <> '') then raise insufficient_privilege; end if; end $$",
    "ends another's session": "select pg_terminate_backend(pid) from pg_stat_activity where usename <> current_user and pid = 0 union all select pg_cancel_backend(1) limit 0; select pg_current_logfile()",
}
"""What an application would do with more rights than it has; all of it is rolled back."""


@attempt("doors")
def powers_of_applications(attacker: Attacker) -> Iterator[Tried]:
    """An application's, worker's or reader's login gets no further than its own rows."""
    for product in _products(attacker):
        table = next(iter(product.tenant_tables or product.tables))
        for role in (*product.client_roles, product.readonly_role):
            with attacker.login(role, product.name, attacker.manifest.ports.primary) as connection:
                for what, statement in POWERS.items():
                    if "row-level" in what and not product.tenant_tables:
                        continue
                    if "creates a function" in what and product.creates_in_dev and role == product.app_role:
                        continue
                    said = _rolled_back(connection, statement.format(owner=product.owner_role, table=f"public.{table}"))
                    yield Tried(f"{role} {what}", not said, said)


@attempt("W15")
def names_of_users(attacker: Attacker) -> Iterator[Tried]:
    """PgBouncer does not tell who has a login and who has none."""
    product = _products(attacker)[0]
    port = attacker.manifest.ports.pgbouncer
    said = [
        attacker.refused(role, product.name, port, password=WRONG).rpartition("FATAL:")[2].replace(role, "…")
        for role in (product.app_role, "keel_unknown")
    ]
    yield Tried("a wrong password of a login, and one where there is no login", said[0] != said[1], " / ".join(said))


def _rolled_back(connection: psycopg.Connection[object], statement: str) -> str:
    """Why it is refused; "" where it is carried out, and rolled back."""
    try:
        with connection.transaction(force_rollback=True):
            for each in statement.split("; ") if "$$" not in statement else [statement]:
                connection.execute(each.encode())
    except psycopg.Error as error:
        return " ".join(str(error).split())[:150]
    return ""
