"""The server's processes that work for a login, by what PostgreSQL writes into their titles: no one has to log in to see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROCESSES = Path("/proc")
SESSION = re.compile(r"postgres: (?:\S+: )?(?P<login>\S+) (?P<database>\S+) \S+\(\d+\) (?P<doing>.+)")
WORKER = re.compile(r"postgres: (?:\S+: )?parallel worker for PID (?P<leader>\d+)")


@dataclass(frozen=True)
class Backend:
    """A session's process, or one that works in parallel for it."""

    pid: int
    login: str
    database: str
    doing: str
    """`idle`, `idle in transaction` or the kind of statement."""


def backends(processes: Path = PROCESSES) -> Iterator[Backend]:
    """All of this host. One that ends meanwhile is not among them."""
    titles = dict(_titles(processes))
    for pid, title in titles.items():
        worker = WORKER.match(title)
        if session := SESSION.fullmatch(titles.get(int(worker["leader"]), "") if worker else title):
            yield Backend(pid, session["login"], session["database"], session["doing"])


def _titles(processes: Path) -> Iterator[tuple[int, str]]:
    for process in processes.glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"postgres: "):
            yield int(process.name), title.rstrip(b"\0 ").decode(errors="replace")
