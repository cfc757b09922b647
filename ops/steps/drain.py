"""The step `drain`: before a container is replaced, its duties move elsewhere, or the replacement is refused."""

from __future__ import annotations

from typing import Any

from environment.errors import UNCHANGED, Refused
from environment.manifest import HostEntry, Manifest
from environment.report import Report
from environment.types import Group
from ops.cluster import etcd, switchover
from ops.cluster.patroni import members
from ops.hosts.session import Session, Unreachable, open_session


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Refuse while another member is unwell; switch over when this host leads. On a first creation nothing runs yet."""
    manifest, host = session.manifest, session.manifest.host(inputs["host"])
    there = _where_it_is(host, inputs.get("before"))
    if there is host:
        _drain(session, host, report)
    else:
        hosts = tuple(there if each.name == host.name else each for each in manifest.hosts)
        with open_session(manifest.model_copy(update={"hosts": hosts}), session.roots) as before:
            _drain(before, there, report)
    return {}


def _where_it_is(host: HostEntry, before: dict[str, Any] | None) -> HostEntry:
    """The host with the address that it has until it is replaced."""
    known = Manifest.from_slice(before).hosts if before else ()
    was = next((each for each in known if each.name == host.name), host)
    if was.address == host.address:
        return host
    return host.model_copy(update={"address": was.address, "ssh": was.ssh})


def _drain(session: Session, host: HostEntry, report: Report) -> None:
    if not _answers(session, host.name):
        return
    if host.carries(Group.ETCD):
        _check_etcd(session, host.name)
    if host.carries(Group.POSTGRES):
        _move_leader(session, host.name, report)


def _answers(session: Session, host: str) -> bool:
    try:
        session.run(host, "true", timeout=15)
    except Unreachable:
        return False
    return True


def _check_etcd(session: Session, host: str) -> None:
    health = etcd.health(session)
    if not any(health.values()):
        return  # the store has never run here, or is down as a whole: nothing can get worse
    unwell = [name for name, well in health.items() if not well and name != host]
    if unwell:  # one that is yet to join is away from nobody
        unwell = [name for name in unwell if name not in etcd.strangers(session)]
    if unwell:
        raise Refused(
            (
                f"{host} cannot be stopped now: etcd member(s) {', '.join(unwell)} do not answer, and without {host} "
                "etcd would lose its majority"
            ),
            UNCHANGED,
            "Bring them back (`./keel status`), then run again",
        )


def _move_leader(session: Session, host: str, report: Report) -> None:
    found = members(session)
    others = [member for member in found if member.name != host]
    if not others:
        return  # a single server has nowhere to move to; its data is on its volume
    unwell = [member.name for member in others if not member.well]
    if unwell:
        raise Refused(
            f"{host} cannot be stopped now: PostgreSQL on {', '.join(unwell)} is not running or streaming",
            UNCHANGED,
            "Bring it back (`./keel status`), then run again",
        )
    if not any(member.name == host and member.leads for member in found):
        return
    if all(member.delay for member in others):
        return  # nor has one whose replicas all stay behind
    switchover.carry_out(session, switchover.plan(session), report)
