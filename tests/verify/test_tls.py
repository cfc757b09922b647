"""TLS: each service, seen from outside, has a certificate of this environment's authority for its own name."""

from __future__ import annotations

import ssl

import pytest

from environment.manifest import HostEntry, Manifest
from environment.types import Group
from tests.verify import expect
from tests.verify.tunnels import Tunnels


def endpoints(host: HostEntry, manifest: Manifest) -> list[tuple[str, int, tuple[str, ...], bool]]:
    """Service, port, names its certificate must hold, and whether PostgreSQL's protocol comes before TLS."""
    ports, name = manifest.ports, manifest.identity.name
    address = str(host.address)
    of_group: dict[Group, list[tuple[str, int, tuple[str, ...], bool]]] = {
        Group.POSTGRES: [
            ("PostgreSQL", ports.postgres, (host.name, address, manifest.primary_name, manifest.replica_name), True),
            ("Patroni", ports.patroni, (host.name, address), False),
        ],
        Group.ETCD: [
            ("etcd's clients", ports.etcd_client, (host.name, address), False),
            ("etcd's peers", ports.etcd_peer, (host.name, address), False),
        ],
        Group.EDGE: [("PgBouncer", ports.pgbouncer, (host.name, address, f"pgbouncer.{name}"), True)],
        Group.REDIS: [("Redis", ports.redis, (host.name, address, f"redis.{name}"), False)],
    }
    return [service for group in host.groups for service in of_group.get(group, [])]


def test_chain(host: HostEntry, tunnels: Tunnels, manifest: Manifest) -> None:
    """PLAT-39: every service of the host speaks TLS 1.2 or newer with a certificate that verifies for each of its names."""
    problems = []
    for service, port, names, postgres in endpoints(host, manifest):
        for name in names:
            try:
                version = tunnels.handshake(host, port, name, postgres=postgres)
            except (OSError, ssl.SSLError) as error:
                problems.append(f"{host.name}: {service} as {name}: {error}")
                continue
            if version not in ("TLSv1.2", "TLSv1.3"):
                problems.append(f"{host.name}: {service} as {name}: {version}")
    expect.nothing(problems)


def test_a_wrong_name_is_refused(server: HostEntry, tunnels: Tunnels, manifest: Manifest) -> None:
    """PLAT-39: the check above can fail: a name that is not in the certificate does not verify."""
    with pytest.raises(ssl.SSLCertVerificationError):
        tunnels.handshake(server, manifest.ports.postgres, "elsewhere.example", postgres=True)
