"""The step `drain`: before a container is replaced, its duties move elsewhere, or the replacement is refused."""

from __future__ import annotations

from typing import Any

from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from environment.types import Group
from ops.cluster.patroni import etcd_health, members, patroni
from ops.hosts.session import Session, Unreachable


class Refused(Exception):
    """Taking this host away now would endanger the cluster."""


def apply(session: Session, inputs: dict[str, Any], report: Any) -> dict[str, Any]:
    """Refuse while another member is unwell; switch over when this host leads. On a first creation nothing runs yet."""
    host = session.manifest.host(inputs["host"])
    if not _answers(session, host.name):
        return {}
    if host.carries(Group.ETCD):
        _check_etcd(session, host.name)
    if host.carries(Group.POSTGRES):
        _move_leader(session, host.name, report)
    return {}


def _answers(session: Session, host: str) -> bool:
    try:
        session.run(host, "true", timeout=15)
    except Unreachable:
        return False
    return True


def _check_etcd(session: Session, host: str) -> None:
    health = etcd_health(session)
    if not any(health.values()):
        return  # the store has never run here, or is down as a whole: nothing can get worse
    unwell = [name for name, well in health.items() if not well and name != host]
    if unwell:
        raise Refused(
            f"{host} is not taken away: etcd member(s) {', '.join(unwell)} do not answer, and without {host} the store "
            "would lose its majority. Nothing was changed. Bring them back (`./keel status`), then run again."
        )


def _move_leader(session: Session, host: str, report: Any) -> None:
    found = members(session)
    others = [member for member in found if member.name != host]
    if not others:
        return  # a single server has nowhere to move to; its data is on its volume
    unwell = [member.name for member in others if not member.well]
    if unwell:
        raise Refused(
            f"{host} is not taken away: PostgreSQL on {', '.join(unwell)} is not running or streaming. "
            "Nothing was changed. Bring it back (`./keel status`), then run again."
        )
    if not any(member.name == host and member.leads for member in found):
        return
    able = [member.name for member in others if not member.delay]
    if not able:
        return  # nor has one whose replicas all stay behind
    candidate = _await_candidate(session) if session.manifest.postgres.synchronous else able[0]
    if not candidate:
        raise Refused(
            f"{host} is not taken away: it leads, and no replica became synchronous within 30 s. Nothing was changed. "
            "Look at `./keel status`, then run again."
        )
    report(f"switchover from {host} to {candidate}")
    answer = patroni(session, host, "/switchover", {"leader": host, "candidate": candidate})
    if not _await_leader(session, candidate):
        raise Refused(f"the switchover from {host} to {candidate} did not succeed: {answer}. {host} was left running.")


@retry(retry=retry_if_result(lambda name: not name), stop=stop_after_delay(30), wait=wait_fixed(0.5),
       retry_error_callback=lambda state: "")  # fmt: skip
def _await_candidate(session: Session) -> str:
    """The synchronous standby; one that has just come back is synchronous again a loop later. "" when there is none."""
    return next((member.name for member in members(session) if member.role == "sync_standby"), "")


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(60), wait=wait_fixed(0.5),
       retry_error_callback=lambda state: False)  # fmt: skip
def _await_leader(session: Session, name: str) -> bool:
    return any(member.name == name and member.leads for member in members(session))
