"""Paths on the hosts that more than one role uses."""

KEEL = "/etc/keel"
CA = f"{KEEL}/ca.crt"
TLS = f"{KEEL}/tls"
LIBRARY = "/usr/local/lib/keel"
"""Keel's own programs on a host."""


def dropin(unit: str) -> str:
    """Path of Keel's drop-in for a systemd unit."""
    return f"/etc/systemd/system/{unit}.d/keel.conf"
