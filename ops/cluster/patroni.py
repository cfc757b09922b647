"""The cluster's health as Patroni and etcd tell it, asked over SSH from the controller."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from environment.manifest import Manifest
from environment.types import Group
from ops.hosts.session import Session, Unreachable

CERTIFICATES = {"postgres": "/etc/keel/tls/postgres", "etcd": "/etc/keel/tls/etcd"}
CA = "/etc/keel/ca.crt"


@dataclass(frozen=True)
class Member:
    """One PostgreSQL server. ``lag``: bytes behind the primary, None when unknown."""

    name: str
    role: str
    state: str
    timeline: int | None
    lag: int | None
    pending_restart: bool
    delay: int = 0
    """Minutes that it stays behind on purpose (keel:postgres.apply_delay)."""

    @property
    def leads(self) -> bool:
        """True for the primary."""
        return self.role in ("leader", "standby_leader")

    @property
    def well(self) -> bool:
        """True if it runs as primary or streams; one that stays behind may read the archive, which is ahead of it."""
        return self.state in ("running", "streaming") or (self.delay > 0 and self.state == "in archive recovery")


def patroni_command(manifest: Manifest, host: str, path: str, data: dict[str, Any] | None = None) -> str:
    """Shell that asks Patroni on ``host`` for ``path``; with ``data`` it is a POST."""
    address, port = manifest.host(host).address, manifest.ports.patroni
    tls = CERTIFICATES["postgres"]
    # Patroni opens its listener anew when its certificate changed: a question is asked again, a command is not.
    again = "--retry 3 --retry-all-errors --retry-delay 1" if data is None else ""
    post = f"-X POST -d '{json.dumps(data)}'" if data is not None else ""
    return f"curl -sS {again} --max-time 60 --cacert {CA} --cert {tls}/cert.pem --key {tls}/key.pem {post} https://{address}:{port}{path}"


def patroni(session: Session, host: str, path: str, data: dict[str, Any] | None = None) -> str:
    """What Patroni on ``host`` answers at ``path``; with ``data`` it is a POST. Raises as Session.run does."""
    return session.run(host, patroni_command(session.manifest, host, path, data), timeout=70)


def members(session: Session) -> list[Member]:
    """Every PostgreSQL server, from the first member that answers; empty when none does."""
    for host in session.manifest.carrying(Group.POSTGRES):
        try:
            return members_of(session.manifest, patroni(session, host.name, "/cluster"))
        except (Unreachable, subprocess.SubprocessError, json.JSONDecodeError):
            continue
    return []


def members_of(manifest: Manifest, cluster: str) -> list[Member]:
    """Every PostgreSQL server of Patroni's answer at /cluster. Raises JSONDecodeError."""
    return [
        Member(
            name=item["name"],
            role=item["role"],
            state=item["state"],
            timeline=item.get("timeline"),
            lag=item["lag"] if isinstance(item.get("lag"), int) else None,
            pending_restart=bool(item.get("pending_restart")),
            delay=manifest.postgres.apply_delay.get(item["name"], 0),
        )
        for item in json.loads(cluster)["members"]
    ]


def etcd_health(session: Session) -> dict[str, bool]:
    """etcd member → does it answer with a leader."""
    return {host.name: _etcd_well(session, host.name) for host in session.manifest.carrying(Group.ETCD)}


def _etcd_well(session: Session, host: str) -> bool:
    try:
        session.run(host, etcd_command(session.manifest, host), timeout=20)
    except (Unreachable, subprocess.SubprocessError):
        return False
    return True


def etcd_command(manifest: Manifest, host: str) -> str:
    """Shell that succeeds where the etcd member on ``host`` answers with a leader."""
    address, port = manifest.host(host).address, manifest.ports.etcd_client
    tls = CERTIFICATES["etcd"]
    return (
        f"etcdctl --endpoints=https://{address}:{port} --cacert={CA} --cert={tls}/cert.pem --key={tls}/key.pem "
        "--command-timeout=5s endpoint health"
    )
