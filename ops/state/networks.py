"""Networks and ports that this machine uses: Docker makes an environment's next to them, and then one of the two is not reached."""

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
ATTEMPTS = 5
"""A network that goes between the list and the look at it fails both; so many environments do not go one after the other."""


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
        for route in _routes()
        if route.network.overlaps(wanted) and names.get(route.interface) != network(environment)
    ]


def used() -> set[IPv4Network]:
    """Every network that this machine reaches, and every one of Docker's, also where no interface has it yet."""
    return {route.network for route in _routes()} | _subnets()


def port_is_free(port: int) -> bool:
    """True where a program could listen on ``port`` of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def routes(table: str) -> list[Route]:
    """What the kernel's table of IPv4 routes says, below its heading."""
    found = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        address, mask = (_dotted(columns[column]) for column in (DESTINATION, MASK))
        found.append(Route(IPv4Network(f"{address}/{mask}"), columns[INTERFACE]))
    return found


def _routes() -> list[Route]:
    """Those of this machine, without the one to all the rest."""
    return [route for route in routes(ROUTES.read_text() if ROUTES.exists() else "") if route.network.prefixlen]


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


def _subnets() -> set[IPv4Network]:
    """Of Docker's networks. Where no engine answers there are none."""
    for _ in range(ATTEMPTS):
        try:
            ids = docker("network", "ls", "-q").split()
        except (DockerFailed, FileNotFoundError):
            break
        try:
            found = docker("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", *ids).split()
            return {IPv4Network(subnet) for subnet in found if ":" not in subnet}
        except DockerFailed:
            continue
    return set()
