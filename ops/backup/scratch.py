"""A server restored on the backup host, next to the cluster: one product or one table of an earlier moment is taken from it.

The backup host's own program restores it and takes it away when this side stops listening, however that ends
(keel_host/programs/scratch_server.py).
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from environment.report import Report
from keel_host import scratch_access
from keel_host.accounts import SCRATCH, command
from ops.backup.repository import RepositoryFailed, plain
from ops.backup.restore import Plan
from ops.hosts.session import Session
from roles import paths


@dataclass(frozen=True)
class ScratchServer:
    """A restored server that runs."""

    host: str
    folder: str
    """Where its socket is on that host."""
    socket: Path
    """Where it is here, brought by SSH."""

    def owner(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection with the rights of the database's owner: whatever is evaluated there, that login could have done
        itself. The caller closes it."""
        where = make_conninfo(host=str(self.socket), user=scratch_access.owner(database), dbname=database)
        return psycopg.connect(where, options="-c search_path=pg_catalog", connect_timeout=10)

    def dump(self, database: str, options: Sequence[str] = ()) -> str:
        """Shell, on its host: pg_dump of a database, as who reads every row and has no other right; ``options`` are pg_dump's."""
        dump = f"pg_dump -h {self.folder} -U {scratch_access.READER} -d {database} -Fc -Z 0"
        return shlex.join([*command(SCRATCH, *dump.split()), *options])


@contextmanager
def scratch_server(
    session: Session, wanted: Plan, report: Report, *, only: str | None = None
) -> Iterator[ScratchServer]:
    """Restore ``wanted`` next to the cluster (with ``only``: of the databases that one alone) and start a server on it.

    Raises RepositoryFailed with what pgBackRest or the server said. Everything is removed at the end.
    """
    host = session.manifest.repository_host.name
    options = [
        f"--repo={wanted.repository}", f"--set={wanted.label}", f"--target-timeline={wanted.timeline}", *wanted.end.options,
        *([f"--db-include={only}"] if only else []),
    ]  # fmt: skip
    program = f"{paths.SCRATCH_SERVER} {wanted.bytes} {shlex.join(options)}"
    report(f"{host}: backup {wanted.label} is restored to a scratch server, as of {wanted.end}")
    process = subprocess.Popen(
        session.ssh(host, f"{program} 2>&1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        folder = _ready(process, host, report)
        with session.forward(host, f"{folder}/.s.PGSQL.5432") as socket:
            yield ScratchServer(host, folder, socket)
    finally:
        process.communicate()  # its standard input ends, and it removes what it made


def _ready(process: subprocess.Popen[str], host: str, report: Report) -> str:
    """The server's folder once it takes connections. Raises RepositoryFailed with the last that was said."""
    last: list[str] = []
    for line in process.stdout or ():
        word, _, folder = line.rstrip().partition(" ")
        if word == "ready":
            return folder
        last = [*last[-14:], plain(line)]
        report(last[-1])
    raise RepositoryFailed(f"{host}: no server was restored\n" + "\n".join(f"    {text}" for text in last))
