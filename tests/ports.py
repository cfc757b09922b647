"""Ports for tests, below the range from which outgoing connections take theirs."""

import random
import socket


def free_range(size: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for _ in range(100):
        base = random.randrange(20000, 32000 - size)
        if all(_free(port) for port in range(base, base + size)):
            return base
    raise AssertionError("no free range of ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
