"""Backups by hand: run, verify and expire on the backup host, with the same jobs that cron runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

from environment.report import Report
from environment.repositories import Repository, repositories, written
from ops.backup import repository
from ops.hosts.session import Session
from roles import paths

Outcome = TypeVar("Outcome")


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
