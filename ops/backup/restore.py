"""Take the whole cluster back to an earlier moment, in place: the primary from the repository, the replicas from it.

Everything here can be run again after an interruption: what was ordered, and along which timeline, is written down in the
repository before anything is stopped, and taken away at the very end.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from environment.errors import UNCHANGED, Refused
from environment.recovery import Form, RecoveryTarget, target
from environment.report import Report
from environment.types import Group
from environment.waiting import until
from ops.backup import choice, jobs, repository
from ops.backup.awaited import RestoreFailed, await_leader, await_replicas, follow, leading
from ops.backup.recovery_order import everywhere, order
from ops.backup.served import hide_second
from ops.cluster import etcd, patroni
from ops.hosts import lock
from ops.hosts.session import Session, Unreachable
from ops.products import databases
from roles import paths
from roles.postgres.parameters import LOGS

INTENTION = f"{paths.REPOSITORY}/restore.json"
"""What an interrupted restore was about."""


@dataclass(frozen=True)
class Plan:
    """What a restore will do, for a person to decide on."""

    end: RecoveryTarget
    label: str
    """The backup it begins with."""
    repository: int
    """The repository that holds it."""
    bytes: int
    """Size of the cluster in that backup."""
    earliest: datetime
    """No earlier moment can be reached."""
    newest: datetime | None
    """The last commit, None when no primary can be asked."""
    lost: str
    """What is gone from the databases afterwards, in words."""
    timeline: str = "latest"

    @property
    def seconds(self) -> float:
        """A guess from its size: 50 MiB/s to copy (measured on 2 cores), half a minute for starts and replicas."""
        return 30 + self.bytes / (50 * 2**20)


def plan(
    session: Session, text: str, *, label: str | None = None, timeline: str = "latest", number: int | None = None
) -> Plan:
    """What a restore to ``text`` means now, from repository ``number`` or the nearest that can. Raises Refused or ValueError
    before anything is changed."""
    end = target(text)
    held = repository.stanza(session)
    if not held.backups:
        raise Refused(f"the repository holds no backup of {held.name}: {held.status.message}")
    newest = newest_commit(session)
    earliest = held.backups[0].stopped
    if end.moment and not earliest <= end.moment <= (newest or datetime.now(UTC)):
        until = f"{newest:%F %T} UTC (the last commit)" if newest else "the end of the archive"
        raise Refused(
            f"{end.value} cannot be reached: you can restore to times from {earliest:%F %T} UTC to {until}", UNCHANGED
        )
    if newest:
        _check_reached(session, end)
    elif timeline == "latest" and end.form is not Form.LATEST:
        timeline = _interrupted_on(session)
    begin = choice.begin_with(session, held, end, label=label, timeline=timeline, number=number)
    choice.check_whole(session, held, begin, end, timeline=timeline)
    return Plan(end, begin.label, begin.repository, begin.info.size, earliest, newest, _lost(end, newest), timeline)


def newest_commit(session: Session) -> datetime | None:
    """Now, by the primary's clock and with a commit of its own, so that every moment before it can be recovered to; None
    when no primary answers."""
    try:
        with session.superuser() as superuser, superuser.connect("postgres") as connection:
            row = connection.execute("select pg_current_xact_id(), clock_timestamp()").fetchone()
            connection.commit()
    except Unreachable:
        return None
    return row[1] if row else None


def _check_reached(session: Session, end: RecoveryTarget) -> None:
    """Raise Refused for a position or a transaction that the cluster has not come to yet."""
    question = {
        Form.LSN: "select pg_current_wal_flush_lsn() >= %s::pg_lsn, pg_current_wal_flush_lsn()::text",
        Form.XID: "select pg_snapshot_xmax(pg_current_snapshot()) > %s::xid8, pg_snapshot_xmax(pg_current_snapshot())::text",
    }.get(end.form)
    if question is None:
        return
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        row = connection.execute(question.encode(), [end.value]).fetchone()
    if row and not row[0]:
        raise Refused(f"{end} was not reached yet: the cluster is at {row[1]}", UNCHANGED)


def _lost(end: RecoveryTarget, newest: datetime | None) -> str:
    if newest is None:
        return "no primary answers: what was not archived when it ended is lost in any case"
    if end.form is Form.LATEST:
        return "nothing that is committed now"
    if end.moment:
        gone = newest - end.moment
        return f"everything committed after {end.moment:%F %T} UTC, the last {str(gone).split('.')[0]}"
    return f"everything committed after {end}"


def apply(session: Session, wanted: Plan, report: Report) -> None:
    """Carry a plan out, with other controllers kept off. Raises RestoreFailed; run again, it goes on."""
    hosts = [host.name for host in session.manifest.carrying(Group.POSTGRES)]
    _check_hosts(session, hosts)
    with lock.held(session, (*hosts, session.manifest.repository_host.name)):
        try:
            _carry_out(session, hosts, wanted, report)
        finally:
            hide_second(session)


def _carry_out(session: Session, hosts: list[str], wanted: Plan, report: Report) -> None:
    # Patroni makes no cluster on a member that may not lead it.
    leader = leading(session) or next(host for host in hosts if host not in session.manifest.postgres.apply_delay)
    if wanted.newest is not None:
        report("archiving the WAL that is not archived yet")
        archive_all(session)
    started = _begin(session, wanted)
    report(f"PostgreSQL is stopped on {', '.join(hosts)}")
    more = (f"--repo={wanted.repository}", f"--set={wanted.label}", f"--target-timeline={wanted.timeline}")
    since = session.run(leader, "date +%s").strip()
    order(session, started, wanted.end, more, take_over=True)
    data = paths.data_directory(session.manifest)
    report(f"{leader}: restore from backup {wanted.label}")
    session.run(leader, "systemctl reset-failed patroni.service; systemctl start patroni.service", timeout=180)
    follow(session, leader, wanted.bytes, since, report)
    # It has acted: from here on no accident may carry it out again.
    everywhere(session, hosts, f"rm -f {paths.RECOVERY_ORDER}")
    _forget_recovery(session, leader)
    archive_all(session)
    replicas = [host for host in hosts if host != leader]
    if replicas:
        report(f"{', '.join(replicas)}: built again from {leader}")
        everywhere(
            session,
            replicas,
            f"rm -rf {data} {data}.failed {data}{paths.RESTORING}; systemctl start patroni.service",
            timeout=3600,
        )
        await_replicas(session, len(hosts), report)
    session.run(leader, f"rm -rf {data}.failed {data}{paths.RESTORING}", timeout=3600)
    report("roles, grants and passwords")
    databases.provide(session, report)
    report("full backup of the new timeline")
    jobs.run(session, jobs.Job.FULL, report)
    session.run(session.manifest.repository_host.name, f"rm -f {INTENTION}")


def interrupted(session: Session) -> dict[str, str] | None:
    """What a restore that did not come to its end was about: its target and when it began; None when there is none."""
    said = session.recorded(session.manifest.repository_host.name, INTENTION)
    return json.loads(said) if said else None


def _interrupted_on(session: Session) -> str:
    """The timeline along which a restore was interrupted. It may have come as far as a new one, on which nothing was
    committed that is archived: a recovery along that would end before a target that the old one reaches."""
    return (interrupted(session) or {}).get("timeline", "latest")


def _begin(session: Session, wanted: Plan) -> str:
    token = f"restore-{datetime.now(UTC):%Y%m%dt%H%M%Sz}"
    timeline = wanted.timeline
    if not timeline.isdecimal():
        timeline = str(repository.newest_timeline(session, repository.stanza(session)))
    content = {"end": str(wanted.end), "backup": wanted.label, "timeline": timeline, "token": token}
    session.run(session.manifest.repository_host.name, f"echo {shlex.quote(json.dumps(content))} > {INTENTION}")
    return token


def _check_hosts(session: Session, hosts: list[str]) -> None:
    """Raise before anything stops when a database host cannot be reached or etcd has no majority."""
    everywhere(session, hosts, "pgbackrest version >/dev/null")
    health = etcd.health(session)
    unwell = [name for name, well in health.items() if not well]
    if len(unwell) * 2 >= len(health):
        raise Refused(f"etcd has no majority: {', '.join(unwell)} do not answer", UNCHANGED, "See `./keel status`")


def archive_all(session: Session) -> None:
    """Switch the WAL and wait until all of it is in the repository. Raises RestoreFailed after two minutes."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        connection.autocommit = True
        # Where nothing was written since the last switch there is none, and the position is where a new segment begins.
        row = connection.execute("select pg_walfile_name(pg_switch_wal() - 1::numeric)").fetchone()
        last = row[0] if row else ""

        def arrived() -> bool:
            found = connection.execute("select last_archived_wal >= %s from pg_stat_archiver", [last]).fetchone()
            return bool(found and found[0])

        def archiver() -> str:
            found = connection.execute(
                "select last_archived_wal, last_failed_wal, last_failed_time from pg_stat_archiver"
            ).fetchone()
            archived, failed, at = found or ("none", None, None)
            log = f"tail -qn 300 $(ls -t {LOGS}/postgresql-*.log | head -1) | grep -E 'archiv|pgbackrest|ERROR: .[0-9]' | tail -3"
            failure = f", failed last for {failed} at {at:%F %T} UTC" if at else ""
            return f"archived last: {archived}{failure}\n{session.run(session.leader().name, log, timeout=15)}"

        until(
            arrived, 120, f"{last} to be archived", last=archiver, every=0.3, error=RestoreFailed,
            advice="Look at `./keel status`",
        )  # fmt: skip


def _forget_recovery(session: Session, host: str) -> None:
    """Where the recovery ended stays among the settings until the server starts again without it."""
    session.run(host, "psql -U postgres -d postgres -Xqc checkpoint", timeout=3600)
    session.run(host, "psql -U postgres -d postgres -Xqc 'alter system reset all'")
    patroni.ask(session, host, "/restart", {})
    await_leader(session, host)
