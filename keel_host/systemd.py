"""What a service and systemd tell each other: sd_notify(3), and the sockets that systemd keeps for a service over its restart."""

from __future__ import annotations

import os
import socket

FIRST = 3
"""The number of the first socket that systemd passes."""


def notify(state: str, kept: socket.socket | None = None) -> None:
    """Tell systemd, where it listens; ``kept`` goes with it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.connect(address.replace("@", "\0", 1))
            socket.send_fds(systemd, [state.encode()], [kept.fileno()] if kept else [])


def stored() -> dict[str, socket.socket]:
    """Name → socket that systemd has kept for this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return {name: socket.socket(fileno=FIRST + at) for at, name in enumerate(names) if name}
