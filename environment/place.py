"""Where a client of an environment is, and where it finds what it verifies servers with."""

from __future__ import annotations

from enum import StrEnum


class Place(StrEnum):
    """Where a client is."""

    DOCKER = "docker"
    """In a container that has joined the environment's network."""
    HOST = "host"
    """On this machine, which publishes the ports of containers."""
    MACHINE = "machine"
    """On another machine of the hosts' network."""


CA = "/etc/ssl/keel-ca.pem"
"""The certificate of the servers' authority, which `./keel ca` prints: the variable PGSSLROOTCERT names the file."""
