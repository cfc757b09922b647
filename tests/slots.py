"""Networks and ports of tests: reserved, so that test runs side by side on one machine never take the same ones.

A slot is a number with a network of its own and a range of ports of its own. The process that reserves one holds a lock on it
until it ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
from dataclasses import dataclass
from typing import IO

from ops.hosts.docker import DockerFailed, docker
from toolchain.cache import Cache

PORTS = 32
"""Per slot; all of them below 32768, where Linux begins to hand out ports for outgoing connections."""
NUMBERS = range(1, 250)

FOLDER = Cache.of(os.environ).root / "slots"
"""A file for each slot that was ever reserved; whoever holds its lock has the slot."""

_held: dict[int, IO[str]] = {}


@dataclass(frozen=True)
class Slot:
    """One reserved network and range of ports."""

    number: int

    @property
    def network(self) -> str:
        """The first three bytes of its addresses."""
        return f"10.91.{self.number}"

    @property
    def port(self) -> int:
        """The first of its ``PORTS`` ports."""
        return 20000 + PORTS * self.number


def reserve() -> Slot:
    """The first slot that no other process holds, whose network Docker does not have, and on whose ports no program listens."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    used = _networks()
    for number in NUMBERS:
        slot = Slot(number)
        if number in _held or f"{slot.network}." in used:
            continue
        lock = (FOLDER / str(number)).open("a")
        if _locked(lock) and all(_free(port) for port in range(slot.port, slot.port + PORTS)):
            _held[number] = lock
            return slot
        lock.close()
    raise AssertionError(f"none of {len(NUMBERS)} slots is free: other test runs hold them in {FOLDER}")


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _networks() -> str:
    """The subnets that Docker has; without an engine there are none."""
    try:
        ids = docker("network", "ls", "-q").split()
        return docker("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", *ids)
    except DockerFailed:
        return ""


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
