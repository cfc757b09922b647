"""etcd: the consensus store that holds Patroni's leader lease."""

from __future__ import annotations

from environment.names import ETCD_VOLUME
from environment.types import Group
from roles import paths
from roles.etcd.etcdctl import TLS, healthy
from roles.kit.declare import Certificate, Directory, File, Role, Target, Unit
from roles.kit.sandbox import path, sandbox

CONFIG = "/etc/default/etcd"
JOIN = f"{paths.LIBRARY}/etcd-join"
JOINED = "/run/keel-etcd/join.env"
"""How the member starts when it lost its data."""
UNIT = "etcd.service"
DROPIN = paths.dropin(UNIT)


class Etcd(Role):
    """One member; TLS with client certificates for peers and clients."""

    name = "etcd"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (
            Directory(ETCD_VOLUME, "etcd", "etcd", "700"),
            Directory(f"{paths.UNITS}/etcd.service.d"),
        )

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        names = (target.host.name, "localhost", "127.0.0.1", str(target.host.address))
        return (Certificate(TLS, names, "etcd", "etcd"),)

    def files(self, target: Target) -> tuple[File, ...]:
        members = target.manifest.carrying(Group.ETCD)
        token = target.roots.token("etcd")
        join = self.render("etcd-join.j2", target, members=members, joined=JOINED, tls=TLS, ca=paths.CA)
        return (
            File(CONFIG, self.render("etcd.env.j2", target, members=members, token=token, tls=TLS, ca=paths.CA)),
            File(JOIN, join, mode="755"),
            File(DROPIN, self.render("etcd.service.conf", target, join=JOIN, joined=JOINED)),
            sandbox(UNIT, self.certificates(target), writes=(ETCD_VOLUME,)),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        health = f"{healthy(target.manifest, target.host)} >/dev/null 2>&1"
        restart = (CONFIG, DROPIN, path(UNIT), paths.CA)
        return (Unit(UNIT, restart, ready=health, serial=True, title="etcd"),)
