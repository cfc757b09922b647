"""HAProxy on each edge: one port follows the primary, one spreads over the replicas."""

from __future__ import annotations

from environment.types import Group
from roles import paths
from roles.kit.declare import Directory, File, Role, Target, Unit

CONFIG = "/etc/haproxy/haproxy.cfg"
DROPIN = paths.dropin("haproxy.service")


class Haproxy(Role):
    """Health comes from Patroni's REST API, over TLS."""

    name = "haproxy"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (Directory(f"{paths.UNITS}/haproxy.service.d"),)

    def files(self, target: Target) -> tuple[File, ...]:
        members = target.manifest.carrying(Group.POSTGRES)
        return (
            File(
                CONFIG,
                self.render("haproxy.cfg.j2", target, members=members, ca=paths.CA),
                group="haproxy",
                mode="640",
                check="haproxy -c -q -f {}",
            ),
            File(DROPIN, self.render("haproxy.service.conf", target)),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit("haproxy.service", restart=(DROPIN,), reload=(CONFIG, paths.CA), title="HAProxy"),)
