"""The repository of backups and WAL, asked over SSH on the backup host."""

from __future__ import annotations

import re
import shlex
import subprocess

from environment.errors import UNCHANGED, KeelError
from environment.report import Report
from keel_host import files, pgbackrest
from keel_host.pgbackrest import Stanza
from keel_host.wal import TimelineHistory
from ops.hosts.session import Session
from roles import paths


class RepositoryFailed(KeelError):
    """pgBackRest refused: which command, what it said, what to do."""


def stanza(session: Session) -> Stanza:
    """What the repository holds. Raises RepositoryFailed or Unreachable."""
    said = command(session, paths.INFO)
    try:
        return pgbackrest.read(said)
    except ValueError as error:
        raise RepositoryFailed(
            f"{session.manifest.repository_host.name}: pgbackrest info answered what Keel cannot read ({error}): "
            f"{said.strip()[:200] or 'nothing'}",
            UNCHANGED,
        ) from error


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


def newest_timeline(session: Session, held: Stanza) -> int:
    """The highest timeline of which any repository knows. Raises RepositoryFailed or Unreachable."""
    return pgbackrest.newest_timeline(held, held.archive, lambda *asked: command(session, shlex.join(asked)))


def timeline_history(session: Session, held: Stanza, timeline: int) -> TimelineHistory:
    """The history of ``timeline``; without ancestors where its file is in no repository any more. Raises Unreachable."""

    def find(*asked: str) -> str | None:
        try:
            return command(session, shlex.join(asked))
        except RepositoryFailed:
            return None

    return pgbackrest.timeline_history(held, held.archive, timeline, find)


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
    if lack := files.lack_of_space(folder, size, free, needed):
        raise RepositoryFailed(f"{host}: {lack}", UNCHANGED)
