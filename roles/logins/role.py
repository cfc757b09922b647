"""Failed log-ins on the ports that clients reach, counted by address; who guesses is slowed (W8, ADA-31)."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from pyinfra import host
from pyinfra.api import operation

from environment.names import MONITOR
from environment.types import Group
from environment.urls import redis_login
from keel_host.config import LoginHost, text
from roles import paths
from roles.firewall.role import SLOWED
from roles.kit.declare import Directory, File, Role, Target, Unit
from roles.kit.observe import Present
from roles.kit.results import perform
from roles.kit.sandbox import path, sandbox

SERVICE = "keel-watch-logins.service"
UNIT = f"{paths.UNITS}/{SERVICE}"
PASSWORD = f"{paths.KEEL}/redis-monitor"
NAMES_TO_THE_FIREWALL = (
    "CapabilityBoundingSet=CAP_NET_ADMIN",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
)
"""What nft needs. It has no other power of root's. It is root because no other account reads the journal and the password."""
CODE = paths.code("programs/watch_logins", "config", "journal", "processes", "typed")
TIMER, STATE = f"{paths.UNITS}/keel-watch-logins.timer", "/var/lib/keel-logins"
"""Of releases in which it looked every ten seconds."""


class Logins(Role):
    """A program that runs all the time; what it finds is in the journal."""

    name = "logins"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (Directory(f"{paths.UNITS}/{SERVICE}.d"),)

    def files(self, target: Target) -> tuple[File, ...]:
        password = f"{target.roots.password(redis_login(MONITOR))}\n"
        return (
            File(str(LoginHost.FILE), text(settings(target))),
            *((File(PASSWORD, password, mode="600"),) if target.host.carries(Group.REDIS) else ()),
            File(UNIT, self.render(SERVICE, target, program=paths.WATCH_LOGINS)),
            sandbox(SERVICE, (), more=NAMES_TO_THE_FIREWALL),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        read = (
            UNIT,
            path(SERVICE),
            str(LoginHost.FILE),
            *((PASSWORD,) if target.host.carries(Group.REDIS) else ()),
            *CODE,
        )
        return (Unit(SERVICE, restart=read, title="the watch over log-ins"),)

    def activate(self, target: Target, changed: frozenset[str]) -> None:
        perform("logins: no timer any more", _forget_timer, host.get_fact(Present, path=TIMER))


@operation()
def _forget_timer(there: bool) -> Generator[str, None, None]:
    """The service itself waits now."""
    if there:
        yield f"systemctl disable --now {Path(TIMER).name}; rm -rf {TIMER} {STATE}; systemctl daemon-reload"


def settings(target: Target) -> LoginHost:
    """What the program looks at on this host."""
    ports, host = target.manifest.ports, target.host
    return LoginHost(
        units=("haproxy.service", "pgbouncer.service") if host.carries(Group.EDGE) else (),
        pgbouncer=ports.pgbouncer,
        redis=ports.redis if host.carries(Group.REDIS) else 0,
        redis_login=MONITOR,
        redis_password=Path(PASSWORD),
        authority=paths.CA,
        slowed=f"inet keel {SLOWED}",
    )
