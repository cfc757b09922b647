"""etcd, asked over SSH from the controller."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress

from environment.manifest import HostEntry
from environment.types import Group
from ops.hosts.session import Session, Unreachable
from roles.etcd.etcdctl import etcdctl, healthy, peer


def health(session: Session) -> dict[str, bool]:
    """etcd member → does it answer with a leader."""
    return {host.name: _well(session, host) for host in session.manifest.carrying(Group.ETCD)}


def _well(session: Session, host: HostEntry) -> bool:
    try:
        session.run(host.name, healthy(session.manifest, host), timeout=20)
    except (Unreachable, subprocess.SubprocessError):
        return False
    return True


def listed(session: Session, asked: Sequence[HostEntry]) -> dict[str, str]:
    """Peer URL → id of the members, as those that are ``asked`` know them; empty where none of them answers."""
    for store in asked:
        with suppress(Unreachable, subprocess.SubprocessError):
            lines = session.run(store.name, etcdctl(session.manifest, [store], "member list"), timeout=20).splitlines()
            return {fields[3]: fields[0] for fields in (line.split(", ") for line in lines)}
    return {}


def strangers(session: Session) -> set[str]:
    """Hosts that the manifest makes members and that have not joined yet."""
    stores = session.manifest.carrying(Group.ETCD)
    known = listed(session, stores)
    return {host.name for host in stores if known and peer(session.manifest, host) not in known}


def remove(session: Session, staying: Sequence[HostEntry], leaving: HostEntry) -> None:
    """Take a member out, where it is one."""
    found = listed(session, staying).get(peer(session.manifest, leaving))
    if found:
        _order(session, staying, f"member remove {found}")


def forget_servers(session: Session, staying: Sequence[HostEntry], servers: Iterable[str]) -> None:
    """Remove the keys of Patroni's members that stopped; Patroni itself would wait for their leases to end."""
    for server in servers:
        _order(session, staying, f"del /keel/{session.manifest.identity.name}/members/{server}")


def _order(session: Session, asked: Sequence[HostEntry], command: str) -> None:
    """Give a command to the first of those that are ``asked`` which is well. Raises what the last one said."""
    well = health(session)
    store = next((host for host in asked if well[host.name]), asked[0])
    session.run(store.name, etcdctl(session.manifest, [store], command, seconds=30), timeout=40)


def forget_cluster(session: Session) -> None:
    """Remove Patroni's keys of this cluster; `before-patroni` brings its configuration back."""
    stores = session.manifest.carrying(Group.ETCD)
    well = health(session)
    store = next((host for host in stores if well[host.name]), stores[0])
    command = f"del --prefix /keel/{session.manifest.identity.name}/"
    session.run(store.name, etcdctl(session.manifest, stores, command, seconds=30))
