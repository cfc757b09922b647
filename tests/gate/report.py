"""Where the gate's minutes went, from what tests.gate.minutes kept."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

LONGEST = 12
REASONS = 2400
"""Characters for the reasons of all failures together: in full a queue says them, perhaps thousands of lines above, and who keeps
only the end of the output still sees each of them."""
SHORTEST = 160
"""Characters that a failure's reason has, however many failed."""


class Spent(NamedTuple):
    """One line of the kept file: a phase of a test, or a command that it ran. ``seconds``: wall time; ``failed``: why it did."""

    kind: str
    name: str
    seconds: float
    failed: str = ""


def read(path: Path) -> list[Spent]:
    """Every line that was kept."""
    return [Spent(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def lines(spent: Sequence[Spent], walls: dict[str, float], total: float) -> list[str]:
    """The report: ``walls`` are the queues' wall times, ``total`` the gate's, in seconds."""
    commands = [entry for entry in spent if entry.kind == "command"]
    phases = [entry for entry in spent if entry.kind != "command"]
    queues = ", ".join(f"{name} {minutes(wall)}" for name, wall in walls.items())
    return [
        f"where {minutes(total)} minutes went: {queues}",
        *_table("commands of the system tests", _sums((entry.name, entry.seconds) for entry in commands)),
        *_table("files", _sums((entry.name.partition("::")[0], entry.seconds) for entry in phases)),
        *_table("tests", _sums((entry.name, entry.seconds) for entry in phases)),
    ]


def failures(spent: Sequence[Spent]) -> list[str]:
    """Each phase of a test that failed, with its reason on the same line."""
    failed = [entry for entry in spent if entry.failed]
    most = max(SHORTEST, REASONS // max(1, len(failed)))
    return [f"FAILED in {entry.kind}: {entry.name}: {_short(entry.failed, most)}" for entry in failed]


def _short(why: str, most: int) -> str:
    """Its beginning and its end, of ``most`` characters together."""
    said = " ".join(why.split())
    return said if len(said) <= most else f"{said[: most // 2]} […] {said[-(most // 2) :]}"


def _sums(entries: Iterable[tuple[str, float]]) -> dict[str, tuple[float, int]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for name, seconds in entries:
        found[name].append(seconds)
    return {name: (sum(all_of), len(all_of)) for name, all_of in found.items()}


def _table(title: str, sums: dict[str, tuple[float, int]]) -> list[str]:
    longest = sorted(sums.items(), key=lambda entry: -entry[1][0])[:LONGEST]
    rows = [f"  {minutes(seconds):>6}  {times:4} ×  {name}" for name, (seconds, times) in longest]
    return [f"{title}, the longest {len(rows)} of {len(sums)}:", *rows]


def minutes(seconds: float) -> str:
    """As 12:34."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
