"""Which ports of hosts in containers are published on 127.0.0.1, and under which numbers.

A host that joins takes no port of another: what a host has follows from its own address, and not from its place among others.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Protocol, TypeVar

FIRST = 11
"""The last number of the address whose host has the port `keel:network.published.ssh`; the next address has the next port."""


class Addressed(Protocol):
    """A host of the settings or of the manifest."""

    @property
    def address(self) -> IPv4Address: ...


Edge = TypeVar("Edge", bound=Addressed)


def ssh_port(first: int, address: IPv4Address) -> int:
    """Where sshd of the host with this address is published."""
    return first + address.packed[-1] - FIRST


def first_edge(edges: Iterable[Edge]) -> Edge:
    """The edge whose services are published: the one with the lowest address."""
    return min(edges, key=lambda edge: edge.address)
