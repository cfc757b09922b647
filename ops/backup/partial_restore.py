"""One product's database, or one table, of an earlier moment, taken from a scratch server.

The other products are not touched. What was there is kept: a database under another name, a table where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from environment.errors import UNCHANGED
from environment.report import Report
from ops.backup import loading
from ops.backup.awaited import RestoreFailed
from ops.backup.loading import statements
from ops.backup.restore import Plan
from ops.backup.scratch import ScratchServer, scratch_server
from ops.hosts import lock
from ops.hosts.session import Session, Superuser
from ops.products import databases

SCHEMA = "restored"
"""Where a single table is copied to: only the product's owner may read it."""


def product(session: Session, name: str, wanted: Plan, report: Report) -> str | None:
    """Put the database ``name`` of the planned moment in place of the present one, and return the name under which that
    is kept, closed to connections; None where there was none. Raises RestoreFailed or RepositoryFailed; until the last moment nothing was changed."""
    with (
        lock.held(session, _concerned(session)),
        scratch_server(session, wanted, report, only=name) as source,
        session.superuser() as superuser,
    ):
        bring(session, source, session, superuser, name, report)
        kept = take_place(superuser, name, report)
        databases.provide(session, report)
    return kept


def bring(
    session: Session, source: ScratchServer, target: Session, superuser: Superuser, name: str, report: Report,
    options: Sequence[str] = (),
) -> None:  # fmt: skip
    """Copy the database ``name`` of a restored server of ``session`` to the primary of ``target`` (whose ``superuser`` is),
    where it waits under another name; ``options`` are pg_dump's. Raises RestoreFailed: nothing is in its place yet."""
    facts, coming = target.manifest.products[name].product, loading.coming(name)
    with loading.login(superuser, facts):
        loading.make_room(superuser, facts, coming)
        report(f"{name}: copied to the primary of {target.manifest.identity.name}")
        try:
            loading.load(session, source, target, facts, coming, options, report)
        except BaseException:
            forget(superuser, [name])
            raise


def take_place(superuser: Superuser, name: str, report: Report, *, keep: bool = True) -> str | None:
    """Give the copy that waits the name ``name``; returns under which one the present database is kept, closed to
    connections. None where there was none, or it is not to be kept."""
    report(f"{name}: takes its place")
    kept = f"{name}_before_{datetime.now(UTC):%Y%m%d_%H%M%S}"
    with superuser.connect("postgres") as connection:
        connection.autocommit = True
        there = _swap(connection, name, loading.coming(name), kept)
    if there and not keep:
        statements(superuser, "drop database {kept} with (force)", kept=kept)
    return kept if there and keep else None


def forget(superuser: Superuser, names: Iterable[str]) -> None:
    """Drop copies that wait and will not take a place."""
    for name in names:
        statements(superuser, "drop database if exists {coming} with (force)", coming=loading.coming(name))


def _swap(connection: psycopg.Connection[tuple[object, ...]], name: str, coming: str, kept: str) -> bool:
    """Give ``coming`` the name, and what bears it another; true if anything bore it. Where that fails, the present one
    takes connections again."""
    names = {key: sql.Identifier(value) for key, value in (("name", name), ("coming", coming), ("kept", kept))}
    there = connection.execute("select from pg_database where datname = %s", [name]).fetchone() is not None
    try:
        if there:
            connection.execute(sql.SQL("alter database {name} allow_connections false").format(**names))
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name]
            )
        with connection.transaction():
            if there:
                connection.execute(sql.SQL("alter database {name} rename to {kept}").format(**names))
            connection.execute(sql.SQL("alter database {coming} rename to {name}").format(**names))
    except psycopg.Error:
        if there:
            connection.execute(sql.SQL("alter database {name} allow_connections true").format(**names))
        raise
    return there


def table(session: Session, product_name: str, name: str, wanted: Plan, report: Report) -> tuple[str, int]:
    """Copy the table ``name`` of the planned moment into the schema `restored` of its database; its name there and its
    number of rows. Raises RestoreFailed when there was no such table then."""
    qualified = name if "." in name else f"public.{name}"
    moment = f"{name.replace('.', '_')}_{datetime.now(UTC):%Y%m%d_%H%M%S}"[-63:]
    with (
        lock.held(session, _concerned(session)),
        scratch_server(session, wanted, report, only=product_name) as source,
        session.superuser() as superuser,
    ):
        definition = _definition(source, product_name, qualified)
        facts, there = session.manifest.products[product_name].product, sql.Identifier(SCHEMA, moment)
        statements(
            superuser, "create schema if not exists {schema}", "alter schema {schema} owner to {owner}",
            database=product_name, schema=SCHEMA, owner=facts.owner_role,
        )  # fmt: skip
        with (
            loading.login(superuser, facts),
            source.owner(product_name) as origin,
            superuser.restore(product_name) as target,
        ):
            target.execute(sql.SQL("set role {}").format(sql.Identifier(facts.owner_role)))
            target.execute(sql.SQL("create table {} ({})").format(there, sql.SQL(definition)))
            report(f"{product_name}: {name} is copied")
            read = sql.SQL("copy (select * from only {}) to stdout (format binary)").format(
                sql.Identifier(*qualified.split("."))
            )
            write = sql.SQL("copy {} from stdin (format binary)").format(there)
            with origin.cursor().copy(read) as out, target.cursor().copy(write) as into:
                for block in out:
                    into.write(block)
            row = target.execute(sql.SQL("select count(*) from {}").format(there)).fetchone()
            target.commit()
    return f"{SCHEMA}.{moment}", int(row[0]) if row else 0


def _concerned(session: Session) -> tuple[str, str]:
    """The hosts that no other controller may change meanwhile: the primary's and the repository's."""
    return session.leader().name, session.manifest.repository_host.name


def _definition(source: ScratchServer, database: str, name: str) -> str:
    """The table's columns and types at that moment."""
    with source.owner(database) as connection:
        row = connection.execute(
            """select string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum)
               from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped""",
            [name],
        ).fetchone()
    if not row or not row[0]:
        raise RestoreFailed(f"{database} had no table {name} at that moment", UNCHANGED)
    return str(row[0])
