"""How Patroni makes a replica of a large cluster: from the newest backup, which leaves the primary alone and
fetches only what differs from what is on the host already.

replica-from-repository --datadir=PATH …

It declines (exit status 1), and Patroni copies the primary instead, where the cluster is small, where there is no whole
backup on the primary's timeline or before it, where the repository does not answer, and where the restore fails.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from keel_host.config import Member, read
from keel_host.pgbackrest import FIRST, Backup, Pgbackrest, newest_timeline, timeline_history
from keel_host.processes import Failed, option

ANSWERS_WITHIN = 60
"""Seconds that the repository has for each question."""


def main(arguments: list[str]) -> int:
    """1 where it declines; a restore's exit status otherwise."""
    try:
        restore(read(Member), option(arguments, "--datadir"))
    except (Failed, ValueError) as why:
        print(f"no replica from the repository: {why}", flush=True)
    return 1


def restore(host: Member, data: str) -> None:
    """Does not return when a restore begins. Raises Failed where the next method has to make the replica."""
    backup = newest(host.stanza)
    if backup is None:
        raise Failed("there is no whole backup")
    if backup.info.size < host.replica_from_repository_above * 2**20:
        raise Failed(f"{backup.label} is small")
    if Path(data, "postmaster.pid").exists():
        raise Failed(f"a server may still run on {data}")
    print(f"replica from backup {backup.label}, {backup.info.size // 2**20} MiB", flush=True)
    # Patroni writes the recovery settings itself. In this process's place, so that Patroni can stop it.
    options = ("--type=preserve", "--delta", f"--pg1-path={data}", f"--set={backup.label}", "--log-level-console=info")
    command = Pgbackrest(host.stanza, (f"--repo={FIRST}",)).command(*options, "restore")
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


def newest(stanza: str) -> Backup | None:
    """The newest backup without damaged pages that a server on the newest timeline comes from: after a restore, a
    backup made before it may be on a timeline that was left. None where there is none. Raises Failed where the repository does not answer."""
    patience = ("--io-timeout=5",)
    ask = partial(Pgbackrest(stanza, patience).ask, timeout=ANSWERS_WITHIN)
    held = Pgbackrest(stanza, (f"--repo={FIRST}", *patience)).info(timeout=ANSWERS_WITHIN)
    places = held.archive[-1:]
    history = timeline_history(held, places, newest_timeline(held, places, ask), ask)
    fitting = (backup for backup in reversed(held.backups) if history.includes(backup.timeline, backup.lsn.stop))
    return next((backup for backup in fitting if not backup.error), None)
