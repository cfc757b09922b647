"""A logical dump as the backup role is whole, and runs nothing of what an owner planted (W0, PLAT-31)."""

from __future__ import annotations

import shlex

from environment.names import BACKUP
from tests.db.planted import DATABASE
from tools.scratch_server import Server, password_of, provisioned, spec_of


def test_a_dump_is_whole_and_runs_nothing(server: Server, planted: str) -> None:
    """W0, CF-28: all that is planted would fail where it ran; a large object that only its owner may read is in the dump."""
    provisioned(server, spec_of())
    server.execute(f"grant connect on database {DATABASE} to {BACKUP}")
    server.execute(
        "set role planter; create view public.looks as select public.of_number(1); select lo_from_bytea(4711, 'kept')",
        DATABASE,
    )
    command = f"pg_dump -h /pg -U {BACKUP} -d {DATABASE} -b"
    done = server.run(*shlex.split(f"env PGPASSWORD={shlex.quote(password_of(BACKUP))} {command}"))
    assert done.returncode == 0, done.stderr
    assert "6b657074" in done.stdout and "\ntwo\n" in done.stdout
    assert server.execute("select rolname from pg_roles where rolsuper") == [("postgres",)]
    server.execute(f"drop owned by {BACKUP}", DATABASE)
