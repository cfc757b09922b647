"""Restore points: moments that have a name in the WAL and are written down in the repository."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime

from db.spec import MAINTENANCE_DATABASE
from ops.hosts.session import Session
from roles import paths


def create(session: Session, database: str, name: str) -> str:
    """Name this moment in the WAL, and write it down in the repository: a recovery to the name must know which backup is
    older than it. Returns its LSN. ``name``: at most 63 bytes."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    with session.superuser() as superuser, superuser.connect(MAINTENANCE_DATABASE) as connection:
        row = connection.execute("select pg_create_restore_point(%s)::text", [name]).fetchone()
    assert row is not None  # noqa: S101 - a function's call returns a row
    entry = json.dumps({"name": name, "lsn": row[0], "time": moment, "database": database})
    host = session.manifest.repository_host.name
    # Known moments are written down there too, by a job that is not root's.
    session.run(host, f"echo {shlex.quote(entry)} >> {paths.POINTS}; chown postgres: {paths.POINTS}")
    return str(row[0])


def recorded(session: Session) -> list[dict[str, str]]:
    """Every restore point that was written down, oldest first: name, lsn, time, database."""
    said = session.recorded(session.manifest.repository_host.name, paths.POINTS)
    return [json.loads(line) for line in said.splitlines()]
