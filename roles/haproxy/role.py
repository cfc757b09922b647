"""HAProxy on each edge: one port follows the primary, one spreads over the replicas."""

from __future__ import annotations

from environment.access import door, listens, sources
from environment.pki import Authority
from environment.types import Group
from roles import paths
from roles.kit.declare import Certificate, Directory, File, Role, Target, Unit
from roles.kit.sandbox import path, sandbox

CONFIG = "/etc/haproxy/haproxy.cfg"
TLS = f"{paths.TLS}/haproxy-to-{Authority.PATRONI}"
UNIT = "haproxy.service"
DROPIN = paths.dropin(UNIT)


ALONE = (
    # For the same path systemd carries out one of the two, and would choose this one.
    "ProtectSystem=no",
    "TemporaryFileSystem=/:ro",
    f"BindReadOnlyPaths=/usr/sbin/haproxy /usr/bin/kill /usr/bin/kill:/bin/kill /usr/lib /lib -/lib64 /etc/haproxy /etc/ssl/openssl.cnf {paths.KEEL}",
    "BindReadOnlyPaths=/run/systemd/notify",
    "MountAPIVFS=yes",
)
"""HAProxy's whole file system: itself, what it is linked with, its configuration and whom it trusts. `chroot` in the
configuration would need a capability at each start; this needs none. The package's unit calls `kill` by its former path."""


class Haproxy(Role):
    """Health comes from Patroni's REST API, over TLS."""

    name = "haproxy"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (Directory(f"{paths.UNITS}/haproxy.service.d"),)

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        return (target.entering("haproxy", Authority.PATRONI, "haproxy"),)

    def files(self, target: Target) -> tuple[File, ...]:
        members = target.manifest.carrying(Group.POSTGRES)
        # Another replica first on each edge.
        first = target.manifest.carrying(Group.EDGE).index(target.host) % len(members)
        readers = members[first:] + members[:first]
        addresses = listens(target.host, door("primary"))
        admitted = {service: sources(target.manifest, target.host, service) for service in ("primary", "replica")}
        return (
            File(
                CONFIG,
                self.render(
                    "haproxy.cfg.j2",
                    target,
                    members=members,
                    readers=readers,
                    ca=paths.CA,
                    tls=TLS,
                    addresses=addresses,
                    admitted=admitted,
                ),
                group="haproxy",
                mode="640",
                check="haproxy -c -q -f {}",
            ),
            File(DROPIN, self.render("haproxy.service.conf", target)),
            sandbox(UNIT, self.certificates(target), more=ALONE),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit(UNIT, restart=(DROPIN, path(UNIT)), reload=(CONFIG, TLS, paths.CA), title="HAProxy"),)
