"""Networks of this machine that hold addresses of an environment's: Docker makes one next to them, and then one of the two is not reached."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Network
from pathlib import Path
from typing import NamedTuple

from environment.names import network
from ops.hosts.docker import DockerFailed, docker

ROUTES = Path("/proc/net/route")
INTERFACE, DESTINATION, MASK = 0, 1, 7
"""Columns (proc_pid_net(5)); addresses are in the processor's order of bytes."""


class Route(NamedTuple):
    """A network that this machine reaches, and the interface through which it does."""

    network: IPv4Network
    interface: str


def overlapping(environment: str, wanted: IPv4Network) -> list[str]:
    """`network (whose)` of each that overlaps ``wanted`` and is not the environment's own: another Docker network, Podman's, a VPN's.
    The way to all the rest is none."""
    names = _of_docker()
    return [
        f"{route.network} ({_whose(route.interface, names)})"
        for route in routes(ROUTES.read_text() if ROUTES.exists() else "")
        if route.network.prefixlen
        and route.network.overlaps(wanted)
        and names.get(route.interface) != network(environment)
    ]


def routes(table: str) -> list[Route]:
    """What the kernel's table of IPv4 routes says, below its heading."""
    found = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        address, mask = (_dotted(columns[column]) for column in (DESTINATION, MASK))
        found.append(Route(IPv4Network(f"{address}/{mask}"), columns[INTERFACE]))
    return found


def _dotted(number: str) -> str:
    return socket.inet_ntoa(struct.pack("=L", int(number, 16)))


def _whose(interface: str, names: dict[str, str]) -> str:
    return f"Docker's network {names[interface]}" if interface in names else f"interface {interface}"


def _of_docker() -> dict[str, str]:
    """Interface → name, of Docker's bridges. Where no engine answers there are none."""
    try:
        listed = docker("network", "ls", "--filter", "driver=bridge", "--format", "{{.ID}} {{.Name}}")
    except (DockerFailed, FileNotFoundError):
        return {}
    return {f"br-{line.split()[0]}": line.split()[1] for line in listed.splitlines()}
