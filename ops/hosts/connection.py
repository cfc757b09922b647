"""How pyinfra connects to a host of a session: the pinned key, nothing of the user's own SSH files.

An agent and other keys are not asked for: pyinfra does that only where it has no key.
"""

from __future__ import annotations

from environment.manifest import HostEntry
from ops.hosts.session import Session


def connection(session: Session, host: HostEntry) -> dict[str, object]:
    """pyinfra's connection data for ``host``."""
    return {
        "ssh_hostname": host.ssh.hostname,
        "ssh_port": host.ssh.port,
        "ssh_user": "root",
        "ssh_key": str(session.key),
        "ssh_known_hosts_file": str(session.known_hosts),
        "ssh_config_file": "/dev/null",
        "ssh_strict_host_key_checking": "yes",
    }
