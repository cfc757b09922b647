"""Failed log-ins on the ports that clients reach, counted by address (W8, ADA-31)."""

from __future__ import annotations

from pathlib import Path

from environment.names import MONITOR
from environment.types import Group
from environment.urls import redis_login
from keel_host.config import LoginHost, text
from roles import paths
from roles.kit.declare import Directory, File, Role, Target, Unit

SERVICE, TIMER = "keel-watch-logins.service", "keel-watch-logins.timer"
UNITS = {f"{paths.UNITS}/{unit}": unit for unit in (SERVICE, TIMER)}
"""Path → unit."""
STATE = "/var/lib/keel-logins"
PASSWORD = f"{paths.KEEL}/redis-monitor"


class Logins(Role):
    """A program that a timer runs; what it finds is in the journal."""

    name = "logins"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (Directory(STATE, mode="700"),)

    def files(self, target: Target) -> tuple[File, ...]:
        values = {"program": paths.WATCH_LOGINS, "settings": LoginHost.FILE, "state": STATE}
        password = f"{target.roots.password(redis_login(MONITOR))}\n"
        return (
            File(str(LoginHost.FILE), text(settings(target))),
            *((File(PASSWORD, password, mode="600"),) if target.host.carries(Group.REDIS) else ()),
            *(File(path, self.render(unit, target, **values)) for path, unit in UNITS.items()),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit(TIMER, restart=tuple(UNITS), title="the count of failed log-ins"),)


def settings(target: Target) -> LoginHost:
    """What the program looks at on this host."""
    ports, host = target.manifest.ports, target.host
    return LoginHost(
        cursor=Path(STATE) / "cursor",
        units=("haproxy.service", "pgbouncer.service") if host.carries(Group.EDGE) else (),
        pgbouncer=ports.pgbouncer,
        redis=ports.redis if host.carries(Group.REDIS) else 0,
        redis_login=MONITOR,
        redis_password=Path(PASSWORD),
        authority=paths.CA,
    )
