"""Plan an update of packages, and carry it out host by host: what was interrupted is found again on the hosts, and goes on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from environment.errors import UNCHANGED, KeelError, Refused
from environment.manifest import HostEntry
from environment.report import Report
from environment.types import Group
from environment.waiting import until
from keel_host.programs.hold_writes import LIMIT
from keel_host.programs.run_pooler import LEAVES
from ops.cluster import switchover
from ops.cluster.patroni import asking, members
from ops.converge import client
from ops.hosts import lock
from ops.hosts.session import Session
from ops.status.collect import collect
from ops.status.judge import judge
from roles import paths
from roles.haproxy.role import UNIT as HAPROXY
from roles.kit.declare import Target, Unit
from roles.kit.operations import PATIENCE, serving
from roles.order import ROLES
from roles.pgbouncer.role import UNIT as PGBOUNCER
from roles.postgres.role import UNIT as PATRONI
from roles.postgres.switchover import Reach, held_throughout

LOOK = Path(__file__).with_name("look.py")
REFRESH = "apt-get -q -o APT::Update::Error-Mode=any update"
DOWNLOADS = 1800
"""Seconds that a host may take to fetch and unpack."""
JOB = "keel-update"
"""The unit that installs: it goes on when the controller dies, for a package must not stay half unpacked."""
INSTALL = """\
set -e
policy=/usr/sbin/policy-rc.d
# A package restarts nothing: that is for Keel, in its order.
[ -e $policy ] || { trap 'rm -f $policy' EXIT; printf '#!/bin/sh\\nexit 101\\n' > $policy; chmod 755 $policy; }
dpkg --configure -a
apt-get -q -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install --only-upgrade PACKAGES
"""
"""Keel's own files stay as they are. PACKAGES are NAME=VERSION."""
WELL_WITHIN = 180
"""Seconds in which the environment has to be well again after a host."""


class NotWell(KeelError):
    """The environment did not become well again after a host: which, what is wrong."""


@dataclass(frozen=True)
class Update:
    """What a host is to get."""

    host: str
    packages: dict[str, list[str]]
    """Package → installed and new version."""
    restarts: dict[str, list[str]]
    """Unit → why: the packages of which it runs a file."""
    leads: bool
    """It runs the primary, which has a server to move to."""

    @property
    def moves(self) -> bool:
        """The primary moves away from it."""
        return self.leads and PATRONI in self.restarts


def plan(session: Session, only: Sequence[str], report: Report) -> list[Update]:
    """What each host is to get, in the order in which they come: replicas, the primary, the others. Hosts that have everything are
    left out. Raises Refused where the environment is not well, Locked where another controller is at work."""
    known = [host.name for host in session.manifest.hosts]
    if unknown := [name for name in only if name not in known]:
        raise Refused(f"there is no host {', '.join(unknown)}; there are {', '.join(known)}", UNCHANGED)
    lock.refuse_others(session)
    report("whether the environment is well")
    if wrong := _wrong(session):
        raise Refused(f"{session.manifest.identity.name} is not well: {wrong}", UNCHANGED, "Mend that first")
    report("which packages are newer")
    hosts = [host for host in _order(session) if not only or host.name in only]
    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(lambda host: session.run(host.name, REFRESH, timeout=DOWNLOADS), hosts))
        found = list(pool.map(lambda host: look(session, host), hosts))
    return [update for update in found if update.packages or update.restarts]


def look(session: Session, host: HostEntry) -> Update:
    """What a host is to get by the lists that it has."""
    said = session.run(host.name, f"python3 -IB - {' '.join(_units(session, host))}", 120, LOOK.read_text())
    found = members(session)
    may_move = any(not member.leads and not member.delay for member in found)
    leads = any(member.leads and member.name == host.name for member in found)
    return Update(host.name, **json.loads(said), leads=leads and may_move)


def effects(session: Session, update: Update) -> Iterator[str]:
    """What comes to a host, and what clients meet, as sentences."""
    yield from (f"{name} {old} becomes {new}" for name, (old, new) in update.packages.items())
    if update.moves:
        yield "the primary moves to another server first, while the pooler's clients are held"
    units = _units(session, session.manifest.host(update.host))
    for name, why in update.restarts.items():
        says = f"{units[name].title or name} restarts ({', '.join(why)})"
        if name == HAPROXY:
            says += f": the pooler's clients are held, at most {LIMIT:.0f} s; direct connections and reads end"
        elif name == PGBOUNCER:
            says += (
                f": its clients keep their connections, {LEAVES // 60} minutes at the most; new ones wait for a moment"
            )
        elif name == PATRONI and not update.moves and update.host == _leader(session):
            says += ": no other server can take over, so clients meet an error"
        yield says


def carry_out(session: Session, updates: Sequence[Update], report: Report) -> None:
    """Bring the hosts what was shown, one after the other. Raises NotWell before the next one, Refused where transactions do not end;
    run again, it goes on where it stopped."""
    with lock.held(session, [host.name for host in session.manifest.hosts]):
        for update in updates:
            host = session.manifest.host(update.host)
            if update.packages:
                report(f"{host.name}: {len(update.packages)} package(s)")
                session.run(host.name, _install(update.packages), timeout=DOWNLOADS)
            now = look(session, host)
            if now.moves:
                switchover.carry_out(session, switchover.plan(session), report)
            for name in now.restarts:
                report(f"{host.name}: {name} restarts")
                _restart(session, host, _units(session, host)[name], report)
            report(f"{host.name}: waiting until all is well")
            until(
                lambda: not _wrong(session), WELL_WITHIN, f"the environment to be well with {host.name}",
                last=lambda: _wrong(session), every=1, error=NotWell,
                left="The next host was left alone", advice="Look at `./keel status`, then run again",
            )  # fmt: skip
    # A package may give its files other owners and modes.
    client.run(session, report, dry=False, hosts=[update.host for update in updates])


def _install(packages: dict[str, list[str]]) -> str:
    """Shell that brings exactly these versions, after a run whose controller died has come to its end."""
    wanted = " ".join(shlex.quote(f"{name}={new}") for name, (_, new) in packages.items())
    script = shlex.quote(INSTALL.replace("PACKAGES", wanted))
    return (
        f"while systemctl -q is-active {JOB}; do sleep 0.5; done; "
        f"systemd-run -q --wait --collect --unit={JOB} --setenv=DEBIAN_FRONTEND=noninteractive sh -c {script} "
        f"|| {{ journalctl -u {JOB} -n 12 --no-pager -o cat >&2; exit 1; }}"
    )


def _restart(session: Session, host: HostEntry, unit: Unit, report: Report) -> None:
    restart = f"systemctl restart {unit.name}"
    if unit.name == HAPROXY:
        _restart_proxy(session, host, restart, report)
        return
    if unit.ready:
        restart += f"; {serving(unit.name, unit.ready, PATIENCE, unit.working)}"
    session.run(host.name, restart, timeout=DOWNLOADS)


def _restart_proxy(session: Session, edge: HostEntry, restart: str, report: Report) -> None:
    """While the pooler's clients wait: it takes every server for one that leads until it has asked them."""
    leader = session.leader().name
    ready = (
        f"python3 -IBc \"import sys; sys.path.insert(0, '{paths.LIBRARY}'); from keel_host.config import Edge, read; "
        "from keel_host.programs.hold_writes import primaries; "
        f"sys.exit(primaries(read(Edge)) != {{'{leader}'}})\" 2>/dev/null"
    )
    reach = Reach(asking(session), session.run)
    with held_throughout(reach, [edge.name], leader, report):
        session.run(edge.name, f"{restart}; {serving(HAPROXY, ready, int(LIMIT))}")


def _wrong(session: Session) -> str:
    """Why the environment is not well; "" where it is."""
    verdict = judge(collect(session))
    return "" if verdict.well else "; ".join(verdict.problems) or verdict.reason


def _units(session: Session, host: HostEntry) -> dict[str, Unit]:
    target = Target(session.manifest, host, session.roots)
    return {unit.name: unit for role in ROLES.values() if role.runs_on(host) for unit in role.units(target)}


def _order(session: Session) -> list[HostEntry]:
    """Replicas, the primary, the hosts without a server."""
    leader = _leader(session)
    return sorted(session.manifest.hosts, key=lambda host: (not host.carries(Group.POSTGRES), host.name == leader))


def _leader(session: Session) -> str:
    return next((member.name for member in members(session) if member.leads), "")
