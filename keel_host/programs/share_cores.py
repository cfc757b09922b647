"""A product that computes on more than a quarter of this host's processors leaves one to the others, once (W9).

share-cores

A flood of computing sessions would make each of another product's statements wait for all of them. So the sessions of a
database that takes more than a quarter keep off one processor until it takes less. A host with a single processor has none
to leave: there they have a lower priority.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from keel_host.config import Member, read
from keel_host.processes import Failed
from keel_host.server import lines

QUARTER = 0.25
WATCHED = 1.0
"""Seconds in which a look sees what sessions take."""
LOW = 10
"""The lower priority (nice): with 10, a single session of another product outweighs nine of these. Not 19: who holds what others
wait for must still get on. In a container no one may raise one again: there it lasts as long as the connection."""
QUESTION = """
select pid, datname from pg_stat_activity
where usename in (select login from json_to_recordset(:'bounds') as bound (login text)) order by pid;
"""
"""With their parallel workers, which bear the same name."""

Ticks = dict[str, int]
"""Process → what it has computed so far, in ticks of the clock."""


def main(_arguments: list[str]) -> int:
    """0, also where no server runs. It takes no arguments."""
    try:
        look(read(Member))
    except (Failed, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def look(host: Member) -> None:
    """See what each database's sessions take, and say where they may run. Raises Failed, OSError."""
    sessions = dict(line.split("|", 1) for line in lines(host, QUESTION))
    processors = host.processors or os.cpu_count() or 1
    before, began = computed(sessions), time.monotonic()
    time.sleep(WATCHED)
    shares = used(sessions, computed(sessions), before, (time.monotonic() - began) * processors)
    for pid, database in sessions.items():
        with suppress(ProcessLookupError, PermissionError):
            place(int(pid), int(processors), greedy=shares[database] > QUARTER)
    for database, share in sorted(shares.items()):
        if share > QUARTER:
            print(f"{database} takes {share:.0%} of the processors: its sessions leave one to others", flush=True)


def computed(sessions: Mapping[str, str]) -> Ticks:
    """What each of these processes has computed, of those that still run."""
    return {pid: ticks for pid in sessions if (ticks := taken(pid)) is not None}


def used(sessions: Mapping[str, str], ticks: Ticks, before: Ticks, seconds: float) -> defaultdict[str, float]:
    """Database → its part of the ``seconds`` that all processors had."""
    shares: defaultdict[str, float] = defaultdict(float)
    for pid, now in ticks.items():
        shares[sessions[pid]] += max(0, now - before.get(pid, now)) / os.sysconf("SC_CLK_TCK") / seconds
    return shares


def taken(pid: str) -> int | None:
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
