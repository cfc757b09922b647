"""TLS: each service, seen from outside, has a certificate of this environment's authority for its own name."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import NamedTuple

import pytest

from environment.manifest import HostEntry, Manifest
from environment.pki import Authority
from environment.types import Group
from roles.kit.tls import CIPHERS
from tests.verify import expect
from tests.verify.tunnels import Tunnels


class Endpoint(NamedTuple):
    """Where a service listens, the names that its certificate must hold, and who signed that."""

    service: str
    port: int
    names: tuple[str, ...]
    authority: Authority = Authority.COMMON
    door: Authority | None = None
    """Who signs the certificates without which no one gets past the handshake."""
    postgres: bool = False
    """PostgreSQL's protocol comes before TLS."""


def endpoints(host: HostEntry, manifest: Manifest) -> list[Endpoint]:
    """The services of a host."""
    ports, name = manifest.ports, manifest.identity.name
    address, found = str(host.address), manifest.aliases(host)
    of_group = {
        Group.POSTGRES: [
            Endpoint(
                "PostgreSQL", ports.postgres,
                (host.name, address, manifest.primary_name, manifest.replica_name, *manifest.called(Group.EDGE)),
                postgres=True,
            ),
            Endpoint("Patroni", ports.patroni, (host.name, address), door=Authority.PATRONI),
        ],
        Group.ETCD: [
            Endpoint("etcd's clients", ports.etcd_client, (host.name, address), Authority.ETCD, Authority.ETCD),
            Endpoint("etcd's peers", ports.etcd_peer, (host.name, address), Authority.ETCD_PEERS, Authority.ETCD_PEERS),
        ],
        Group.EDGE: [
            Endpoint("PgBouncer", ports.pgbouncer, (host.name, address, f"pgbouncer.{name}", *found), postgres=True)
        ],
        Group.REDIS: [Endpoint("Redis", ports.redis, (host.name, address, f"redis.{name}", *found))],
    }  # fmt: skip
    pgbackrest = any(host.carries(group) for group in (Group.POSTGRES, Group.BACKUP)) and len(manifest.hosts) > 1
    of_pgbackrest = [Endpoint("pgBackRest", ports.pgbackrest, (host.name, address))] if pgbackrest else []
    return of_pgbackrest + [service for group in host.groups for service in of_group.get(group, [])]


def test_chain(host: HostEntry, tunnels: Tunnels, manifest: Manifest) -> None:
    """PLAT-39: every service of the host speaks TLS 1.2 or newer with a certificate that verifies for each of its names."""
    problems = []
    for at in endpoints(host, manifest):
        for name in at.names:
            try:
                version = tunnels.handshake(host, at.port, name, postgres=at.postgres, authority=at.authority)
            except (OSError, ssl.SSLError) as error:
                problems.append(f"{host.name}: {at.service} as {name}: {error}")
                continue
            if version not in ("TLSv1.2", "TLSv1.3"):
                problems.append(f"{host.name}: {at.service} as {name}: {version}")
    expect.nothing(problems)


def test_ciphers(host: HostEntry, tunnels: Tunnels, manifest: Manifest) -> None:
    """W13, PLAT-39: at TLS 1.2 no service takes a cipher without authenticated encryption or without forward secrecy."""
    weak = f"ALL:COMPLEMENTOFALL:@SECLEVEL=0:!{CIPHERS.replace(':', ':!')}"
    problems = []
    for at in endpoints(host, manifest):
        with suppress(ssl.SSLError, ConnectionError):
            found = tunnels.cipher(host, at.port, weak, postgres=at.postgres, door=at.door)
            problems.append(f"{host.name}: {at.service} takes {found}")
        try:
            tunnels.cipher(host, at.port, CIPHERS, postgres=at.postgres, door=at.door)
        except (OSError, ssl.SSLError) as error:  # what refuses everything has not shown that it refuses the weak ones
            problems.append(f"{host.name}: {at.service} takes no strong cipher at TLS 1.2: {error}")
    expect.nothing(problems)


def test_a_wrong_name_is_refused(server: HostEntry, tunnels: Tunnels, manifest: Manifest) -> None:
    """PLAT-39: the check above can fail: a name that is not in the certificate does not verify."""
    with pytest.raises(ssl.SSLCertVerificationError):
        tunnels.handshake(server, manifest.ports.postgres, "elsewhere.example", postgres=True)
