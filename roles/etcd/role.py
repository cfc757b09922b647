"""etcd: the consensus store that holds Patroni's leader lease."""

from __future__ import annotations

from environment.names import ETCD_VOLUME
from environment.pki import Authority
from environment.types import Group
from roles import paths
from roles.etcd.etcdctl import DOOR, TLS, healthy
from roles.kit import tls
from roles.kit.declare import Certificate, Directory, File, Role, Target, Unit
from roles.kit.sandbox import path, sandbox

CONFIG = "/etc/default/etcd"
JOIN = f"{paths.LIBRARY}/etcd-join"
JOINED = "/run/keel-etcd/join.env"
"""How a member without data starts: in a new cluster, or in the one that runs. One that joins or leaves restarts no other."""
UNIT = "etcd.service"
PEERS = paths.door(Authority.ETCD_PEERS)
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
        return (
            target.meeting("etcd", Authority.ETCD, "etcd", *names),  # its gateway (/v3/) is a client of its own
            target.meeting("etcd", Authority.ETCD_PEERS, "etcd", *names),
        )

    def files(self, target: Target) -> tuple[File, ...]:
        members = target.manifest.carrying(Group.ETCD)
        token = target.roots.token("etcd")
        before = members[: members.index(target.host)]
        join = self.render("etcd-join.j2", target, members=members, before=before, joined=JOINED, tls=TLS, ca=DOOR)
        values = {
            "token": token,
            "suites": ",".join(tls.SUITES),
            "tls": TLS,
            "peer": f"{paths.TLS}/{Authority.ETCD_PEERS}",
            "clients": DOOR,
            "peers": PEERS,
        }
        return (
            File(CONFIG, self.render("etcd.env.j2", target, **values)),
            File(JOIN, join, mode="755"),
            File(DROPIN, self.render("etcd.service.conf", target, join=JOIN, joined=JOINED)),
            sandbox(UNIT, self.certificates(target), writes=(ETCD_VOLUME,)),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        health = f"{healthy(target.manifest, target.host)} >/dev/null 2>&1"
        restart = (CONFIG, DROPIN, path(UNIT), DOOR, PEERS)
        return (Unit(UNIT, restart, ready=health, serial=True, title="etcd"),)
