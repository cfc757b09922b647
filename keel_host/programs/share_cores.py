"""A product that computes on more than a quarter of this host's processors leaves one to the others (W9).

share-cores

A flood of computing sessions would make each of another product's statements wait for all of them. So the sessions of a
database that takes more than a quarter keep off one processor until it has taken less for a while. A host with a single processor has
none to leave: there they have a lower priority.

It looks twice a second: what happens until then is what the other product feels. So it asks no server, it looks at processes.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from keel_host.backends import backends
from keel_host.config import Member, read
from keel_host.processes import Failed

LOOKS = 0.5
"""Seconds between two looks."""
QUARTER = 0.25
FORGIVES = 10.0
"""Seconds for which a database must have taken less until its sessions may run anywhere again."""
LOW = 10
"""The lower priority (nice): with 10, a single session of another product outweighs nine of these. Not 19: who holds what others
wait for must still get on. In a container no one may raise one again: there it lasts as long as the connection."""

Ticks = dict[int, int]
"""Process → what it has computed so far, in ticks of the clock."""


def main(_arguments: list[str]) -> int:
    """Runs until it is stopped. It takes no arguments."""
    try:
        watch(read(Member))
    except Failed as error:
        sys.exit(str(error))


def watch(host: Member) -> NoReturn:
    """Look again and again."""
    sharing = Sharing(host)
    while True:
        time.sleep(LOOKS)
        sharing.look(time.monotonic())


class Sharing:
    """Which databases leave a processor to others."""

    def __init__(self, host: Member) -> None:
        self._logins = host.bounds
        self._processors = host.processors or os.cpu_count() or 1
        self._ticks: Ticks = {}
        self._looked = time.monotonic()
        self._until: dict[str, float] = {}
        """Database → when its sessions may run anywhere again."""

    def look(self, now: float) -> None:
        """See what each database's sessions took since the last look, and say where they may run; ``now`` in seconds."""
        sessions = {each.pid: each.database for each in backends() if each.login in self._logins}
        ticks = {pid: computed for pid in sessions if (computed := taken(pid)) is not None}
        shares = used(sessions, ticks, self._ticks, (now - self._looked) * self._processors)
        self._ticks, self._looked = ticks, now
        self.judge(shares, now)
        for pid, database in sessions.items():
            with suppress(ProcessLookupError, PermissionError):
                place(pid, int(self._processors), greedy=database in self._until)

    def judge(self, shares: Mapping[str, float], now: float) -> None:
        """Who takes too much, and who has not for a while."""
        for database, share in sorted(shares.items()):
            if share > QUARTER:
                if database not in self._until:
                    print(
                        f"{database} takes {share:.0%} of the processors: its sessions leave one to others", flush=True
                    )
                self._until[database] = now + FORGIVES
        for database in [each for each, end in self._until.items() if end <= now]:
            del self._until[database]
            print(f"{database} takes less than {QUARTER:.0%} again: its sessions run anywhere", flush=True)


def used(sessions: Mapping[int, str], ticks: Ticks, before: Ticks, seconds: float) -> defaultdict[str, float]:
    """Database → its part of the ``seconds`` that all processors had."""
    shares: defaultdict[str, float] = defaultdict(float)
    for pid, now in ticks.items():
        shares[sessions[pid]] += max(0, now - before.get(pid, now)) / os.sysconf("SC_CLK_TCK") / seconds
    return shares


def taken(pid: int) -> int | None:
    """What a process has computed, in itself and in the kernel; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[11]) + int(fields[12])


def place(pid: int, processors: int, *, greedy: bool) -> None:
    """Where a session may run, or how it is weighed where there is one processor. Raises ProcessLookupError, PermissionError."""
    every = os.sched_getaffinity(0)
    processors = min(processors, len(every))
    if processors > 1:
        where = set(sorted(every)[: processors - 1]) if greedy else every
        if os.sched_getaffinity(pid) != where:
            os.sched_setaffinity(pid, where)
    else:
        priority = LOW if greedy else 0
        if os.getpriority(os.PRIO_PROCESS, pid) != priority:
            os.setpriority(os.PRIO_PROCESS, pid, priority)
