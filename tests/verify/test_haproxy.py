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
    admin.connect("/run/haproxy/stats.sock")
    admin.sendall(sys.argv[1].encode() + b"\\n")
    while chunk := admin.recv(65536):
        sys.stdout.buffer.write(chunk)
"""


def ask(look: Look, edge: HostEntry, command: str) -> str:
    """What HAProxy answers on its administration socket."""
    return look.shell(edge, f"python3 -c {shlex.quote(ASK)} {shlex.quote(command)}").removeprefix("# ").strip()


def servers(look: Look, edge: HostEntry) -> list[dict[str, str]]:
    """What HAProxy knows of each server in each of its two lists."""
    rows = csv.DictReader(ask(look, edge, "show stat").splitlines())
    return [row for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")]


def up(look: Look, edge: HostEntry, backend: str) -> set[str]:
    """The servers of a backend that HAProxy uses."""
    rows = servers(look, edge)
    return {row["svname"] for row in rows if row["pxname"] == backend and row["status"].startswith("UP")}


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


def test_health_checks(edge: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-03, JEEX-20: every server is known in both lists by its address; Patroni is asked, as often as the environment says."""
    settings, ports = manifest.haproxy, manifest.ports
    wanted = {
        f"{backend}/{host.name}": (f"{host.address}:{ports.postgres}", str(settings.fall), str(settings.rise))
        for backend in ("primary", "fresh", "replica")
        for host in manifest.carrying(Group.POSTGRES)
    }
    rows = servers(look, edge)
    found = {f"{row['pxname']}/{row['svname']}": (row["addr"], row["check_fall"], row["check_rise"]) for row in rows}
    expect.same(found, wanted, edge.name)
    # Layer 7: an answer of Patroni's decides, not that a port is open.
    expect.nothing(
        f"{edge.name}: {row['svname']} is checked by {row['check_status']}"
        for row in rows
        if row["status"].startswith("UP") and not row["check_status"].removeprefix("* ").startswith("L7")
    )
