"""Who changed an environment, and when: each host keeps a line for each time that a controller began to change it.

The lock on the hosts writes it (ops/hosts/lock.py): whoever changes something asks that first.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import PurePath

from environment.load import ROOT
from environment.visible import visible
from ops.hosts.session import Session, Unreachable
from processes import pulumi_engine

PATH = "/var/lib/keel/changes.jsonl"
KEPT = 2000
"""Lines that a host keeps at least. An `up` that changes everything writes about twenty."""
_step = ""


@dataclass(frozen=True)
class Change:
    """One run of a command that changed hosts."""

    began: str
    """UTC, ISO 8601, of its first line; by the controller's clock, as the next."""
    last: str
    who: str
    """user@machine (process N)."""
    command: str
    steps: tuple[str, ...]
    """What the command did, in order, where it has steps."""
    revision: str
    """The controller's checkout as `git describe` calls it; "" where it is no repository."""


def controller() -> str:
    """This controller: the Pulumi engine for which the process works, or else the process."""
    return f"{getpass.getuser()}@{socket.gethostname()} (process {pulumi_engine.pid() or os.getpid()})"


def works_for(step: str) -> None:
    """This process carries out one step of a command that another process is."""
    global _step
    _step = step


def command() -> str:
    """Shell that adds this controller's line."""
    folder = shlex.quote(str(PurePath(PATH).parent))
    return f"(umask 077; mkdir -p {folder}; echo {shlex.quote(_line())} >> {PATH})"


def shortened() -> str:
    """Shell that keeps the last KEPT lines, for whoever has the lock."""
    enough = f'[ "$(wc -l < {PATH})" -lt {2 * KEPT} ]'
    return f"{{ {enough} || (umask 077; tail -n {KEPT} {PATH} > {PATH}.new && mv {PATH}.new {PATH}); }}"


def last(session: Session) -> tuple[list[Change], list[str]]:
    """All changes that hosts know of, the newest first; and the hosts that do not answer."""
    names = [host.name for host in session.manifest.hosts]

    def recorded(host: str) -> str | None:
        with suppress(Unreachable, subprocess.SubprocessError):
            return session.recorded(host, PATH)
        return None

    with ThreadPoolExecutor(len(names)) as pool:
        found = dict(zip(names, pool.map(recorded, names), strict=True))
    lines = {line for text in found.values() for line in (text or "").splitlines()}
    return list(reversed(_runs(lines))), [name for name, text in found.items() if text is None]


def _runs(lines: Iterable[str]) -> list[Change]:
    """Lines of one controller's command belong together."""
    entries = sorted(_read(lines), key=lambda entry: (entry["at"], entry["what"]))
    keys = ("who", "command", "revision")
    runs = []
    for (who, command, revision), group in groupby(entries, key=lambda entry: tuple(entry[key] for key in keys)):
        run = list(group)
        steps = tuple(dict.fromkeys(entry["what"] for entry in run if entry["what"]))
        runs.append(Change(run[0]["at"], run[-1]["at"], who, command, steps, revision))
    return runs


def _read(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The entries; a line that was cut off is left out."""
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            yield {key: visible(str(entry[key]), kept="") for key in ("at", "who", "command", "what", "revision")}


def _line() -> str:
    run = "pulumi up" if pulumi_engine.pid() else "./keel converge" if _step else " ".join(["./keel", *sys.argv[1:]])
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"at": now, "who": controller(), "command": run, "what": _step, "revision": _revision()})


@cache
def _revision() -> str:
    try:
        return subprocess.run(
            ["git", "describe", "--tags", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
