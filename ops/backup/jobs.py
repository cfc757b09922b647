"""Backups by hand: run, verify and expire on the backup host, with the same jobs that cron runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from environment.recovery import Form, RecoveryTarget
from environment.repositories import Repository, repositories, written
from ops.backup import gaps, repository
from ops.backup.repository import Backup, Stanza
from ops.hosts.session import Session
from roles import paths
from roles.jobs.continuity import position

Report = Callable[[str], None]
Outcome = TypeVar("Outcome")


class Refused(Exception):
    """A recovery that cannot reach its end: why, and what can be done. Nothing was changed."""


class Job(StrEnum):
    """What can be run; the values are the jobs' names on the backup host."""

    FULL = "full"
    DIFFERENTIAL = "differential"
    INCREMENTAL = "incremental"
    DUMPS = "dumps"
    KNOWN = "known"


def run(session: Session, job: Job, report: Report, into: Repository | None = None) -> None:
    """Run a job to its end, after one that runs already; a backup goes ``into`` a repository, by default the first.

    Raises RepositoryFailed with what it said.
    """
    name = f"{job.value}{into.job_suffix if into else ''}"
    repository.follow(session, session.manifest.repository_host.name, f"{paths.JOB} --follow {name}", report)


def run_everywhere(session: Session, job: Job, report: Report) -> None:
    """Run a job, a backup in every repository that is written, in sequence.

    One that fails keeps no other from its backup; raises RepositoryFailed at the end, naming those that failed.
    """
    if job in (Job.DUMPS, Job.KNOWN):
        run(session, job, report)
        return
    _in_each(written(session.manifest.repository), lambda into: run(session, job, report, into))


def verify(session: Session, report: Report) -> str:
    """Read every repository as a whole and compare every checksum; pgBackRest's own account of each.

    Raises RepositoryFailed, after all were read, when a backup or a WAL segment is damaged or missing.
    """
    holding = repository.stanza(session).holding
    read = [each for each in repositories(session.manifest.repository) if each.written or each.number in holding]
    return "\n".join(_in_each(read, lambda each: f"repository {each.title}\n{_verified(session, each, report)}"))


def _in_each(which: Iterable[Repository], act: Callable[[Repository], Outcome]) -> list[Outcome]:
    """What came of it in each. One that fails stops no other; raises RepositoryFailed at the end, naming those that failed."""
    outcomes, failures = [], []
    for each in which:
        try:
            outcomes.append(act(each))
        except repository.RepositoryFailed as error:
            failures.append(f"repository {each.title}: {error}")
    if failures:
        raise repository.RepositoryFailed("\n".join(failures))
    return outcomes


def _verified(session: Session, which: Repository, report: Report) -> str:
    lines: list[str] = []

    def hear(text: str) -> None:
        lines.append(text)
        report(text)

    command = f"--repo={which.number} --log-level-console=error --output=text --verbose verify"
    repository.follow(session, session.manifest.repository_host.name, paths.pgbackrest(session.manifest, command), hear)
    account = "\n".join(lines)
    if "status: error" in account:
        raise repository.RepositoryFailed(f"the repository is damaged:\n{account}")
    return account


def expirable(session: Session) -> list[str]:
    """Labels of the backups that retention would remove now."""
    said = repository.command(session, "--dry-run --log-level-console=info expire")
    return [line.rpartition(" ")[2] for line in said.splitlines() if "remove expired backup" in line]


def expire(session: Session, report: Report) -> None:
    """Remove what retention no longer keeps."""
    repository.follow(
        session,
        session.manifest.repository_host.name,
        paths.pgbackrest(session.manifest, "--log-level-console=info expire"),
        report,
    )


def dumps(session: Session) -> list[dict[str, object]]:
    """The manifests of the logical dumps: database, file, bytes, sha256, server_version, started (seconds since 1970)."""
    said = session.run(
        session.manifest.repository_host.name,
        f"find {paths.DUMPS} -name '*.json' -print0 | sort -z | xargs -0 -r jq -c .",
    )
    return [json.loads(line) for line in said.splitlines()]


def restore_point(session: Session, database: str, name: str) -> str:
    """Name this moment in the WAL, and write it down in the repository: a recovery to the name must know which backup is
    older than it. Returns its LSN. ``name``: at most 63 bytes."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    with session.superuser() as superuser, superuser.connect(database) as connection:
        row = connection.execute("select pg_create_restore_point(%s)::text", [name]).fetchone()
    assert row is not None  # noqa: S101 - a function's call returns a row
    entry = json.dumps({"name": name, "lsn": row[0], "time": moment, "database": database})
    host = session.manifest.repository_host.name
    # Known moments are written down there too, by a job that is not root's.
    session.run(host, f"echo {shlex.quote(entry)} >> {paths.POINTS}; chown postgres: {paths.POINTS}")
    return str(row[0])


def restore_points(session: Session) -> list[dict[str, str]]:
    """Every restore point that was written down, oldest first: name, lsn, time, database."""
    said = session.recorded(session.manifest.repository_host.name, paths.POINTS)
    return [json.loads(line) for line in said.splitlines()]


def begin_with(
    session: Session,
    held: Stanza,
    end: RecoveryTarget,
    *,
    label: str | None = None,
    timeline: str = "latest",
    number: int | None = None,
) -> Backup:
    """The newest backup (or ``label``) from which a recovery along ``timeline`` can end at ``end``, of the nearest
    repository that has one (or of ``number``). Raises Refused."""
    fitting = [made for made in _along(session, held, timeline) if _ends_before(session, made, end)]
    if number:
        fitting = [made for made in fitting if made.repository == number]
    if label:
        fitting = [made for made in fitting if made.label == label]
    if not fitting:
        what = f"{label} is no backup that" if label else "no backup"
        what = f"in repository {number} {what}" if number else what
        raise Refused(
            f"{what} ended before {end} on the way to timeline {timeline}; there are "
            f"{', '.join(made.label for made in held.backups) or 'none'}. Nothing was changed"
        )
    if end.form is Form.XID:  # which backups it came after is not known; the oldest one is right for each
        return fitting[0]
    return max(fitting, key=lambda made: (-made.repository, made.stopped))


def check_whole(
    session: Session, held: Stanza, begin: Backup, end: RecoveryTarget, *, timeline: str = "latest"
) -> None:
    """Raise Refused where the archive lacks WAL between ``begin`` and ``end``: the moment is lost."""
    known = gaps.standing(session)
    if not known:
        return
    at = _named(session, end) if end.form is Form.NAME else end.value if end.form is Form.LSN else None
    if hole := gaps.in_the_way(known, begin, end, at, _way(session, held, timeline)):
        raise Refused(f"{end} cannot be reached: {hole.sentence}. Nothing was changed")


def _along(session: Session, held: Stanza, timeline: str) -> list[Backup]:
    """The backups that lie on the way to ``timeline``."""
    passes = _way(session, held, timeline)
    return [made for made in held.backups if passes(made.timeline, made.lsn.stop)]


def _way(session: Session, held: Stanza, timeline: str) -> Callable[[int, str], bool]:
    """Whether an LSN of a timeline lies on the way to ``timeline``: on it, or on one before it and before the fork."""
    newest = int(timeline) if timeline.isdecimal() else repository.newest_timeline(session, held)
    forks = repository.forks(session, held, newest)
    return lambda line, lsn: line == newest or (line in forks and position(lsn) <= position(forks[line]))


def _ends_before(session: Session, made: Backup, end: RecoveryTarget) -> bool:
    if end.moment:
        return made.stopped < end.moment
    if end.form is Form.LSN:
        return position(made.lsn.stop) <= position(end.value)
    if end.form is Form.NAME:
        return position(made.lsn.stop) <= position(_named(session, end))
    return True


def _named(session: Session, end: RecoveryTarget) -> str:
    """LSN of the restore point that ``end`` names. Raises Refused when it was not written down."""
    known = {point["name"]: point["lsn"] for point in restore_points(session)}
    if end.value not in known:
        raise Refused(
            f"no restore point {end.value!r} was written down; `./keel backup list` shows those that were. "
            "Nothing was changed"
        )
    return known[end.value]
