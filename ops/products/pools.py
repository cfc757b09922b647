"""The poolers' server connections to a product's database, opened again after it changed."""

from __future__ import annotations

import shlex
import subprocess

import psycopg

from db.spec import MAINTENANCE_DATABASE
from environment.products import Product
from environment.report import Report
from environment.types import Group
from environment.waiting import NotReached, until
from ops.hosts.session import Session, Unreachable
from roles import paths

REPLAY = 30
"""Seconds that the replicas may take to replay a migration before their pools are renewed all the same. One that was further
behind already stays so on purpose, or serves no reads."""

_BEHIND = """
select application_name from pg_stat_replication
where state = 'streaming' and replay_lsn < %s::pg_lsn and coalesce(replay_lag, '0') < make_interval(secs => %s) order by 1
"""


def renew(session: Session, product: Product, report: Report) -> None:
    """Have each edge close its server connections to the database as transactions end: what they prepared before the database
    changed fails with `cached plan must not change result type` for as long as they live.

    Replicas must have replayed the change, or they would prepare the old form again. An edge that does not answer is
    reported: its connections are of no pool, or end with it.
    """
    _reconnect(session, product.name, report)
    try:
        _await_replay(session)
    except (NotReached, Unreachable, psycopg.Error) as error:
        report(f"{product.name}: pools of replicas may prepare what was before: {error}")
    _reconnect(session, f"{product.name}_ro", report)


def _reconnect(session: Session, pool: str, report: Report) -> None:
    # Also of those that leave with the clients that they have.
    console = "runuser -u postgres -- psql -Xq -h ${socket%/*} -p ${socket##*.} -U postgres pgbouncer"
    sockets = f"{paths.PGBOUNCER_SOCKETS}/*/.s.PGSQL.*"
    order = (
        f"for socket in {sockets}; do {console} -c {shlex.quote(f'RECONNECT {pool}')} || failed=1; done; [ ! $failed ]"
    )
    for edge in session.manifest.carrying(Group.EDGE):
        try:
            session.run(edge.name, f"if systemctl --quiet is-active pgbouncer.service; then {order}; fi")
        except (Unreachable, subprocess.SubprocessError) as error:
            report(f"{pool}: the pool of {edge.name} keeps its connections: {error}")


def _await_replay(session: Session) -> None:
    with session.superuser() as superuser, superuser.connect(MAINTENANCE_DATABASE) as connection:
        connection.autocommit = True
        row = connection.execute("select pg_current_wal_flush_lsn()::text").fetchone()
        about = [row[0] if row else None, REPLAY]

        def behind() -> list[str]:
            return [name for (name,) in connection.execute(_BEHIND, about).fetchall()]

        until(lambda: not behind(), REPLAY, "replicas to replay the migration", last=lambda: ", ".join(behind()))
