"""The repository of backups and WAL, asked over SSH on the backup host."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field, field_validator

from environment.errors import UNCHANGED, KeelError
from environment.report import Report
from environment.repositories import FIRST, UNKNOWN
from ops.hosts.session import Session
from roles import paths

NOTHING = 1
"""pgBackRest's status of a stanza that the repository does not hold."""


class RepositoryFailed(KeelError):
    """pgBackRest refused: which command, what it said, what to do."""


class Span(BaseModel):
    """From and to: seconds since 1970 for times, positions or segment names for WAL."""

    start: Any
    stop: Any


class Sizes(BaseModel):
    """Bytes: of the cluster (`size`) and what this backup added (`delta`)."""

    size: int
    delta: int
    repository: dict[str, int] = {}


class Archive(BaseModel):
    """The WAL of one database history: first and last segment, None when there is none."""

    id: str
    min: str | None
    max: str | None
    database: dict[str, int] = {}

    @property
    def repository(self) -> int:
        """pgBackRest's number of the repository that holds it."""
        return self.database.get("repo-key", FIRST)


class Backup(BaseModel):
    """One backup, as `pgbackrest info` prints it."""

    label: str
    type: str
    prior: str | None
    error: bool | None = None
    timestamp: Span
    archive: Span
    lsn: Span
    info: Sizes
    annotation: dict[str, str] | None = None
    database: dict[str, int]

    @property
    def started(self) -> datetime:
        """UTC."""
        return datetime.fromtimestamp(self.timestamp.start, UTC)

    @property
    def stopped(self) -> datetime:
        """UTC; no earlier moment can be reached from this backup."""
        return datetime.fromtimestamp(self.timestamp.stop, UTC)

    @property
    def timeline(self) -> int:
        """The timeline it was made on."""
        return int(str(self.archive.start)[:8], 16)

    @property
    def repository(self) -> int:
        """pgBackRest's number of the repository that holds it (environment/repositories.py)."""
        return self.database["repo-key"]

    @property
    def bytes_stored(self) -> int:
        """What this backup itself takes in the repository."""
        return self.info.repository.get("delta", 0)


class Status(BaseModel):
    """pgBackRest's own verdict: 0 is well."""

    code: int
    message: str


class Verdict(BaseModel):
    """Of one repository."""

    key: int
    status: Status


class Stanza(BaseModel):
    """What the repository holds of this cluster, oldest first."""

    name: str
    status: Status
    archive: list[Archive] = []
    backups: list[Backup] = Field([], alias="backup")
    histories: list[dict[str, Any]] = Field([], alias="db")
    repositories: list[Verdict] = Field([], alias="repo")

    @field_validator("backups")
    @classmethod
    def _by_age(cls, backups: list[Backup]) -> list[Backup]:
        """pgBackRest lists them repository by repository."""
        return sorted(backups, key=lambda made: made.stopped)

    @property
    def exists(self) -> bool:
        """True once the repository holds anything of this cluster."""
        return self.status.code != NOTHING

    def folder(self, archive: Archive) -> str:
        """Where the WAL of that history is in its repository."""
        return f"archive/{self.name}/{archive.id}"

    @property
    def silent(self) -> list[str]:
        """The repositories that do not answer: number, and what was said instead."""
        return [f"{each.key}: {each.status.message}" for each in self.repositories if each.status.code == UNKNOWN]

    @property
    def holding(self) -> set[int]:
        """The numbers of the repositories that hold anything of this cluster, or do not say that they hold nothing."""
        return {each.key for each in self.repositories if each.status.code != NOTHING}

    def version(self, backup: Backup) -> str:
        """Server version that ``backup`` is of."""
        return next(
            str(entry["version"])
            for entry in self.histories
            if entry["id"] == backup.database["id"] and entry.get("repo-key", backup.repository) == backup.repository
        )


def stanza(session: Session) -> Stanza:
    """What the repository holds. Raises RepositoryFailed or Unreachable."""
    return Stanza.model_validate(json.loads(command(session, paths.INFO))[0])


def command(session: Session, arguments: str, timeout: float = 120) -> str:
    """Standard output of a pgBackRest command on the backup host. Raises RepositoryFailed or Unreachable."""
    try:
        return session.run(
            session.manifest.repository_host.name, paths.pgbackrest(session.manifest, arguments), timeout=timeout
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip()
        raise RepositoryFailed(
            f"{session.manifest.repository_host.name}: pgbackrest {arguments} ended with status {error.returncode}: {said}"
        ) from error


HISTORY = re.compile(r"([0-9A-F]{8})\.history")


def newest_timeline(session: Session, held: Stanza) -> int:
    """The highest timeline of which any repository knows; one of a new key begins without the histories of before."""
    listed = [command(session, f"--repo={place.repository} repo-ls {held.folder(place)}") for place in held.archive]
    names = [line.strip() for text in listed for line in text.splitlines()]
    known = [int(found[1], 16) for name in names if (found := HISTORY.fullmatch(name))]
    return max([1, *known, *(made.timeline for made in held.backups)])


def forks(session: Session, held: Stanza, timeline: int) -> dict[int, str]:
    """Each earlier timeline on the way to ``timeline``, and the position at which the way left it; nothing where its history
    is in no repository any more."""
    for place in held.archive if timeline > 1 else ():
        try:
            said = command(session, f"--repo={place.repository} repo-get {held.folder(place)}/{timeline:08X}.history")
        except RepositoryFailed:
            continue  # it may lie in the next one
        rows = [line.split() for line in said.splitlines() if line.strip()]
        return {int(row[0]): row[1] for row in rows}
    return {}


def plain(line: str) -> str:
    """A line of pgBackRest's for people: without process, level and options."""
    return re.sub(r"^P\d\d +(INFO|DETAIL): +|(?<=command begin) .*", "", line.rstrip())


def follow(session: Session, host: str, shell: str, report: Report) -> None:
    """Run a long command on ``host`` and tell its lines as they come. Raises RepositoryFailed with its last ones."""
    process = subprocess.Popen(
        session.ssh(host, f"{{ {shell}; }} 2>&1"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    last: list[str] = []
    for line in process.stdout or ():
        text = plain(line)
        last = [*last[-14:], text]
        report(text)
    if process.wait():
        raise RepositoryFailed(
            f"{host}: ended with status {process.returncode}\n" + "\n".join(f"    {t}" for t in last)
        )


def check_space(session: Session, host: str, folder: str, needed: int) -> None:
    """Raise RepositoryFailed unless the volume of ``folder`` holds ``needed`` bytes more and a tenth of the volume stays free."""
    size, free = map(int, session.run(host, f"df -B1 --output=size,avail {folder} | tail -1").split())
    if free - needed < size / 10:
        raise RepositoryFailed(
            (
                f"{host}: {folder} has {free / 2**30:.1f} GiB free; {needed / 2**30:.1f} GiB are needed, and a "
                "tenth of the volume must stay free"
            ),
            UNCHANGED,
        )
