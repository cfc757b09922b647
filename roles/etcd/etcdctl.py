"""etcd's own command, as the role and the controller use it."""

from __future__ import annotations

from collections.abc import Iterable

from environment.manifest import HostEntry, Manifest
from environment.pki import Authority
from roles import paths

TLS = f"{paths.TLS}/{Authority.ETCD}"
DOOR = paths.door(Authority.ETCD)
PROOF = f"--cacert={paths.since(DOOR, paths.CA)} --cert={TLS}/cert.pem --key={TLS}/key.pem"


def etcdctl(manifest: Manifest, members: Iterable[HostEntry], command: str, seconds: int = 5) -> str:
    """Shell that gives ``command`` to these members of the store, on a host that is one of them."""
    endpoints = ",".join(f"https://{member.address}:{manifest.ports.etcd_client}" for member in members)
    return f"etcdctl --endpoints={endpoints} {PROOF} --command-timeout={seconds}s {command}"


def peer(manifest: Manifest, member: HostEntry) -> str:
    """Where the other members find one."""
    return f"https://{member.address}:{manifest.ports.etcd_peer}"


def healthy(manifest: Manifest, member: HostEntry) -> str:
    """Shell that succeeds where the member answers with a leader."""
    return etcdctl(manifest, [member], "endpoint health")
