"""pgBackRest: the output of `info`, the names of its files, and timelines as its repositories know them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from keel_host import wal
from keel_host.processes import AS_POSTGRES, output
from keel_host.typed import build

FIRST = 1
"""The number of the repository that the database hosts archive to."""
NOTHING = 1
"""Status of a stanza that the repository does not hold."""
UNKNOWN = 99
"""Status of a repository that does not answer."""


@dataclass(frozen=True)
class Times:
    """Seconds since 1970."""

    start: int
    stop: int


@dataclass(frozen=True)
class Names:
    """First and last: names of WAL segments, or LSNs."""

    start: str
    stop: str


@dataclass(frozen=True)
class Sizes:
    """Bytes: of the cluster (`size`) and what this backup added (`delta`)."""

    size: int
    delta: int = 0
    repository: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Archive:
    """The WAL of one database history: first and last segment, None when there is none."""

    id: str
    min: str | None = None
    max: str | None = None
    database: dict[str, int] = field(default_factory=dict)

    @property
    def repository(self) -> int:
        """pgBackRest's number of the repository that holds it."""
        return self.database.get("repo-key", FIRST)


@dataclass(frozen=True)
class Backup:
    """One backup."""

    label: str
    type: str
    timestamp: Times
    archive: Names
    lsn: Names
    info: Sizes
    database: dict[str, int]
    prior: str | None = None
    error: bool | None = None
    """True where it holds damaged pages."""
    annotation: dict[str, str] | None = None

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
        return wal.timeline_of(self.archive.start)

    @property
    def repository(self) -> int:
        """pgBackRest's number of the repository that holds it."""
        return self.database["repo-key"]

    @property
    def bytes_stored(self) -> int:
        """What this backup itself takes in the repository."""
        return self.info.repository.get("delta") or 0


@dataclass(frozen=True)
class Status:
    """pgBackRest's own verdict: 0 is well."""

    code: int
    message: str
    lock: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RepositoryStatus:
    """The verdict on one repository."""

    key: int
    status: Status
    cipher: str = "none"


@dataclass(frozen=True)
class History:
    """One cluster that the stanza was of: another system identifier or server major begins another."""

    id: int
    version: str = ""
    system: int = field(default=0, metadata={"key": "system-id"})
    repository: int | None = field(default=None, metadata={"key": "repo-key"})


@dataclass(frozen=True)
class Stanza:
    """What the repositories hold of this cluster, oldest first."""

    name: str
    status: Status
    archive: tuple[Archive, ...] = ()
    backups: tuple[Backup, ...] = field(default=(), metadata={"key": "backup"})
    histories: tuple[History, ...] = field(default=(), metadata={"key": "db"})
    repositories: tuple[RepositoryStatus, ...] = field(default=(), metadata={"key": "repo"})
    cipher: str = "none"

    @property
    def exists(self) -> bool:
        """True once the repository holds anything of this cluster."""
        return self.status.code != NOTHING

    @property
    def backup_runs(self) -> bool:
        """True while a backup is being made."""
        return bool(self.status.lock.get("backup", {}).get("held"))

    def folder(self, archive: Archive) -> str:
        """Where the WAL of that history is in its repository."""
        return f"archive/{self.name}/{archive.id}"

    def history_file(self, archive: Archive, timeline: int) -> str:
        """Where the history of a timeline is in that repository."""
        return f"{self.folder(archive)}/{timeline:08X}.history"

    @property
    def unanswered(self) -> list[str]:
        """The repositories that do not answer: number, and what was said instead."""
        return [f"{each.key}: {each.status.message}" for each in self.repositories if each.status.code == UNKNOWN]

    @property
    def holding(self) -> set[int]:
        """The numbers of the repositories that hold anything of this cluster, or do not say that they hold nothing."""
        return {each.key for each in self.repositories if each.status.code != NOTHING}

    def history(self, backup: Backup) -> History:
        """The cluster that ``backup`` is of."""
        return next(
            each
            for each in self.histories
            if each.id == backup.database["id"] and each.repository in (None, backup.repository)
        )


def stanza(told: Mapping[str, Any]) -> Stanza:
    """A stanza from decoded JSON, its backups by age: pgBackRest lists them repository by repository. Raises ValueError."""
    held = build(Stanza, told)
    return replace(held, backups=tuple(sorted(held.backups, key=lambda each: each.timestamp.stop)))


def read(text: str) -> Stanza:
    """The one stanza in the output of `info`. Raises ValueError where there is none."""
    told = json.loads(text)
    if not told:
        raise ValueError("pgBackRest knows no stanza")
    return stanza(told[0])


@dataclass(frozen=True)
class Pgbackrest:
    """pgBackRest on this host: its stanza and the options of every command."""

    stanza: str
    options: tuple[str, ...] = ()
    as_root: bool = False
    """True in root's programs: pgBackRest runs as the user who owns everything it touches."""

    def command(self, *arguments: str) -> tuple[str, ...]:
        """The whole command."""
        return (
            *(AS_POSTGRES if self.as_root else ()),
            "pgbackrest",
            f"--stanza={self.stanza}",
            *self.options,
            *arguments,
        )

    def ask(self, *arguments: str, timeout: float | None = None) -> str:
        """Standard output, without what the host's configuration would log there. Raises Failed with what pgBackRest said."""
        return output(*self.command("--log-level-console=error", *arguments), timeout=timeout)

    def info(self, timeout: float | None = None) -> Stanza:
        """What the repositories hold. Raises Failed or, where there is no answer in the output, ValueError."""
        return read(self.ask("--output=json", "info", timeout=timeout))


ARCHIVED = re.compile(r"(?:[^/]+/)*([0-9A-F]{24}(?:\.partial)?)-([0-9a-f]{40})(\.\w+)?")
"""A segment in an archive: its name, the checksum of its content, how it is packed."""
_HISTORY = re.compile(r"(?:[^/]+/)*([0-9A-F]{8})\.history")
BACKUP_LABELS = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")


def timelines(names: Iterable[str]) -> set[int]:
    """The timelines whose histories are among the files of an archive."""
    return {wal.timeline_of(found[1]) for name in names if (found := _HISTORY.fullmatch(name.strip()))}


def newest_timeline(held: Stanza, places: Sequence[Archive], ask: Callable[..., str]) -> int:
    """The highest timeline that is known in any of ``places``; one of a new key begins without the histories of before.

    ``ask``: pgBackRest's output for these arguments.
    """
    listed = [ask(f"--repo={place.repository}", "repo-ls", held.folder(place)) for place in places]
    known = timelines(name for text in listed for name in text.splitlines())
    return max([1, *known, *(backup.timeline for backup in held.backups)])


def timeline_history(
    held: Stanza, places: Sequence[Archive], timeline: int, find: Callable[..., str | None]
) -> wal.TimelineHistory:
    """The history of ``timeline``; without ancestors where its file is in no repository any more.

    ``find``: pgBackRest's output for these arguments, None where it fails: the file may lie in the next repository.
    """
    for place in places if timeline > 1 else ():
        text = find(f"--repo={place.repository}", "repo-get", held.history_file(place, timeline))
        if text is not None:
            return wal.ancestry(timeline, text)
    return wal.TimelineHistory(timeline)
