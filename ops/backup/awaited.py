"""What a restore waits for, and how it reports how far that is."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress

from environment.errors import KeelError
from environment.report import Report
from environment.types import Group
from environment.waiting import until
from ops.cluster import patroni
from ops.cluster.patroni import members
from ops.hosts.session import Session, Unreachable
from roles import paths
from roles.postgres.patroni import Member

AGAIN = "Remove the cause, then run the restore again: it goes on"


class RestoreFailed(KeelError):
    """A restore did not come to its end: where it stopped; it can be run again."""


def leading(session: Session) -> str | None:
    """The host that runs the primary, None when no member answers that it does."""
    try:
        return session.leader().name
    except Unreachable:
        return None


STILL = 1800
"""Seconds after which a restore that does not move is given up. One of a large cluster takes days, but it moves."""


def await_leader(session: Session, host: str) -> None:
    """After a restart of the primary. Raises RestoreFailed."""
    until(
        lambda: leading(session) == host, 300, f"{host} to become the primary again after a restart",
        last=lambda: patroni.last_words(session, host), error=RestoreFailed, advice=AGAIN,
    )  # fmt: skip


def follow(session: Session, host: str, size: int, since: str, report: Report) -> None:
    """Wait until the host leads; tell how much is there, and give up when the bootstrap failed after ``since`` (seconds
    since 1970, by the host's clock): then Patroni is stopped, or it would begin again and again."""
    log = f"journalctl -u patroni.service --since @{since} -o cat --no-pager"
    far: list[object] = []

    def leads() -> bool:
        try:
            answer = json.loads(patroni.ask(session, host, "/patroni"))
            copied = _copied(session, host, "m")
            failed = session.run(host, f"{log} | grep -F 'Failed to bootstrap' || true")
        except (Unreachable, subprocess.SubprocessError, json.JSONDecodeError):
            return False  # Patroni is on its way up, or the line is: asked again
        if answer.get("state") == "running" and leading(session) == host:
            return True
        far[:] = [answer.get("state"), copied, answer.get("xlog")]
        report(f"{host}: {answer.get('state', 'starting')}, {copied.strip() or 0} of {size // 2**20} MiB")
        if failed:
            said = session.run(host, f"{log} | tail -30")
            session.run(host, f"systemctl stop patroni.service; rm -f {paths.RECOVERY_ORDER}", timeout=900)
            raise RestoreFailed(f"{host}: the restore failed\n{said}", advice="Run it again when the cause is gone")
        return False

    until(
        leads, STILL, f"{host} to become the primary after its restore", last=lambda: patroni.last_words(session, host),
        moves=lambda: list(far), every=1, error=RestoreFailed, advice=AGAIN,
    )  # fmt: skip


def await_replicas(session: Session, number: int, report: Report) -> None:
    """Every member runs, the replicas streaming on the primary's timeline, to which a delayed one comes later."""
    found: list[Member] = []

    def stream() -> bool:
        found[:] = members(session)
        report(", ".join(f"{member.name}: {member.state}" for member in found))
        lines = {member.timeline for member in found if not member.delay}
        return len(found) == number and len(lines) == 1 and all(member.well for member in found)

    def unwell() -> list[str]:
        well = {member.name for member in found if member.well}
        return [host.name for host in session.manifest.carrying(Group.POSTGRES) if host.name not in well]

    until(
        stream, STILL, "every replica to stream from the new primary", moves=lambda: [_far(session, host) for host in unwell()], every=1, error=RestoreFailed, advice=AGAIN,
        last=lambda: "\n".join(f"{host}: {patroni.last_words(session, host)}" for host in unwell()),
    )  # fmt: skip


def _far(session: Session, host: str) -> list[object]:
    """What changes while a member is copied, or replays what it has: its state, its size, its position."""
    with suppress(Unreachable, subprocess.SubprocessError, json.JSONDecodeError):
        answer = json.loads(patroni.ask(session, host, "/patroni"))
        return [answer.get("state"), answer.get("xlog"), _copied(session, host, "k")]
    return []


def _copied(session: Session, host: str, unit: str) -> str:
    """Size of what the member holds, in KiB (``k``) or MiB (``m``)."""
    return session.run(host, f"du -s{unit} {paths.data_directory(session.manifest)} 2>/dev/null | cut -f1 || true")
