"""The step `leave`: hosts that leave are taken out of what they share, and stop, before anything else is changed.

The rest is then verified as if they were gone, and Pulumi removes them at the end. A host that only gives up a group stops
what it no longer carries. A run that was interrupted is made again: what is done already is not there any more.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from environment.changes import leaving
from environment.errors import UNCHANGED, Refused
from environment.manifest import HostEntry, Manifest
from environment.names import ETCD_VOLUME, container
from environment.report import Report
from environment.types import Group, Provider
from environment.waiting import NotReached
from ops.cluster import etcd, patroni, switchover
from ops.cluster.patroni import members
from ops.hosts import lock
from ops.hosts.docker import DockerFailed, docker
from ops.hosts.session import Session, Unreachable, open_session
from roles import paths
from roles.etcd.role import UNIT as ETCD
from roles.kit.declare import Target
from roles.order import ROLES
from roles.postgres.patroni import Member, await_candidate

KEPT = frozenset({"base", "firewall", "pki"})
"""Roles whose units go on running: without them a machine could not be reached, and not come back."""


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Take out what leaves, the leader last and after a switchover. Raises Refused, with everything as it was, where those that
    stay could not go on alone."""
    old, new = Manifest.from_slice(inputs["before"]), session.manifest
    gone = leaving(old, new)
    if gone:
        staying = [host.name for host in old.hosts if host.name in {each.name for each in new.hosts}]
        # Another controller would start again what stops here.
        with open_session(old, session.roots) as before, lock.held(before, staying):
            _take_out(before, new, gone, report)
    return {}


def _take_out(session: Session, new: Manifest, gone: Mapping[str, tuple[Group, ...]], report: Report) -> None:
    """``session`` is one with the hosts as they were."""
    old = session.manifest
    servers = [name for name, groups in gone.items() if Group.POSTGRES in groups]
    stores = [name for name, groups in gone.items() if Group.ETCD in groups]
    if stores:
        _check_store(session, stores)
    if servers:
        leader = _check_servers(session, servers)
        for name in sorted(servers, key=lambda name: name == leader):
            if name == leader:
                _move_leader(session, name, servers, report)
            report(f"{name} leaves: PostgreSQL stops")
            _run(session, name, "systemctl disable --now patroni.service")
        etcd.forget_servers(session, _staying(session, stores), servers)
        patroni.forget_slots(session, servers)
    for name in stores:
        report(f"{name} leaves etcd")
        # A member that is taken out ends, and systemd would start it again.
        _run(session, name, f"systemctl mask {ETCD}")
        etcd.remove(session, _staying(session, stores), old.host(name))
        _run(session, name, f"systemctl stop {ETCD}; rm -rf {ETCD_VOLUME}/*")
    kept = {host.name: host for host in new.hosts}
    for name in gone:
        _stop(session, old.host(name), kept.get(name), report)


def _staying(session: Session, stores: list[str]) -> list[HostEntry]:
    return [host for host in session.manifest.carrying(Group.ETCD) if host.name not in stores]


def _check_store(session: Session, stores: list[str]) -> None:
    """Raise Refused unless every member that stays is well, and the members have a majority now."""
    health = etcd.health(session)
    ill = [name for name, well in health.items() if not well and name not in etcd.strangers(session)]
    if any(name not in stores for name in ill) or sum(health.values()) <= len(ill):
        raise Refused(
            f"{', '.join(stores)} cannot leave now: etcd member(s) {', '.join(ill)} do not answer, and etcd would lose its "
            "majority",
            UNCHANGED,
            "Bring them back (`./keel status`), then run again",
        )


def _check_servers(session: Session, servers: list[str]) -> str:
    """The leader. Raises Refused unless those that stay are well, and one of them leads or can."""
    found = members(session)
    staying = [member for member in found if member.name not in servers]
    unwell = [str(member) for member in staying if not member.well]
    leader = next((member.name for member in found if member.leads), "")
    able = any(member.leads or not member.delay for member in staying)
    if unwell or not able or not leader:
        raise Refused(
            f"{', '.join(servers)} cannot leave now: of those that stay "
            + (
                f"{', '.join(unwell)} is not well"
                if unwell
                else "none leads or can"
                if leader
                else "none has a primary"
            ),
            UNCHANGED,
            "Bring it back (`./keel status`), then run again",
        )
    return leader


def _move_leader(session: Session, leader: str, servers: list[str], report: Report) -> None:
    """Make one that stays lead."""

    def staying() -> list[Member]:
        return [member for member in members(session) if member.name not in servers]

    try:
        candidate = await_candidate(session.manifest, staying)
    except NotReached as error:
        raise Refused(f"{leader} cannot leave now, because it leads: {error}", f"{leader} was left running") from error
    switchover.carry_out(session, switchover.Move(leader, candidate), report)


def _stop(session: Session, host: HostEntry, kept: HostEntry | None, report: Report) -> None:
    """End what the host no longer carries. A container then frees its ports for another host; a machine loses its key pairs."""
    roles = [role for role in ROLES.values() if role.runs_on(host) and role.name not in KEPT]
    target = Target(session.manifest, host, session.roots)
    units = [unit.name for role in roles if not (kept and role.runs_on(kept)) for unit in role.units(target)]
    if units:
        report(f"{host.name} leaves: {', '.join(units)}")
        _run(session, host.name, f"systemctl disable --now {shlex.join(units)} 2>&1 || true")
    if kept is not None:
        return
    _run(session, host.name, f"rm -rf {paths.TLS}")
    if session.manifest.identity.provider is Provider.DOCKER:
        with suppress(DockerFailed):  # it is gone already
            docker("stop", container(session.manifest.identity.name, host.name))


def _run(session: Session, host: str, command: str) -> None:
    """One that does not answer has stopped already."""
    with suppress(Unreachable):
        session.run(host, command, timeout=180)
