"""Record a known moment: a named restore point, and what every table of every product held exactly there (PLAT-35).

known-moment        writes <known moments>/<name>.json, and a line to the list of restore points; run as postgres

A table is compared by a drill only where its content at the point is certain. Snapshots before and after the point tell whether
anything was committed around it; then the table is read in both. A transaction that has written its commit before the
point and does not show it yet still holds its lock: tables locked for writing after the point are left out, by name.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import psycopg

from keel_host.config import BackupHost, read
from keel_host.fingerprint import METHOD, TABLES, Table, connect, fingerprint
from keel_host.known import KnownMoment, keep
from keel_host.processes import Failed

SNAPSHOT = "select pg_current_snapshot()::text"
WRITTEN = """
select d.datname::text, l.relation
from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'relation' and l.granted
  and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""
QUALIFIED = """
select format('%%I.%%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(%s::oid[])
"""
POINT = """
select lsn::text, pg_walfile_name(lsn), clock_timestamp(), (select system_identifier::text from pg_control_system())
from pg_create_restore_point(%s) lsn
"""


def main(arguments: list[str]) -> int:
    """0 when the moment is recorded and on its way into the archive."""
    try:
        moment = run(read(BackupHost))
    except (OSError, Failed, psycopg.Error) as error:
        sys.stderr.write(f"no known moment was recorded: {str(error).strip()}\n")
        return 1
    rows = sum(count for tables in moment.tables.values() for count, _ in tables.values())
    number = sum(map(len, moment.tables.values()))
    moving = sum(map(len, moment.moving.values()))
    print(
        f"{moment.name}: {number} tables, {rows} rows; {moving} tables were being written and are left out", flush=True
    )
    return 0


def run(host: BackupHost) -> KnownMoment:
    """Record a moment of every product, and keep it."""
    with ExitStack() as stack:

        def session(database: str) -> Any:
            return stack.enter_context(connect(f"{host.server} dbname={database}"))

        sessions = {product: (session(product), session(product)) for product in host.products}
        naming = session("postgres")
        moment = record(host.stanza, sessions, naming)
        # A commit after the point, and both in the archive at once: a recovery can end there, and at a time after it.
        naming.execute("select pg_current_xact_id()")
        naming.execute("select pg_switch_wal()")
    keep(host, moment)
    return moment


def record(environment: str, sessions: dict[str, tuple[Any, Any]], naming: Any) -> KnownMoment:
    """Name a moment and read what the tables held there; ``sessions``: two per product, for before and after."""
    name = datetime.now(UTC).strftime("known-%Y%m%dT%H%M%SZ")
    before = {product: begin(first) for product, (first, _) in sessions.items()}
    for first, _ in sessions.values():
        hold(first)
    lsn, wal, moment, system = naming.execute(POINT, [name]).fetchone()
    locked = naming.execute(WRITTEN).fetchall()
    after = {product: begin(second) for product, (_, second) in sessions.items()}
    tables: dict[str, dict[str, Table]] = {}
    moving: dict[str, list[str]] = {}
    for product, (first, second) in sessions.items():
        held = fingerprint(first)
        then = held if before[product] == after[product] else fingerprint(second)
        relations = [relation for database, relation in locked if database == product]
        written = {name for (name,) in first.execute(QUALIFIED, [relations]).fetchall()}
        tables[product], moving[product] = still(held, then, written)
    return KnownMoment(environment, system, name, lsn, wal, moment.astimezone(UTC).isoformat(), tables, moving, METHOD)


def begin(session: Any) -> str:
    """Open a snapshot, which the session keeps; its text."""
    session.execute("begin isolation level repeatable read read only")
    return str(session.execute(SNAPSHOT).fetchone()[0])


def hold(session: Any) -> None:
    """Keep every table from being emptied or rewritten until it is read: a snapshot would not show what was in it."""
    for (name,) in session.execute(TABLES).fetchall():
        session.execute(f"lock table only {name} in access share mode")


def still(before: dict[str, Table], after: dict[str, Table], written: set[str]) -> tuple[dict[str, Table], list[str]]:
    """The tables whose content at the point is certain, and the names of the others."""
    certain = {name: held for name, held in before.items() if after.get(name) == held and name not in written}
    return certain, sorted((before.keys() | after.keys()) - certain.keys())
