"""A product that computes on more than a quarter of this host's processors waits for the others, once (W9).

share-cores

A flood of computing sessions would make each of another product's statements wait for all of them. So the sessions of a
database that took more than a quarter since the last look have a lower priority until it takes less. While no one else wants
the processors, they lose nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from keel_host import files
from keel_host.config import Member, read
from keel_host.processes import Failed
from keel_host.server import lines

QUARTER = 0.25
LOW = 10
"""The lower priority (nice): with 10, a single session of another product outweighs nine of these. Not 19: who holds what others
wait for must still get on."""
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
        look(read(Member), time.monotonic())
    except (Failed, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def look(host: Member, now: float) -> None:
    """Compare with the last look, and set priorities. Raises Failed, OSError."""
    sessions = dict(line.split("|", 1) for line in lines(host, QUESTION))
    ticks = {pid: computed for pid in sessions if (computed := taken(pid)) is not None}
    before, since = remembered(host.cores_taken)
    files.replace(host.cores_taken, json.dumps({"now": now, "ticks": ticks}))
    if not 0 < now - since < 600:
        return
    shares = used(sessions, ticks, before, (now - since) * (host.processors or os.cpu_count() or 1))
    for pid, database in sessions.items():
        weigh(int(pid), LOW if shares[database] > QUARTER else 0)
    for database, share in sorted(shares.items()):
        if share > QUARTER:
            print(f"{database} took {share:.0%} of the processors: its sessions wait for others", flush=True)


def used(sessions: Mapping[str, str], ticks: Ticks, before: Ticks, seconds: float) -> defaultdict[str, float]:
    """Database → its part of the ``seconds`` that all processors had."""
    shares: defaultdict[str, float] = defaultdict(float)
    for pid, computed in ticks.items():
        shares[sessions[pid]] += max(0, computed - before.get(pid, 0)) / os.sysconf("SC_CLK_TCK") / seconds
    return shares


def taken(pid: str) -> int | None:
    """What a process has computed, in itself and in the kernel; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[11]) + int(fields[12])


def weigh(pid: int, wanted: int) -> None:
    """Give a process this priority. In a container no one may raise one again: there it lasts as long as the connection."""
    with suppress(ProcessLookupError, PermissionError):
        if os.getpriority(os.PRIO_PROCESS, pid) != wanted:
            os.setpriority(os.PRIO_PROCESS, pid, wanted)


def remembered(path: Path) -> tuple[Ticks, float]:
    """What every process had computed at the last look, and when that was; long ago where there was none."""
    try:
        last = json.loads(path.read_text())
        return last["ticks"], float(last["now"])
    except (OSError, ValueError, KeyError):
        return {}, float("-inf")
