"""A server starts with the sizes that follow from the smallest host that is taken, and from one as large as this machine."""

from __future__ import annotations

import os

import pytest

from environment import server_parameters
from environment.sizing import sized
from tests.db.fixtures import chosen_major
from tests.unit.cli_fakes import environment
from tools.scratch_server import Server

STARTED = """\
PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
data=/pg/sized
trap 'pg_ctl -D $data -m immediate stop; rm -rf $data /pg/sized.log' EXIT
exec 3>&1 >&2
initdb -D $data -U postgres -A trust -N
cat >>$data/postgresql.conf
pg_ctl -D $data -w -t 60 -l /pg/sized.log -o '-c listen_addresses= -c unix_socket_directories=/pg -c port=6000' start || cat /pg/sized.log
psql -X -At -F= -h /pg -p 6000 -U postgres -c "SELECT name, setting FROM pg_settings WHERE sourceline IS NOT NULL" >&3
"""
"""Shell: a new server with these lines more in its configuration, and what it then says of them, in each one's own unit."""
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
"""MiB."""


@pytest.mark.parametrize(
    ("memory", "cpus", "connections"), [(455, 0.5, 100), (2048, 2, 100), (MACHINE, os.cpu_count(), 300)]
)
def test_a_server_starts_with_what_follows(
    server: Server, request: pytest.FixtureRequest, memory: int, cpus: float, connections: int
) -> None:
    """JEEX-05, PLAT-03: and says each value as it was given."""
    hosts = {
        f"hosts.{name}.{key}": value for name in ("db1", "db2") for key, value in (("memory", memory), ("cpus", cpus))
    }
    settings = environment({**hosts, "postgres.max_connections": connections}).settings
    given = {name: value.text for name, value in sized(settings).values.items()} | {"max_connections": str(connections)}
    lines = "".join(f"{name} = {text}\n" for name, text in given.items())
    answered = server.run("sh", "-c", STARTED, given=lines)
    assert answered.returncode == 0, answered.stderr
    said = dict(line.split("=", 1) for line in answered.stdout.splitlines())
    known = server_parameters.known(chosen_major(request.config))
    assert {name: said[name] for name in given if not known[name].same(said[name], given[name])} == {}
