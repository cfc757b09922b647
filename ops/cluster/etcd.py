"""etcd, asked over SSH from the controller."""

from __future__ import annotations

import subprocess

from environment.manifest import HostEntry
from environment.types import Group
from ops.hosts.session import Session, Unreachable
from roles.etcd.etcdctl import etcdctl, healthy


def health(session: Session) -> dict[str, bool]:
    """etcd member → does it answer with a leader."""
    return {host.name: _well(session, host) for host in session.manifest.carrying(Group.ETCD)}


def _well(session: Session, host: HostEntry) -> bool:
    try:
        session.run(host.name, healthy(session.manifest, host), timeout=20)
    except (Unreachable, subprocess.SubprocessError):
        return False
    return True


def forget_cluster(session: Session) -> None:
    """Remove Patroni's keys of this cluster; `before-patroni` brings its configuration back."""
    stores = session.manifest.carrying(Group.ETCD)
    well = health(session)
    store = next((host for host in stores if well[host.name]), stores[0])
    command = f"del --prefix /keel/{session.manifest.identity.name}/"
    session.run(store.name, etcdctl(session.manifest, stores, command, seconds=30))
