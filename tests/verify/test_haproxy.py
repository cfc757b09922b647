"""HAProxy on each edge: one port follows the primary, the other spreads over the replicas."""

from __future__ import annotations

import csv
import shlex

from environment.manifest import HostEntry, Manifest
from environment.types import Group
from tests.verify import expect
from tests.verify.look import Look

ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as admin:
    admin.connect("/run/haproxy/admin.sock")
    admin.sendall(sys.argv[1].encode() + b"\\n")
    while chunk := admin.recv(65536):
        sys.stdout.buffer.write(chunk)
"""


def ask(look: Look, edge: HostEntry, command: str) -> str:
    """What HAProxy answers on its administration socket."""
    return look.shell(edge, f"python3 -c {shlex.quote(ASK)} {shlex.quote(command)}").removeprefix("# ").strip()


def up(look: Look, edge: HostEntry, backend: str) -> set[str]:
    """The servers of a backend that HAProxy uses."""
    rows = csv.DictReader(ask(look, edge, "show stat").splitlines())
    return {
        row["svname"] for row in rows
        if row["pxname"] == backend and row["svname"] != "BACKEND" and row["status"].startswith("UP")
    }  # fmt: skip


def test_follows_the_primary(edge: HostEntry, look: Look, manifest: Manifest) -> None:
    """X-23: the proxy's primary is the one server that takes writes, and its replicas are all the others, but no delayed one."""
    servers = manifest.carrying(Group.POSTGRES)
    primary = {host.name for host in servers if not look.server(host).recovering}
    others = {host.name for host in servers} - primary
    expect.exactly(up(look, edge, "primary"), primary, f"{edge.name}: primary")
    expect.exactly(up(look, edge, "replica"), others - manifest.postgres.apply_delay.keys(), f"{edge.name}: replica")


def test_limits(edge: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-03: the running proxy takes as many connections as the environment says."""
    info = dict(line.split(": ", 1) for line in ask(look, edge, "show info").splitlines() if ": " in line)
    expect.same(info, {"Maxconn": str(manifest.haproxy.maxconn)}, edge.name)
