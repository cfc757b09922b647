"""etcd: the consensus store that holds Patroni's leader lease."""

from __future__ import annotations

from environment.types import Group
from roles import paths
from roles.etcd.etcdctl import TLS, healthy
from roles.kit.declare import Certificate, Directory, File, Role, Target, Unit

CONFIG = "/etc/default/etcd"
JOIN = f"{paths.LIBRARY}/etcd-join"
DROPIN = paths.dropin("etcd.service")


class Etcd(Role):
    """One member; TLS with client certificates for peers and clients."""

    name = "etcd"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (
            Directory("/var/lib/etcd", "etcd", "etcd", "700"),
            Directory("/etc/systemd/system/etcd.service.d"),
        )

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        names = (target.host.name, "localhost", "127.0.0.1", str(target.host.address))
        return (Certificate(TLS, names, "etcd", "etcd"),)

    def files(self, target: Target) -> tuple[File, ...]:
        members = target.manifest.carrying(Group.ETCD)
        token = target.roots.token("etcd")
        return (
            File(CONFIG, self.render("etcd.env.j2", target, members=members, token=token, tls=TLS, ca=paths.CA)),
            File(JOIN, self.render("etcd-join.j2", target, members=members, tls=TLS, ca=paths.CA), mode="755"),
            File(DROPIN, self.render("etcd.service.conf", target)),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        health = f"{healthy(target.manifest, target.host)} >/dev/null 2>&1"
        return (Unit("etcd.service", restart=(CONFIG, DROPIN, paths.CA), ready=health, serial=True),)
